"""One record's life as it happened, before any CRM has given it a shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from stagesync.sandbox.company.staff import Rep
from stagesync.sandbox.company.tracks import Stage, Track

TouchKind = Literal[
    "mail_in",
    "mail_out",
    "call",
    "missed_call",
    "meeting",
    "invitee_copy",  # what Salesforce keeps for each further invitee of a meeting
    "cancelled_meeting",
    "planned_meeting",
    "cancelled_plan",
    "todo_done",
    "todo_open",
    "own_task",  # written by StageSync itself and done
    "note",
]
HAPPENED = frozenset({"mail_in", "mail_out", "call", "missed_call", "meeting", "todo_done"})


@dataclass(slots=True)
class Touch:
    """Something between us and the buyer. ``at`` is its start in UTC; only meetings last ``minutes``.

    ``aside``: logged on one of the deal's people alone, not on the deal.
    """

    kind: TouchKind
    at: datetime
    minutes: int = 0
    aside: bool = False

    @property
    def end(self) -> datetime:
        """When it was over."""
        return self.at + timedelta(minutes=self.minutes)


@dataclass(slots=True)
class Buyer:
    """A person at the buyer's company. ``record`` is the id in the CRM once it has been written."""

    first: str
    last: str
    title: str
    email: str | None
    phone: str | None
    decides: bool = False
    record: str = ""


@dataclass(slots=True)
class Account:
    """The buyer's company; ``employees`` None where nobody has filled it in."""

    name: str
    domain: str
    country: str
    industry: str
    employees: int | None
    people: list[Buyer] = field(default_factory=list)
    deals: int = 0
    record: str = ""


@dataclass(slots=True)
class Step:
    """A move into a stage, in UTC."""

    stage: Stage
    at: datetime


@dataclass(slots=True, kw_only=True)
class Life:
    """A lead, contact, opportunity or deal with all that happened to it; times in UTC."""

    track: Track
    account: Account
    steps: list[Step]
    owner: Rep | None
    name: str = ""
    person: Buyer | None = None
    buyers: list[Buyer] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)
    pain: str | None = None
    next_step: str | None = None
    lost_reason: str | None = None
    budget: bool | None = None
    amount: float | None = None
    close_date: date | None = None
    converted: bool = False
    edited: datetime | None = None  # an edit that changed nothing of interest, such as a bulk update
    shown_activity: date | None = None  # what the CRM's own last-activity field claims, if not the truth
    probability: int | None = None  # set by hand, in percent

    @property
    def stage(self) -> Stage:
        """The stage that the record is in."""
        return self.steps[-1].stage

    @property
    def created(self) -> datetime:
        """When the record was created."""
        return self.steps[0].at

    @property
    def entered(self) -> datetime:
        """When the latest unbroken run of the current stage began."""
        began = self.steps[-1].at
        for step in reversed(self.steps):
            if step.stage.native != self.stage.native:
                break
            began = step.at
        return began

    @property
    def is_deal(self) -> bool:
        """Whether this is an opportunity or a deal, and not a person."""
        return self.person is None

    def count(self, kind: TouchKind) -> int:
        """How many touches of a kind there are on the record itself."""
        return sum(1 for touch in self.touches if touch.kind == kind and not touch.aside)

    def last_activity(self) -> datetime | None:
        """The end of the last thing that people did, on the record or with one of its people."""
        return max((touch.end for touch in self.touches if touch.kind in HAPPENED), default=None)
