"""What the ledger gives back: entries, runs, tracked tasks, counts, the result of a verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from stagesync.model.changes import TaskText


class EntryKind(StrEnum):
    """What an entry tells."""

    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    CONNECTION_PINNED = "connection.pinned"
    FINDING_OPENED = "finding.opened"
    FINDING_CHANGED = "finding.changed"
    FINDING_RESOLVED = "finding.resolved"
    FINDING_CARRIED = "finding.carried"
    INTENT = "intent"
    OUTCOME = "outcome"
    WAIVER_GRANTED = "waiver.granted"
    WAIVER_WITHDRAWN = "waiver.withdrawn"
    PLAN_MADE = "plan.made"
    PLAN_APPROVED = "plan.approved"
    PLAN_APPLIED = "plan.applied"
    RUN_REVERTED = "run.reverted"
    RULE_STOPPED = "rule.stopped"
    GUARD_OVERRIDDEN = "guard.overridden"
    WRITES_PAUSED = "writes.paused"
    WRITES_RESUMED = "writes.resumed"
    TASK_ENDED = "task.ended"
    LEDGER_PRUNED = "ledger.pruned"
    WAIVER_REFUSED = "waiver.refused"
    NOTE = "note"


FINDING_KINDS = (
    EntryKind.FINDING_OPENED,
    EntryKind.FINDING_CHANGED,
    EntryKind.FINDING_RESOLVED,
    EntryKind.FINDING_CARRIED,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry as it stands in the ledger.

    ``seq`` counts from 1 without gaps. Findings that moved together share an entry: each is told as an entry of its
    own, with its ``place`` in it (from 0). ``at`` is UTC. ``hash`` is the chain's SHA-256 in hexadecimal. ``key`` is
    the key of the finding or change, for a pin the org's, the id of a waiver, the hash of a plan. ``body`` by kind:

    ==================  ===========================================================================
    ``run.started``     ``{"command": str, "facts": {...}}``
    ``run.finished``    ``{"result": str, "facts": {...}}``
    ``connection.…``    ``{"identity": Identity}``
    ``finding.opened``  ``{"finding": Finding}``, the same for ``finding.changed``
    ``finding.car…``    ``{"finding": Finding, "told": str}``: told once more, and when it was first
    ``finding.res…``    ``{"last": int}``: the number of the finding's last entry while it was open
    ``intent``          ``{"change": Change}``
    ``outcome``         ``{"intent": int, "change_kind": str, "task": str | None, "outcome": Outcome}``
    ``waiver.granted``  ``{"waiver": Waiver}``
    ``waiver.with…``    ``{"by": str, "reason": str}``
    all others          ``{"text": str, "facts": {...}}``
    ==================  ===========================================================================
    """

    seq: int
    at: datetime
    run: str | None
    kind: str
    connection: str | None
    object: str | None
    record: str | None
    rule: str | None
    owner: str | None
    key: str | None
    body: Mapping[str, Any]
    hash: str
    place: int | None = None

    @property
    def number(self) -> str:
        """``seq``, or ``12.3`` for the third finding that entry 12 tells."""
        return str(self.seq) if self.place is None else f"{self.seq}.{self.place + 1}"


class Where(TypedDict, total=False):
    """Which entries: all that are given must hold, None means any. ``since`` is inclusive, ``until`` is not (UTC)."""

    run: str | None
    kind: str | None
    connection: str | None
    object: str | None
    record: str | None
    rule: str | None
    owner: str | None
    key: str | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run. ``finished`` and ``result`` are None while it goes on, or when it was killed. Times are UTC."""

    id: str
    command: str
    started: datetime
    facts: Mapping[str, object]
    finished: datetime | None = None
    result: str | None = None
    summary: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class TrackedTask:
    """A task that StageSync opened and has not closed.

    ``key`` is the key of the change that opened it, ``crm_id`` None only where the CRM did not say its id.
    ``tells_of_a_move`` is whether it says that its record was moved, ``before`` the stage to which it was.
    ``text`` is what was written into it last, and ``told`` when that was (UTC). ``escalates`` is the key of the task of
    a rep that this one, for the manager, follows.
    """

    key: str
    object: str
    record: str
    crm_id: str | None
    owner: str | None
    findings: tuple[str, ...]
    criteria: tuple[str, ...]
    tells_of_a_move: bool
    before: Mapping[str, str | None]
    text: TaskText | None
    told: datetime
    escalates: str | None = None


LastMove = tuple[str, str, Mapping[str, str | None]]
"""Object and record of which StageSync wrote the stage, and the fields as it wrote them last."""


@dataclass(frozen=True, kw_only=True)
class StageMove:
    """A stage that StageSync wrote, from and to which fields, by which rule, and when that was recorded (UTC).

    ``applied`` is False where the CRM held it already. ``reason`` is that of the change.
    """

    object: str
    record: str
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    rule: str
    reason: str
    at: datetime
    applied: bool


@dataclass(frozen=True, kw_only=True)
class FindingChanges:
    """How the findings of a connection moved since the last time; ``still_open`` are those without a change."""

    opened: int
    still_open: int
    changed: int
    resolved: int


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Whether the chain holds.

    ``head`` is ``"<seq>:<hash>"`` of the newest entry that does; kept elsewhere, it proves later that nothing up
    to it was rewritten. ``entries`` counts those that hold, from the first; ``at_seq`` is the first entry that is
    wrong or missing. ``dropped`` is how many of them were dropped after a time, on record: of these the hash is left.
    ``derived`` says that all entries hold and only a table that is made of them is wrong, so that it can be made again.
    """

    ok: bool
    entries: int
    head: str
    problem: str | None = None
    at_seq: int | None = None
    dropped: int = 0
    derived: bool = False


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What is to be dropped of a ledger, or was.

    ``entries`` of those up to the number ``upto`` go, with the ``findings`` that they tell. ``carried`` findings are
    still open, and are told once more before. ``kept`` older entries stay, because later runs need them. ``before``
    is the moment from which on everything stays (UTC); what is younger than a plan that may still be applied does too.
    """

    before: datetime
    upto: int
    entries: int
    findings: int
    carried: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class PruneOrder:
    """Who has older entries dropped, why it is so (a setting, an option), and up to which moment (UTC)."""

    before: datetime
    by: str
    setting: str
