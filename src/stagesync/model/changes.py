"""Changes that a plan may hold, and what became of them. A plan is data: it round-trips through JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from stagesync.model.kinds import Mode


class ChangeKind(StrEnum):
    """The finite set of changes."""

    SET_STAGE = "set-stage"
    OPEN_TASK = "open-task"
    UPDATE_TASK = "update-task"
    CLOSE_TASK = "close-task"


class Result(StrEnum):
    """What became of a change."""

    APPLIED = "applied"
    ALREADY_SO = "already-so"
    SUPERSEDED = "superseded"  # a person or another program was faster; nothing was overwritten
    REFUSED = "refused"  # the CRM said no, in its own words
    FAILED = "failed"  # it did not happen, and may be tried again
    UNKNOWN = "unknown"  # the call may have landed; settled by looking at the CRM


OWN_MARK = "[stagesync-"
"""How a line begins that says that a task is ours, in CRMs without a field for the key."""
OWN_MARKS = (OWN_MARK, "[stagesync:")
"""How it begins in any of them."""


def mark(key: str) -> str:
    """The line that stands for a change's key in the text of its task."""
    return f"{OWN_MARK}{key.removeprefix('stagesync-')}]"


class Halt(StrEnum):
    """What a refusal stops for the rest of the run, because everything like it would be refused as well."""

    TARGET = "target"  # changes by the same rule that write the same values to the same object
    WRITES = "writes"  # all changes of this connection


@dataclass(frozen=True, kw_only=True)
class TaskText:
    """A task for the owner of a record. ``due`` is a day in the owner's calendar; ``body`` is plain text."""

    subject: str
    body: str
    due: date
    owner: str


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Why a change is made: a criterion or rule, its verdict, why, and the value that was looked at with its source."""

    criterion: str
    verdict: str
    reason: str
    value: str | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing to do in a CRM.

    ``key`` is stable: the same change of the same record has the same key in the plan, the ledger and the
    CRM. ``before`` are the field values that the plan saw and that must still be there (native spelling, None
    for blank), ``modified`` the record's last modification as the plan saw it (UTC). ``after`` are the fields
    to write; a task to open or update has none, and as ``before`` the corrected stage that its text speaks of, if any.
    ``beside`` are values that somebody set by hand and that the CRM would reset together with the stage: they are
    sent along, so that they stay.
    ``seen`` are the stage and the pipeline in which the plan saw the record of a task to open.
    ``crm_id`` is the CRM's id of the task to update or to close, ``told`` the text that it must still have for ``task``
    to be written over it, and the owner whom it must still have to get another one. ``grounds`` are the evidence,
    ``findings`` the keys of the findings behind the change, ``criteria`` the ids of the criteria that a task asks the
    rep to meet.
    ``escalates`` is the key of the task that its owner ended, where this one is for the manager instead.
    ``asked_by`` is the status by which a task asks for a waiver, where an update puts it back to an open one; it must
    still have it. ``adds`` are words that go behind the text of a task also where somebody has edited it.
    ``amount`` is the money at stake, in ``currency`` as far as the mapping says in which.
    ``stage_from``, ``stage_to`` and ``owner_name`` are for people: the CRM's labels, not its values.
    """

    key: str
    kind: ChangeKind
    connection: str
    object: str
    record: str
    record_name: str
    rule: str
    mode: Mode
    reason: str
    owner: str | None = None
    owner_name: str | None = None
    grounds: tuple[Ground, ...] = ()
    findings: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    seen: Mapping[str, str | None] = field(default_factory=dict)
    before: Mapping[str, str | None] = field(default_factory=dict)
    after: Mapping[str, str | None] = field(default_factory=dict)
    beside: Mapping[str, str | None] = field(default_factory=dict)
    modified: datetime | None = None
    amount: float | None = None
    currency: str | None = None
    stage_from: str | None = None
    stage_to: str | None = None
    task: TaskText | None = None
    told: TaskText | None = None
    crm_id: str | None = None
    escalates: str | None = None
    asked_by: str | None = None
    adds: str | None = None

    @property
    def tells_of_a_move(self) -> bool:
        """Whether this is a task whose text says that the record was moved."""
        return self.kind is ChangeKind.OPEN_TASK and bool(self.before)

    @property
    def handed_to(self) -> str | None:
        """The name of the person to whom an open task is given, if it is."""
        if self.kind is not ChangeKind.UPDATE_TASK or self.task is None or self.told is None:
            return None
        return None if self.task.owner == self.told.owner else (self.owner_name or self.task.owner)

    @property
    def place(self) -> tuple[str, str, str]:
        """Connection, object and record."""
        return self.connection, self.object, self.record


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one change. ``detail`` is for people; ``crm_id`` the id of what was created or touched.

    ``seen`` are the values read back after the write, for the fields of the change. ``halt`` says what else would be
    refused for the same reason, and ``wait`` how long the CRM wants to be left alone, where that is the reason.
    """

    key: str
    result: Result
    detail: str = ""
    crm_id: str | None = None
    seen: Mapping[str, str | None] = field(default_factory=dict)
    halt: Halt | None = None
    wait: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A finding whose rule asks for a change that was not planned, and why.

    ``stop`` is a stable key where the rule has stopped for this record, because its correction came back.
    """

    connection: str
    object: str
    record: str
    record_name: str
    rule: str
    reason: str
    stop: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Changes in the order in which they are made, and what was left out."""

    changes: tuple[Change, ...]
    left_out: tuple[LeftOut, ...] = ()
