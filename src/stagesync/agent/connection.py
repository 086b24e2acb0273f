"""What a run works with: connections, the definitions, the stores and the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from stagesync.connectors.base import Metered, Reader, Writer
from stagesync.mirror import Mirror
from stagesync.model.crm import Calls
from stagesync.planning.escalation import Escalation
from stagesync.planning.freeze import Freeze
from stagesync.planning.guard import Limits, Protected
from stagesync.policy.calendars import Calendars
from stagesync.policy.definitions import Definition
from stagesync.policy.durations import Duration
from stagesync.policy.mappings import CrmMapping
from stagesync.policy.task_texts import TaskTemplate, shipped_template

if TYPE_CHECKING:  # an audit of exports needs no database, and loading its client takes half a second
    from stagesync.ledger import Ledger

Progress = Callable[[str, str, int], None]
"""Called with the connection, what is being done, and how many rows or changes so far."""


def silent(_connection: str, _doing: str, _done: int) -> None:
    """Progress for nobody."""


@dataclass(frozen=True, kw_only=True)
class Connected:
    """One CRM: its reader and mapping, and a writer where this run may write."""

    name: str
    mapping: CrmMapping
    reader: Reader
    writer: Writer | None = None
    fallback_owner: str | None = None

    @property
    def calls(self) -> Calls | None:
        """The calls of reader and writer so far, where the CRM counts them."""
        return self.reader.calls() if isinstance(self.reader, Metered) else None


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How much a pull reads. ``full`` reads everything at once, and each table is read whole again once its last
    whole reading is ``full_every`` old. In between every record is looked at once more in ``recheck_runs`` pulls; 0
    leaves that out.
    """

    full: bool = False
    full_every: timedelta = timedelta(days=7)
    recheck_runs: int = 24


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Everything a run needs. ``clock`` gives aware UTC datetimes; ``stop`` asks to end after the current batch."""

    definition: Definition
    connections: Sequence[Connected]
    ledger: Ledger
    mirror: Mirror
    limits: Limits
    task_due: Duration
    time_zone: ZoneInfo
    clock: Callable[[], datetime]
    manner: Manner = Manner()
    tasks_a_day: int | None = None
    calendars: Calendars = field(default_factory=Calendars)
    template: TaskTemplate = field(default_factory=shipped_template)
    escalation: Escalation = field(default_factory=Escalation)
    freezes: Sequence[Freeze] = ()
    protected: Protected = field(default_factory=Protected)
    pause_file: Path | None = None
    plan_valid: timedelta = timedelta(days=1)
    ledger_keeps: timedelta | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    progress: Progress = silent
    stop: Event = field(default_factory=Event)

    def midnight(self, now: datetime) -> datetime:
        """When the day of a moment began, in the time zone of the settings."""
        return datetime.combine(now.astimezone(self.time_zone).date(), time(), tzinfo=self.time_zone)
