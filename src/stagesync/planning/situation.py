"""What planning needs to know of a connection beside its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from stagesync.model.changes import TaskText
from stagesync.model.crm import NativeStage, Owner
from stagesync.planning.disputes import Correction
from stagesync.planning.escalation import Escalation, TaskEnd
from stagesync.planning.guard import Protected
from stagesync.policy.calendars import Calendars
from stagesync.policy.durations import Duration
from stagesync.policy.task_texts import Refused, TaskTemplate, shipped_template

UTC_ZONE = ZoneInfo("UTC")
NOTHING_PROTECTED = Protected()


@dataclass(frozen=True, kw_only=True)
class OpenTask:
    """A task that we opened earlier and have not closed: which findings and criteria it was about, and its text.

    ``before`` is the corrected stage that its text speaks of, where it tells of a move. ``key`` is that of the change
    that opened it. ``ended`` says how somebody ended it, as far as that was asked; ``escalates`` is the key of the task
    that this one, for the manager, follows. ``refused`` is who refused the waiver that it asks for, until it says so.
    """

    object: str
    record: str
    crm_id: str | None
    findings: tuple[str, ...]
    criteria: tuple[str, ...]
    text: TaskText | None = None
    tells_of_a_move: bool = False
    before: Mapping[str, str | None] = field(default_factory=dict)
    key: str = ""
    ended: TaskEnd | None = None
    escalates: str | None = None
    refused: Refused | None = None


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What planning needs to know of a connection beside its findings.

    ``stages`` are the CRM's stages of today by object, ``fields`` what people see there for its fields, by
    ``Opportunity.NextStep``; ``now`` is UTC and ``today`` the date in ``time_zone``.
    ``fallback_owner`` gets the tasks that no active person can be given. ``protected`` is never written.
    ``corrections`` are those that were applied earlier, oldest first, by object and record.
    ``tasks_a_day`` is how many tasks an owner may get in a day (None: any number), ``opened_today`` how many each has
    got since midnight. ``template`` has the words of tasks, ``calendars`` the working days of their owners, and
    ``escalation`` says when a manager hears of a task that its owner ended. ``waiver_status`` is the status of a task
    by which a rep asks for a waiver, ``waiver_status_shown`` the same as people see it. ``taken_back`` are the keys of
    tasks that a revert closed.
    """

    connection: str
    now: datetime
    today: date
    task_due: Duration
    time_zone: ZoneInfo = UTC_ZONE
    owners: Sequence[Owner] = ()
    stages: Mapping[str, Sequence[NativeStage]] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    open_tasks: Sequence[OpenTask] = ()
    fallback_owner: str | None = None
    protected: Protected = NOTHING_PROTECTED
    corrections: Mapping[tuple[str, str], Sequence[Correction]] = field(default_factory=dict)
    tasks_a_day: int | None = None
    opened_today: Mapping[str, int] = field(default_factory=dict)
    calendars: Calendars = field(default_factory=Calendars)
    template: TaskTemplate = field(default_factory=shipped_template)
    escalation: Escalation = field(default_factory=Escalation)
    waiver_status: str | None = None
    waiver_status_shown: str | None = None
    taken_back: frozenset[str] = frozenset()
