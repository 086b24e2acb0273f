"""From findings to a plan: total order, one task a record, stable keys, the right stage, and the guard's numbers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from msgspec import structs

from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from stagesync.model.changes import Change, ChangeKind, Plan, TaskText
from stagesync.model.crm import NativeStage, Owner
from stagesync.model.findings import Scope
from stagesync.model.kinds import Kind, Mode
from stagesync.model.waivers import Waiver
from stagesync.planning.calendar import due_date, is_over
from stagesync.planning.freeze import Freeze
from stagesync.planning.guard import REVERT, Bound, Limits, Protected, check
from stagesync.planning.planner import plan
from stagesync.planning.situation import UTC_ZONE, OpenTask, Situation
from stagesync.policy.calendars import Calendars, OwnerCalendar
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.task_texts import shipped_template
from stagesync.policy.working_days import WorkingDays
from tests.unit.oracle import NOW, Limit, Moment, Record, Rules, Rung
from tests.unit.worlds import OWNERS, World, definition_words, judge_words, mapping_words, tables

LADDER = (
    Rung("lead", {"reachable": ("stated", "pain")}),
    Rung("prospect", {"answered": ("compare", ">=", ("name", "replies"), ("constant", 1))}),
    Rung("deal", {"met": ("compare", ">=", ("name", "calls"), ("constant", 1))}),
    Rung("customer", {"bought": ("truth", "won")}, terminal=True),
)
PLACES = {
    "Lost": "aside",
    "Offer": "deal",
    "Contract": "deal",
    "New": "lead",
    "Working": "lead",
    "": "lead",
    "Qualified": "prospect",
    "Nurtured": "prospect",
    "Won": "customer",
}
PEOPLE = [
    Owner(id=name, name=name.title(), email=None, active=active, queue=name == "queue")
    for name, active in {**OWNERS, "boss": True}.items()
]
OWN = OwnerCalendar(
    owners=frozenset({"Boss"}),
    countries=frozenset(),
    days=WorkingDays(closed=frozenset(date(2026, 3, day) for day in range(11, 19))),
)
ABROAD = OwnerCalendar(
    owners=frozenset(),
    countries=frozenset({"Sverige", "SE"}),
    days=WorkingDays(closed=frozenset({date(2026, 3, 12), date(2026, 3, 13)})),
)
LONG_AGO = NOW - timedelta(days=30)


def deal(
    record: str, native: str, *, owner: str | None = "ann", entered: datetime | None = LONG_AGO, **values: Any
) -> Record:
    return Record(record, native, {**dict.fromkeys(("pain", "replies", "calls", "won")), **values}, frozenset(), owner,
                  None, entered)  # fmt: skip


def judged(
    folder: Path,
    *records: Record,
    rules: Mapping[str, Mapping[str, str]] | None = None,
    places: Mapping[str, str] = PLACES,
    shuffle: int | None = None,
    granted: Sequence[Waiver] = (),
    ladder: Sequence[Rung] = LADDER,
) -> Judgement:
    world = World(Rules(tuple(ladder), {}, places), records, Moment(NOW, ZoneInfo("UTC")))
    full = [
        replace(one, values={**dict.fromkeys(definition_words(world.rules)["evidence"]), **one.values})
        for one in records
    ]
    world = replace(world, records=full)
    words = definition_words(world.rules) | {"rules": rules or {"premature": {"mode": "enforce"}}}
    read = tables(world)
    if shuffle is not None:
        order = list(range(len(records)))
        random.Random(shuffle).shuffle(order)
        read = Tables(rows={name: rows[order] if name == "Deal" else rows for name, rows in read.rows.items()})
    return judge_words(words, mapping_words(world.rules), folder, world, read, granted=granted)


def situation(**changed: Any) -> Situation:
    given: dict[str, Any] = {
        "connection": "crm",
        "now": NOW,
        "today": NOW.date(),
        "task_due": Duration(3, Unit.BUSINESS_DAYS),
        "owners": PEOPLE,
    }
    return Situation(**given | changed)


def of(kind: ChangeKind, planned: Plan) -> list[Change]:
    return [change for change in planned.changes if change.kind is kind]


# Where a record is moved to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "values", "places", "target"),
    [
        ("Contract", {"pain": "slow", "replies": 1}, PLACES, "Nurtured"),
        ("Contract", {"pain": "slow"}, PLACES, "Working"),
        ("Contract", {}, PLACES, "New"),
        ("Qualified", {}, PLACES, "New"),
        ("Working", {}, PLACES, None),
        # What is earned is no stage of this pipeline: the highest that it has below it, or its lowest of all.
        ("Offer", {"pain": "slow", "replies": 1}, {"Offer": "deal", "New": "lead", "Working": "lead"}, "Working"),
        ("Offer", {"pain": "slow"}, {"Offer": "deal", "Qualified": "prospect", "Nurtured": "prospect"}, "Qualified"),
        ("Offer", {}, {"Lost": "aside", "Offer": "deal", "Won": "customer"}, None),
        ("Offer", {}, {"Lost": "aside", "Contract": "deal", "Offer": "deal", "": "lead"}, None),
    ],
)
def test_the_smallest_step_back_that_is_earned(
    tmp_path: Path, native: str, values: dict[str, Any], places: Mapping[str, str], target: str | None
) -> None:
    planned = plan([judged(tmp_path, deal("1", native, **values), places=places)], situation())
    moves = of(ChangeKind.SET_STAGE, planned)
    assert [(dict(move.before), dict(move.after)) for move in moves] == (
        [({"Stage": native}, {"Stage": target})] if target else []
    )
    assert len(of(ChangeKind.OPEN_TASK, planned)) == 1
    if target is None:
        assert ["no earlier stage" in entry.reason for entry in planned.left_out] == [True]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (NativeStage(pipeline=None, value="New", label="New", position=0, active=False), "no longer active"),
        (NativeStage(pipeline=None, value="New", label="New", position=0, writable=False), "may not be written"),
        (NativeStage(pipeline=None, value="Other", label="Other", position=0), "has no stage 'New'"),
    ],
)
def test_a_stage_that_cannot_be_written_is_left_out_and_a_task_asks(
    tmp_path: Path, stage: NativeStage, said: str
) -> None:
    planned = plan([judged(tmp_path, deal("1", "Offer"))], situation(stages={"Deal": [stage]}))
    assert [change.kind for change in planned.changes] == [ChangeKind.OPEN_TASK]
    assert [said in entry.reason for entry in planned.left_out] == [True]


# Order, keys, grace ----------------------------------------------------------------------------------------------


def many() -> list[Record]:
    natives = [native for native in PLACES if native]
    return [
        deal(
            f"{n:02}",
            natives[n % len(natives)],
            owner=["ann", "bob", "queue", None][n % 4],
            pain=["tbd", "slow"][n % 2],
        )
        for n in range(40)
    ]


RULES = {kind: {"mode": "suggest"} for kind in ("stalled", "placeholder", "unowned", "ready")} | {
    "premature": {"mode": "enforce"}
}


def test_the_plan_is_the_same_whatever_the_order_of_rows_and_tasks(tmp_path: Path) -> None:
    tasks = [
        OpenTask(object="Deal", record=f"{n:02}", crm_id=f"t{n}", findings=(), criteria=()) for n in range(0, 40, 3)
    ]
    tasks += [replace(task, crm_id=f"{task.crm_id}-2") for task in tasks]
    plans = []
    for seed in range(5):
        random.Random(seed).shuffle(tasks)
        judgement = judged(tmp_path, *many(), rules=RULES, shuffle=seed)
        plans.append(plan([judgement], situation(open_tasks=list(tasks), fallback_owner="boss")))
    assert all(other == plans[0] for other in plans)
    keys = [change.key for change in plans[0].changes]
    assert len(keys) == len(set(keys))
    kinds = [list(ChangeKind).index(change.kind) for change in plans[0].changes]
    assert kinds == sorted(kinds)


def test_a_record_gets_one_task_however_much_is_wrong(tmp_path: Path) -> None:
    planned = plan([judged(tmp_path, *many(), rules=RULES)], situation(fallback_owner="boss"))
    records = [task.record for task in of(ChangeKind.OPEN_TASK, planned)]
    assert len(records) == len(set(records))
    assert max(len(task.findings) for task in of(ChangeKind.OPEN_TASK, planned)) >= 2


def test_keys_do_not_change_from_run_to_run_but_with_what_is_asked(tmp_path: Path) -> None:
    def key(native: str = "Offer", later: int = 0, **values: Any) -> list[str]:
        judgement = judged(tmp_path, deal("1", native, **values))
        return [change.key for change in plan([judgement], situation(now=NOW + timedelta(days=later))).changes]

    assert key() == key(later=9)
    assert set(key()).isdisjoint(key(pain="slow"))
    assert all(one.startswith("stagesync-") and len(one) == 30 for one in key())


@pytest.mark.parametrize(("days", "acts"), [(1, False), (2, False), (5, True)])
def test_nothing_is_done_within_the_grace(tmp_path: Path, days: int, acts: bool) -> None:
    rules = {"premature": {"mode": "suggest", "grace": "2 business days"}}
    judgement = judged(tmp_path, deal("1", "Offer", entered=NOW - timedelta(days=days)), rules=rules)
    planned = plan([judgement], situation())
    assert bool(planned.changes) is acts
    assert [entry.reason for entry in planned.left_out] == (
        [] if acts else ["in this stage for less than the grace of 2 business days"]
    )


@pytest.mark.parametrize(("mode", "acts"), [("enforce", False), ("suggest", True)])
def test_nothing_is_written_when_nobody_knows_whether_the_grace_is_over(tmp_path: Path, mode: str, acts: bool) -> None:
    rules = {"premature": {"mode": mode, "grace": "2 business days"}}
    planned = plan([judged(tmp_path, deal("1", "Offer", entered=None), rules=rules)], situation())
    assert bool(planned.changes) is acts
    assert bool(planned.left_out) is not acts
    assert all("its grace of 2 business days may not be over" in entry.reason for entry in planned.left_out)


def test_the_days_of_a_grace_are_those_of_the_time_zone() -> None:
    late_on_thursday = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    on_monday = datetime(2026, 11, 23, 12, tzinfo=UTC)
    length = Duration.parse("1 business days")
    assert is_over(late_on_thursday, length, on_monday, UTC_ZONE, WorkingDays())
    assert not is_over(late_on_thursday, length, on_monday, ZoneInfo("Europe/Berlin"), WorkingDays())


def test_a_rule_in_audit_changes_nothing(tmp_path: Path) -> None:
    assert plan([judged(tmp_path, *many(), rules={"premature": {"mode": "audit"}})], situation()) == Plan(changes=())


def test_suggesting_asks_and_does_not_move(tmp_path: Path) -> None:
    (task,) = plan(
        [judged(tmp_path, deal("1", "Offer"), rules={"premature": {"mode": "suggest"}})], situation()
    ).changes
    assert (task.kind, task.mode, task.criteria) == (
        ChangeKind.OPEN_TASK,
        Mode.SUGGEST,
        ("reachable", "answered", "met"),
    )
    assert task.task is not None
    assert "moved" not in task.task.body


# Who gets a task --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "people", "fallback", "gets"),
    [
        ("ann", PEOPLE, "boss", "ann"),
        ("bob", PEOPLE, "boss", "boss"),
        ("queue", PEOPLE, "boss", "boss"),
        ("gone", PEOPLE, "boss", "boss"),
        (None, PEOPLE, "boss", "boss"),
        ("bob", PEOPLE, None, None),
        ("bob", PEOPLE, "bob", None),
        ("bob", PEOPLE, "queue", None),
        ("anybody", [], None, "anybody"),
        (None, [], "boss", "boss"),
        (None, [], None, None),
    ],
)
def test_tasks_go_to_people_who_work_here(
    tmp_path: Path, owner: str | None, people: Sequence[Owner], fallback: str | None, gets: str | None
) -> None:
    judgement = judged(tmp_path, deal("1", "Working", owner=owner))
    planned = plan([judgement], situation(owners=people, fallback_owner=fallback))
    assert [change.owner for change in planned.changes] == ([gets] if gets else [])
    assert any("no active person" in entry.reason for entry in planned.left_out) is (gets is None)


# Closing tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "values", "criteria", "closes"),
    [
        ("Working", {"pain": "slow"}, ("reachable",), "what the task asked for is there"),
        ("Working", {"pain": "slow"}, ("reachable", "gone from the definitions"), "what the task asked for is there"),
        ("Working", {"pain": "slow"}, ("reachable", "answered"), None),
        ("Working", {}, ("reachable",), None),
        ("Lost", {}, ("reachable",), "the record is no longer worked on"),
        ("Won", {}, ("reachable",), "the record is no longer worked on"),
        ("Working", {"pain": "slow"}, (), "what the task asked for is there"),
        ("Nobody mapped this", {"pain": "slow"}, ("reachable",), None),
    ],
)
def test_a_task_is_closed_when_what_it_asked_for_is_there_or_nobody_works_on_it(
    tmp_path: Path, native: str, values: dict[str, Any], criteria: tuple[str, ...], closes: str | None
) -> None:
    task = OpenTask(object="Deal", record="1", crm_id="t1", findings=("crm:Deal:1:premature",), criteria=criteria)
    planned = plan([judged(tmp_path, deal("1", native, **values))], situation(open_tasks=[task]))
    assert [change.reason for change in of(ChangeKind.CLOSE_TASK, planned)] == ([closes] if closes else [])
    assert not of(ChangeKind.OPEN_TASK, planned), "a record with an open task gets no second one"


def test_what_is_unknown_closes_no_task(tmp_path: Path) -> None:
    task = OpenTask(object="Deal", record="1", crm_id="t1", findings=("k",), criteria=("reachable",))
    hidden = replace(deal("1", "Working"), unreadable=frozenset({"pain"}))
    assert plan([judged(tmp_path, hidden)], situation(open_tasks=[task])) == Plan(changes=())


@pytest.mark.parametrize("task", [{"crm_id": None}, {"record": "gone"}, {"object": "Lead"}])
def test_tasks_of_which_nothing_is_known_are_left_alone(tmp_path: Path, task: dict[str, Any]) -> None:
    given = {"object": "Deal", "record": "1", "crm_id": "t", "findings": (), "criteria": ()} | task
    assert plan(
        [judged(tmp_path, deal("1", "Working", pain="slow"))], situation(open_tasks=[OpenTask(**given)])
    ) == Plan(changes=())


# What a rep reads -------------------------------------------------------------------------------------------------


def test_a_task_says_what_is_missing_why_and_how_to_disagree(tmp_path: Path) -> None:
    (move, task) = plan([judged(tmp_path, deal("1", "Offer", pain="tbd"))], situation()).changes
    assert task.task is not None
    assert task.task.subject == "Check the stage: evidence is missing for the stage - Deal 1"
    assert "moved from 'Offer' to 'New'" in task.task.body
    assert "write it down" in task.task.body
    assert "pain is 'tbd'" in task.task.body
    assert "If you disagree" in task.task.body
    assert task.task.due == date(2026, 3, 16)
    assert move.reason.startswith("reachable: pain is 'tbd'")


@pytest.mark.parametrize(
    ("owner", "calendars", "due"),
    [
        # NOW is Wednesday, 11 March 2026.
        ("ann", Calendars(), date(2026, 3, 16)),
        ("ann", Calendars(default=WorkingDays(weekend=frozenset({4, 5}))), date(2026, 3, 16)),
        ("ann", Calendars(default=WorkingDays(closed=frozenset({date(2026, 3, 12)}))), date(2026, 3, 17)),
        ("ann", Calendars(of_owners=[OWN], default=WorkingDays(weekend=frozenset({6}))), date(2026, 3, 14)),
        ("boss", Calendars(of_owners=[OWN]), date(2026, 3, 24)),
        ("boss", Calendars(of_owners=[ABROAD, OWN]), date(2026, 3, 18)),
    ],
)
def test_a_task_is_due_on_a_working_day_of_its_owner(
    tmp_path: Path, owner: str, calendars: Calendars, due: date
) -> None:
    people = [structs.replace(one, country="Sverige" if one.id == "boss" else None) for one in PEOPLE]
    judgement = judged(tmp_path, deal("1", "Offer", owner=owner), rules={"premature": {"mode": "suggest"}})
    (task,) = plan([judgement], situation(owners=people, calendars=calendars)).changes
    assert task.task is not None
    assert task.task.due == due


def test_who_is_ready_is_not_asked_for_what_is_there(tmp_path: Path) -> None:
    ready = {"ready": {"mode": "suggest"}}
    (task,) = plan([judged(tmp_path, deal("1", "New", pain="slow", replies=2), rules=ready)], situation()).changes
    assert task.task is not None
    assert "The evidence for the stage 'Qualified' or 'Nurtured' is there" in task.task.body
    assert "write it down" not in task.task.body


def test_a_long_name_is_cut_in_the_subject(tmp_path: Path) -> None:
    (finding,) = judged(tmp_path, deal("1", "Offer")).each()
    assert len(shipped_template().subject([structs.replace(finding, record_name="x" * 500)])) < 160
    assert "(+1 more)" in shipped_template().subject([finding, structs.replace(finding, kind=Kind.STALLED)])


TEXT = TaskText(subject="old", body="asks for something else", due=date(2026, 3, 1), owner="ann")


@pytest.mark.parametrize(
    ("findings", "criteria", "text", "updated"),
    [
        (("crm:Deal:1:premature",), ("reachable", "answered", "met"), TEXT, False),
        (("crm:Deal:1:premature",), ("reachable", "met"), TEXT, True),
        (("crm:Deal:1:premature", "crm:Deal:1:stalled"), ("reachable", "answered", "met"), TEXT, True),
        # Nothing of what it asked for is found: it is closed, or waits for its criteria.
        (("crm:Deal:1:stalled",), ("reachable",), TEXT, False),
        (("crm:Deal:1:premature",), ("reachable", "met"), None, False),
    ],
)
def test_an_open_task_says_what_is_found_now(
    tmp_path: Path, findings: tuple[str, ...], criteria: tuple[str, ...], text: TaskText | None, updated: bool
) -> None:
    task = OpenTask(object="Deal", record="1", crm_id="t1", findings=findings, criteria=criteria, text=text)
    judgement = judged(tmp_path, deal("1", "Offer"), rules={"premature": {"mode": "suggest"}})
    # A task that tells of a move goes on asking for what that took.
    assert plan([judgement], situation(open_tasks=[replace(task, tells_of_a_move=True)])).changes == ()
    planned = plan([judgement], situation(open_tasks=[task]))
    assert [one.kind for one in planned.changes] == [ChangeKind.UPDATE_TASK] * updated
    for change in planned.changes:
        assert (change.crm_id, change.told, change.findings) == ("t1", TEXT, ("crm:Deal:1:premature",))
        assert change.task is not None
        assert (change.task.due, change.task.owner, change.handed_to) == (TEXT.due, TEXT.owner, None)
        assert "reachable" in change.criteria
        assert change.task.body != TEXT.body
        # Once it is told, there is nothing more to tell.
        now = replace(task, findings=change.findings, criteria=change.criteria, text=change.task)
        assert plan([judgement], situation(open_tasks=[now])).changes == ()


@pytest.mark.parametrize(
    ("owner", "fallback", "to"),
    [("ann", None, None), ("boss", None, "boss"), ("boss", "ann", "boss"), ("gone", "boss", "boss"),
     ("gone", None, None), ("queue", None, None), (None, "boss", "boss"), (None, None, None)],
)  # fmt: skip
@pytest.mark.parametrize("case", ["found", "found otherwise", "moved", "not found"])
def test_an_open_task_goes_with_its_record(
    tmp_path: Path, case: str, owner: str | None, fallback: str | None, to: str | None
) -> None:
    findings = ("crm:Deal:1:premature",)
    criteria = ("reachable", "answered", "met") if case != "found otherwise" else ("reachable", "met")
    task = OpenTask(object="Deal", record="1", crm_id="t1", findings=findings, criteria=criteria, text=TEXT)
    if case == "moved":
        task = replace(task, tells_of_a_move=True, before={"Stage": "New"})
    is_found = case in ("found", "found otherwise")
    one = deal("1", "Offer", owner=owner) if is_found else deal("1", "New", owner=owner, pain="slow")
    judgement = judged(tmp_path, one, rules={"premature": {"mode": "suggest"}})

    planned = plan([judgement], situation(open_tasks=[task], fallback_owner=fallback))

    changed = to is not None or case == "found otherwise"
    assert [one.kind for one in planned.changes] == [ChangeKind.UPDATE_TASK] * changed
    for change in planned.changes:
        assert change.task is not None
        assert (change.told, change.crm_id, change.task.owner) == (TEXT, "t1", to or TEXT.owner)
        assert change.handed_to == (to.title() if to else None)
        assert (change.task.body == TEXT.body) is (case != "found otherwise")
        assert change.before == task.before
        now = replace(task, findings=change.findings, criteria=change.criteria, text=change.task)
        again = plan([judgement], situation(open_tasks=[now], fallback_owner=fallback))
        assert again.changes == (), "it is handed on once"


# The cap ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "opened", "kept"),
    [
        (None, {}, {"1", "2", "3", "4"}),
        (2, {}, {"2", "3", "4"}),
        (2, {"ann": 1}, {"3", "4"}),
        (2, {"ann": 5, "boss": 1}, {"4"}),
        (0, {}, set()),
    ],
)
@pytest.mark.parametrize("mode", ["suggest", "enforce"])
def test_an_owner_gets_so_many_tasks_a_day_and_most_money_first(
    tmp_path: Path, mode: str, cap: int | None, opened: dict[str, int], kept: set[str]
) -> None:
    amounts = {"1": 10.0, "2": 20.0, "3": 30.0, "4": None}
    deals = [deal(name, "Offer", owner="boss" if name == "4" else "ann") for name in amounts]
    judgement = judged(tmp_path, *deals, rules={"premature": {"mode": mode}})
    money = judgement.records["record"].replace_strict(amounts, return_dtype=pl.Float64).alias("amount")
    judgement = replace(judgement, records=judgement.records.with_columns(money))
    planned = plan([judgement], situation(tasks_a_day=cap, opened_today=opened))
    assert {one.record for one in of(ChangeKind.OPEN_TASK, planned)} == kept
    # Nobody is moved without a word.
    assert {one.record for one in of(ChangeKind.SET_STAGE, planned)} == (kept if mode == "enforce" else set())
    assert {entry.record for entry in planned.left_out} == set(amounts) - kept
    assert all(f"gets {cap} tasks a day" in entry.reason for entry in planned.left_out)


# The guard --------------------------------------------------------------------------------------------------------


def changes(kind: ChangeKind, count: int, amount: float | None = None, of_object: str = "Deal") -> list[Change]:
    return [
        Change(key=f"{kind}{n}", kind=kind, connection="crm", object=of_object, record=str(n), record_name="x",
               rule="premature", mode=Mode.ENFORCE, reason="", amount=amount)
        for n in range(count)
    ]  # fmt: skip


LOOSE = Limits(stage_changes=10, share=1.0, money=None, tasks=10)
SCOPE = [Scope(connection="crm", object="Deal", in_scope=200, evaluated=100)]


@pytest.mark.parametrize(
    ("planned", "limits", "said"),
    [
        (changes(ChangeKind.SET_STAGE, 10), LOOSE, []),
        (changes(ChangeKind.SET_STAGE, 11), LOOSE, ["11 stages would be changed; the limit guard.stage_changes is 10"]),
        (changes(ChangeKind.OPEN_TASK, 11), LOOSE, ["11 tasks would be opened; the limit guard.tasks is 10"]),
        (changes(ChangeKind.CLOSE_TASK, 99), LOOSE, []),
        (changes(ChangeKind.SET_STAGE, 10), replace(LOOSE, share=0.1), []),
        (
            changes(ChangeKind.SET_STAGE, 10),
            replace(LOOSE, share=0.09),
            ["10.0% of the records of crm Deal would change their stage (10 of 100); the limit guard.share is 9.0%"],
        ),
        (
            changes(ChangeKind.SET_STAGE, 1, of_object="Lead"),
            replace(LOOSE, share=0.5),
            ["100.0% of the records of crm Lead"],
        ),
        (changes(ChangeKind.SET_STAGE, 2, amount=50.0), replace(LOOSE, money=100.0), []),
        (changes(ChangeKind.SET_STAGE, 2, amount=50.5), replace(LOOSE, money=100.0), ["101 in amounts of deals"]),
        (changes(ChangeKind.SET_STAGE, 2, amount=-50.5), replace(LOOSE, money=100.0), ["101 in amounts of deals"]),
        (changes(ChangeKind.OPEN_TASK, 2, amount=500.0), replace(LOOSE, money=100.0), []),
        (
            changes(ChangeKind.SET_STAGE, 1),
            Limits(stage_changes=0, share=0.0, money=0.0, tasks=0),
            ["1 stages", "1.0% of"],
        ),
    ],
)
def test_the_guard_refuses_by_number(planned: list[Change], limits: Limits, said: list[str]) -> None:
    refusals = check(Plan(changes=tuple(planned)), SCOPE, limits)
    assert len(refusals) == len(said)
    for refusal, words in zip(refusals, said, strict=True):
        assert words in refusal.message
        assert "Nothing was written" in refusal.message


def in_currencies(*amounts: tuple[float, str | None]) -> list[Change]:
    made = changes(ChangeKind.SET_STAGE, len(amounts))
    return [replace(one, amount=amount, currency=code) for one, (amount, code) in zip(made, amounts, strict=True)]


def test_the_guard_never_adds_two_currencies() -> None:
    planned = in_currencies((90.0, "EUR"), (90.0, "USD"), (90.0, None), (-20.0, "USD"), (900.0, "JPY"))
    refusals = check(Plan(changes=tuple(planned)), SCOPE, replace(LOOSE, money=100.0))
    assert [(one.limit, one.wanted) for one in refusals] == [("guard.money", 900.0), ("guard.money", 110.0)]
    assert "900 JPY in amounts of deals would change their stage" in refusals[0].message
    assert "110 USD in amounts of deals would change their stage" in refusals[1].message


def test_a_day_is_counted_by_currency_too() -> None:
    today, planned = in_currencies((80.0, "EUR"), (95.0, "USD")), in_currencies((30.0, "EUR"))
    limits = replace(LOOSE, per_day=Bound(money=100.0))
    (refusal,) = check(Plan(changes=tuple(planned)), SCOPE, limits, today=today)
    assert "110 EUR in amounts of deals today" in refusal.message
    assert "80 EUR and 95 USD of it by earlier runs" in refusal.message


NO_LIMITS = Limits(stage_changes=None, share=None, money=None, tasks=None)
NONE_AT_ALL = Limits(stage_changes=0, share=0.0, money=0.0, tasks=0, per_day=Bound(stage_changes=0))


def owned(owner: str, count: int, rule: str = "premature", of_object: str = "Deal") -> list[Change]:
    return [
        replace(one, key=f"{owner}{rule}{one.key}", owner=owner, owner_name=owner.title(), rule=rule)
        for one in changes(ChangeKind.SET_STAGE, count, 10.0, of_object)
    ]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            {"per_rule": Bound(stage_changes=3)},
            ["5 stages would be changed by rule premature; the limit guard.per"],
        ),
        ({"per_owner": Bound(stage_changes=3)}, ["4 stages would be changed of Ann; the limit guard.per_owner.stage_"]),
        (
            {"per_owner": Bound(money=39.0)},
            ["40 in amounts of deals of Ann would change their stage; the lim"],
        ),
        ({"per_object": Bound(stage_changes=5)}, ["6 stages would be changed in object Deal"]),
        (
            {"per_rule": Bound(share=0.04)},
            ["5.0% of the records of crm Deal would change their stage by rule "],
        ),
        ({"per_owner": Bound(stage_changes=4, tasks=0, money=40.0)}, []),
        ({"per_day": Bound(stage_changes=13)}, []),
        ({"per_day": Bound(stage_changes=12)}, ["13 stages would be changed today (7 stages, 0 tasks and 70 of it by"]),
        ({"per_day": Bound(money=100.0)}, ["130 in amounts of deals today (7 stages, 0 tasks and 70 of it"]),
    ],
)
def test_the_guard_counts_by_rule_object_owner_and_day(limits: dict[str, Any], said: list[str]) -> None:
    planned = Plan(changes=(*owned("ann", 4), *owned("bob", 1), *owned("bob", 1, rule="stalled")))
    today = [*owned("eve", 7), *owned("eve", 9, rule=REVERT)]
    refusals = check(planned, SCOPE, replace(NO_LIMITS, **limits), today=today)
    assert [one.message[: len(words)] for one, words in zip(refusals, said, strict=True)] == said
    assert all("--override REASON" in one.message and not one.final for one in refusals)
    # What is taken back is at most what was written.
    back = Plan(changes=tuple(owned("ann", 50, rule=REVERT)))
    assert (
        check(back, SCOPE, Limits(stage_changes=0, share=0.0, money=0.0, tasks=0, per_day=Bound(stage_changes=0))) == ()
    )


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("freeze", "moments"),
    [
        (
            {"start": date(2026, 12, 24), "end": date(2027, 1, 2)},
            # In Berlin the day begins an hour before it does in UTC.
            {"2026-12-23T22:59": None, "2026-12-23T23:00": "2027-01-03T00:00", "2027-01-02T22:59": "2027-01-03T00:00"},
        ),
        (
            {"of": "quarter", "last_days": 3},
            {"2026-09-27T21:59": None, "2026-09-27T22:00": "2026-10-01T00:00", "2026-09-30T22:00": None},
        ),
        (
            {"of": "quarter", "last_days": 1, "first_days": 2, "year_starts": 2},
            {"2026-01-30T22:59": None, "2026-01-30T23:00": "2026-02-03T00:00", "2026-03-31T12:00": None},
        ),
        ({"of": "month", "first_days": 1}, {"2026-02-28T23:00": "2026-03-02T00:00", "2026-02-28T22:00": None}),
        ({"of": "year", "last_days": 1}, {"2026-12-30T23:00": "2027-01-01T00:00", "2026-06-30T12:00": None}),
        (
            {"weekdays": frozenset({5, 6})},
            {"2026-11-20T22:59": None, "2026-11-20T23:00": "2026-11-23T00:00", "2026-11-22T22:00": "2026-11-23T00:00"},
        ),
        (
            {"hours": (time(18), time(7, 30))},
            {"2026-11-20T16:59": None, "2026-11-20T17:00": "2026-11-21T07:30", "2026-11-21T06:30": None},
        ),
        ({"hours": (time(9), time(10))}, {"2026-11-20T08:30": "2026-11-20T10:00", "2026-11-20T09:00": None}),
        ({"weekdays": frozenset({4}), "hours": (time(12), time())}, {"2026-11-20T11:00": "2026-11-21T00:00"}),
        # The night on which the clocks go back.
        ({"hours": (time(2), time(4))}, {"2026-10-25T00:30": "2026-10-25T04:00", "2026-10-25T03:00": None}),
    ],
)
def test_a_freeze_holds_in_the_days_of_its_zone(freeze: dict[str, Any], moments: dict[str, str | None]) -> None:
    window = Freeze(name="end", time_zone=BERLIN, reason="the books", **freeze)
    plans = Plan(changes=tuple(changes(ChangeKind.CLOSE_TASK, 1)))
    for moment, until in moments.items():
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        refusals = check(plans, SCOPE, LOOSE, freezes=[window], now=now)
        if until is None:
            assert (moment, refusals) == (moment, ())
            continue
        (refusal,) = refusals
        shown = until.replace("T", " ")
        assert f"the freeze window 'end' holds until {shown} (Europe/Berlin): the books. Nothing was" in refusal.message
        assert check(Plan(changes=()), SCOPE, LOOSE, freezes=[window], now=now) == ()


@pytest.mark.parametrize(
    ("protected", "kinds", "reason"),
    [
        (Protected(records=frozenset({"1"})), [], "guard.protect.records"),
        (Protected(owners=frozenset({"ANN"})), [], "guard.protect.owners"),
        (Protected(owners=frozenset({"ann"})), [], "guard.protect.owners"),
        (Protected(fields=frozenset({"Deal.Stage"})), [ChangeKind.OPEN_TASK], "Stage is protected"),
        (Protected(fields=frozenset({"Stage"})), [ChangeKind.OPEN_TASK], "guard.protect.fields"),
        (Protected(fields=frozenset({"Lead.Stage"})), [ChangeKind.SET_STAGE, ChangeKind.OPEN_TASK], None),
    ],
)
def test_what_is_protected_is_named_and_left(
    tmp_path: Path, protected: Protected, kinds: list[ChangeKind], reason: str | None
) -> None:
    planned = plan([judged(tmp_path, deal("1", "Offer"))], situation(protected=protected))
    assert [one.kind for one in planned.changes] == kinds
    assert all(reason is not None and reason in entry.reason for entry in planned.left_out)
    assert bool(planned.left_out) == (reason is not None)
    # A task that asks for evidence must not speak of a move that is not made.
    assert not any(one.tells_of_a_move for one in planned.changes if ChangeKind.SET_STAGE not in kinds)


# The calendar -----------------------------------------------------------------------------------------------------

FRIDAY, SATURDAY, SUNDAY, MONDAY = (date(2026, 3, day) for day in (13, 14, 15, 16))


@pytest.mark.parametrize(
    ("start", "length", "due"),
    [
        (FRIDAY, "0 business days", FRIDAY),
        (FRIDAY, "1 business day", MONDAY),
        (SATURDAY, "0 business days", MONDAY),
        (SATURDAY, "3 business days", date(2026, 3, 19)),
        (SUNDAY, "3 business days", date(2026, 3, 19)),
        (MONDAY, "5 business days", date(2026, 3, 23)),
        (FRIDAY, "1 day", MONDAY),
        (MONDAY, "2 days", date(2026, 3, 18)),
        (MONDAY, "1 week", date(2026, 3, 23)),
        (MONDAY, "25 hours", date(2026, 3, 18)),
        (MONDAY, "24 hours", date(2026, 3, 17)),
        (MONDAY, "30 minutes", date(2026, 3, 17)),
    ],
)
def test_a_task_is_due_on_a_working_day(start: date, length: str, due: date) -> None:
    assert due_date(start, Duration.parse(length), WorkingDays()) == due


@pytest.mark.parametrize(
    ("length", "after", "over"),
    [
        ("2 business days", timedelta(days=2), False),
        ("2 business days", timedelta(days=3), False),
        ("2 business days", timedelta(days=4), False),
        ("2 business days", timedelta(days=5), True),
        ("2 days", timedelta(days=2), False),
        ("2 days", timedelta(days=3), True),
        ("36 hours", timedelta(hours=35, minutes=59), False),
        ("36 hours", timedelta(hours=36), True),
        ("30 minutes", timedelta(minutes=29), False),
        ("30 minutes", timedelta(minutes=30), True),
    ],
)
def test_business_days_do_not_pass_on_a_weekend(length: str, after: timedelta, over: bool) -> None:
    thursday = datetime(2026, 3, 12, 12, tzinfo=UTC)
    assert is_over(thursday, Duration.parse(length), thursday + after, UTC_ZONE, WorkingDays()) is over


# Where a stalled record is parked ---------------------------------------------------------------------------------

PARKED = {"stalled": {"mode": "enforce", "move_to": "aside"}}
AGEING = [rung if rung.terminal else replace(rung, age=Limit(10, "days")) for rung in LADDER]


def stage_of_deals(value: str, *, closed: bool = False) -> NativeStage:
    return NativeStage(pipeline=None, value=value, label=f"{value}!", position=0, closed=closed)


def test_a_stalled_record_is_parked_where_its_rule_says(tmp_path: Path) -> None:
    stages = {"Deal": [stage_of_deals("Working"), stage_of_deals("Lost")]}
    planned = plan(
        [judged(tmp_path, deal("1", "Working", pain="slow"), rules=PARKED, ladder=AGEING)], situation(stages=stages)
    )
    (move,) = of(ChangeKind.SET_STAGE, planned)
    assert (dict(move.before), dict(move.after)) == ({"Stage": "Working"}, {"Stage": "Lost"})
    assert (move.rule, move.stage_from, move.stage_to) == ("stalled", "Working!", "Lost!")
    assert planned.changes == (move,)


def test_nothing_is_parked_without_a_place_or_without_leave(tmp_path: Path) -> None:
    record = deal("1", "Working", pain="slow")
    for rule in ({"mode": "enforce"}, {"mode": "suggest", "move_to": "aside"}, {"mode": "audit", "move_to": "aside"}):
        planned = plan([judged(tmp_path, record, rules={"stalled": rule}, ladder=AGEING)], situation())
        assert of(ChangeKind.SET_STAGE, planned) == []
        assert len(of(ChangeKind.OPEN_TASK, planned)) == (rule["mode"] != "audit")


@pytest.mark.parametrize(
    ("places", "stages", "said"),
    [
        (PLACES, [stage_of_deals("Lost", closed=True)], "closes the record, and only a person may do that"),
        ({"Working": "lead", "Offer": "deal"}, [], "there is no stage for 'aside' in this pipeline"),
    ],
)
def test_who_cannot_be_parked_gets_a_task(
    tmp_path: Path, places: Mapping[str, str], stages: list[NativeStage], said: str
) -> None:
    judgement = judged(tmp_path, deal("1", "Working", pain="slow"), rules=PARKED, places=places, ladder=AGEING)
    planned = plan([judgement], situation(stages={"Deal": stages}))
    assert [change.kind for change in planned.changes] == [ChangeKind.OPEN_TASK]
    assert [said in entry.reason for entry in planned.left_out] == [True]


def test_who_is_moved_to_the_earned_stage_is_not_parked_too(tmp_path: Path) -> None:
    rules = PARKED | {"premature": {"mode": "enforce"}}
    planned = plan([judged(tmp_path, deal("1", "Offer", pain="slow"), rules=rules, ladder=AGEING)], situation())
    (move,) = of(ChangeKind.SET_STAGE, planned)
    assert (move.rule, dict(move.after)) == ("premature", {"Stage": "Working"})
