"""A company so small that every kind of change occurs in it once or twice, in words that fit both CRMs.

Its life has two mornings. On the first, deals of much money get their tasks. Then people work: they state a pain, agree
on a step, give a deal away, tick a task off; and records appear whose stages are to be corrected. The second morning's
plan holds, with one run, all that StageSync can do: corrections of deals and people with the tasks that tell of them,
tasks alone, texts written anew, a task handed on and one completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from starlette.routing import BaseRoute

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PAIN = "they lose two days a month to manual invoices"
STEP = "workshop with the head of finance on Tuesday"
STRANGER_STEP = "call them again"


@dataclass(frozen=True, kw_only=True)
class Deal:
    """``rung`` is the place on the ladder, from 0. Deals of more than 1000 are asked about, others are moved."""

    name: str
    rung: int
    amount: int
    pain: str | None = None
    other_pipeline: bool = False
    probability: int | None = None
    """What somebody set by hand, in a CRM that has it."""


FIRST = (
    Deal(name="told", rung=2, amount=5000),
    Deal(name="closing", rung=1, amount=5000),
    Deal(name="handed", rung=1, amount=5000),
    Deal(name="ended", rung=1, amount=5000),
)
LATER = (
    Deal(name="moved far", rung=2, amount=500),
    Deal(name="moved with side fields", rung=1, amount=500, probability=45),
    Deal(name="moved a little", rung=2, amount=500, pain=PAIN),
    Deal(name="moved in its pipeline", rung=1, amount=500, other_pipeline=True),
    Deal(name="asked", rung=1, amount=5000),
    Deal(name="asked too", rung=2, amount=5000),
)
PEOPLE = ("Ada Early", "Bo Early")
"""People with a stage that they have not earned; in HubSpot their move takes two requests."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a CRM holds, without ids and moments: equal for two companies that nobody can tell apart.

    ``records`` are fields by name, ``moves`` the stages that a record went through, ``tasks`` those that carry a key
    of ours, by key: a list, so that a second one shows.
    """

    records: Mapping[str, Mapping[str, Any]]
    moves: Mapping[str, Sequence[str]]
    tasks: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Write:
    """One record, or task, that a request was to write: the CRM's id of it, or the key of a task that was made."""

    name: str
    call: str


@dataclass(kw_only=True)
class Clock:
    """The CRM's present, moved by the test: minutes since the first morning."""

    minutes: float = field(default=0.0)

    def __call__(self) -> datetime:
        return START + timedelta(minutes=self.minutes)


class Company(Protocol):
    """One CRM with the company in it, in a folder that outlives the object."""

    clock: Clock

    def seed(self) -> None:
        """The first morning."""

    def work(self) -> None:
        """What people do before the second morning."""

    def routes(self) -> Sequence[BaseRoute]:
        """The CRM, to be served."""

    def state(self) -> State:
        """What it holds now."""

    def write_of(self, method: str, path: str, body: Any) -> Sequence[Write]:
        """What a request was to write; nothing for one that reads."""

    @property
    def troubles(self) -> Sequence[str]:
        """What can go wrong."""

    def suffer(self, trouble: str, chance: Random) -> None:
        """One of the troubles strikes the next request, or all from it on until it is calm again."""

    def calm(self) -> None:
        """Nothing goes wrong any more."""

    def close(self) -> None:
        """Close its files."""
