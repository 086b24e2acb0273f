"""Months of a record, its rep, its manager and its admin: whatever they do, the laws of tasks hold at every run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, ChangeKind
from stagesync.model.crm import Owner
from stagesync.model.tasks import Ending
from stagesync.model.waivers import Waiver
from stagesync.planning.escalation import Escalation, TaskEnd
from stagesync.planning.planner import plan
from stagesync.planning.situation import OpenTask
from stagesync.policy.durations import Duration
from stagesync.policy.task_texts import Refused
from tests.thorough import tries
from tests.unit.oracle import NOW
from tests.unit.test_planning import deal, judged, situation

PEOPLE = [
    Owner(id="ann", name="Ann", email=None, active=True, manager="boss"),
    Owner(id="boss", name="Boss", email=None, active=True, manager="ann"),
    Owner(id="eve", name="Eve", email=None, active=True, manager="boss"),
]
GOOD = {"pain": "slow", "replies": 1, "calls": 1}
BAD: dict[str, Any] = {}
EVENTS = ("complete", "delete", "manager ends", "ask", "take back", "refuse", "grant", "withdraw", "evidence",
          "evidence goes", "another owner", "lose the ledger", "nothing")  # fmt: skip


@dataclass
class Kept:
    """A task in the CRM: the change that made it, and what people did with it."""

    made: Change
    ended: TaskEnd | None = None
    over: bool = False
    """Whether StageSync closed it, so that its fault is a new one when it is there again."""
    asks: bool = False


@dataclass
class World:
    """One record with its tasks in a CRM, and what a ledger follows of them."""

    good: bool = False
    owner: str = "ann"
    now: datetime = NOW
    waived: bool = False
    refused: Refused | None = None
    tasks: dict[str, Kept] = field(default_factory=dict)
    followed: dict[str, Change] = field(default_factory=dict)
    answered: int = 0

    def happens(self, event: str) -> None:
        live = [one for one in self.tasks.values() if one.ended is None]
        of_rep = [one for one in live if one.made.escalates is None]
        of_manager = [one for one in live if one.made.escalates is not None]
        match event:
            case "complete" | "delete":
                for one in of_rep:
                    how = Ending.COMPLETED if event == "complete" else Ending.DELETED
                    one.ended, one.asks = TaskEnd(how=how, at=self.now), False
            case "manager ends":
                for one in of_manager:
                    one.ended = TaskEnd(how=Ending.COMPLETED, at=self.now)
            case "ask" | "take back":
                for one in of_rep:
                    one.asks = event == "ask"
            case "refuse":
                if any(one.asks for one in of_rep):
                    self.refused = Refused(by="Ben", reason="no", day=self.now.date())
            case "grant" | "withdraw":
                self.waived = event == "grant"
            case "evidence" | "evidence goes":
                self.good = event == "evidence"
            case "another owner":
                self.owner = "eve" if self.owner == "ann" else "ann"
            case "lose the ledger":
                self.followed.clear()

    def judgement(self, folder: Path, mode: str) -> Judgement:
        waiver = Waiver(id="w", rule="premature", connection="crm", object="Deal", record="1", reason="so", by="ada",
                        until=date(2099, 1, 1))  # fmt: skip
        found = judged(
            folder,
            deal("1", "Offer", owner=self.owner, **(GOOD if self.good else BAD)),
            rules={"premature": {"mode": mode}},
            granted=[waiver] if self.waived else [],
        )
        return replace(found, asked={"1": "please"}) if self.asked() else found

    def asked(self) -> bool:
        """Whether a task that the ledger follows asks, and nobody has refused it."""
        return self.refused is None and any(one.asks for key, one in self.tasks.items() if key in self.followed)

    def open_tasks(self) -> Iterator[OpenTask]:
        for key, change in self.followed.items():
            kept = self.tasks[key]
            yield OpenTask(
                object="Deal",
                record="1",
                crm_id=key,
                key=key,
                findings=change.findings,
                criteria=change.criteria,
                text=change.task,
                ended=kept.ended,
                escalates=change.escalates,
                refused=self.refused if kept.asks else None,
            )

    def made(self, change: Change) -> None:
        """What a CRM and a ledger do with a change."""
        task = str(change.crm_id)
        match change.kind:
            case ChangeKind.OPEN_TASK:
                key, times = change.key, 0
                while key in self.tasks and self.tasks[key].over:
                    times += 1
                    key = f"{change.key} again {times}"
                # A task with this key stays the one that it is, open or not.
                self.tasks.setdefault(key, Kept(replace(change, key=key)))
                self.followed[key] = self.tasks[key].made
            case ChangeKind.UPDATE_TASK:
                kept = self.tasks[task]
                if change.asked_by is not None and kept.ended is None and kept.asks:
                    kept.asks, self.refused = False, None
                    self.answered += 1
                self.followed[task] = replace(change, escalates=self.followed[task].escalates)
            case ChangeKind.CLOSE_TASK:
                kept = self.tasks[task]
                kept.over = True
                if kept.ended is None:
                    kept.ended, kept.asks = TaskEnd(how=Ending.COMPLETED, at=self.now), False
                del self.followed[task]


@settings(max_examples=tries(ordinary=12, soak=300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 20)), min_size=3, max_size=10))
def test_the_laws_of_tasks_hold_whatever_people_do(events: list[tuple[str, int]]) -> None:
    world, lost = World(), False
    with tempfile.TemporaryDirectory() as folder:
        for event, days in [("nothing", 0), *events]:
            world.happens(event)
            lost = lost or event == "lose the ledger"
            world.now += timedelta(days=days)
            live = {key for key, one in world.tasks.items() if one.ended is None}
            asked = world.asked()
            judgement = world.judgement(Path(folder), "suggest")
            planned = plan(
                [judgement],
                situation(
                    now=world.now,
                    today=world.now.date(),
                    owners=PEOPLE,
                    open_tasks=list(world.open_tasks()),
                    escalation=Escalation(after=Duration.parse("10 business days")),
                    waiver_status="WAITING",
                ),
            )
            found = {one.rule for one in judgement.each()}
            opened = [one for one in planned.changes if one.kind is ChangeKind.OPEN_TASK]
            assert len({one.key for one in planned.changes}) == len(planned.changes)
            assert len({one.crm_id for one in planned.changes if one.crm_id}) == len(planned.changes) - len(opened)
            if asked:
                assert {one.kind for one in planned.changes} <= {ChangeKind.CLOSE_TASK}, "written while a request waits"
            for one in planned.changes:
                if one.kind is ChangeKind.CLOSE_TASK:
                    assert "premature" not in found, "closed while its finding stands"
                if one.escalates is not None and one.kind is ChangeKind.OPEN_TASK:
                    ended = world.tasks[one.escalates].ended
                    assert ended is not None
                    assert world.now - ended.at >= timedelta(days=10), "the manager hears too early"
                    assert one.owner != world.owner, "nobody is asked about his own record"
            if not found:
                assert not opened
            for one in planned.changes:
                world.made(one)
            # Never two open tasks of one kind, and never one for a fault that somebody was told of.
            now_live = [one for one in world.tasks.values() if one.ended is None]
            assert sum(one.made.escalates is None for one in now_live) <= 1
            assert sum(one.made.escalates is not None for one in now_live) <= 1
            assert len({key for key, one in world.tasks.items() if one.ended is None} - live) <= len(opened)
            again = plan(
                [world.judgement(Path(folder), "suggest")],
                situation(
                    now=world.now,
                    today=world.now.date(),
                    owners=PEOPLE,
                    open_tasks=list(world.open_tasks()),
                    escalation=Escalation(after=Duration.parse("10 business days")),
                    waiver_status="WAITING",
                ),
            )
            # With a lost ledger it knows a task again first, and what became of it in the run after.
            assert not again.changes or lost, "a second run has nothing to do"
