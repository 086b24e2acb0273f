"""A task that its owner ended: when the manager gets one, who that is, and that it is one for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from stagesync.model.changes import Change, ChangeKind, TaskText
from stagesync.model.crm import Owner
from stagesync.model.tasks import Ending
from stagesync.model.waivers import Waiver
from stagesync.planning.escalation import Escalation, NamedManager, TaskEnd
from stagesync.planning.guard import Protected
from stagesync.planning.planner import plan
from stagesync.planning.situation import OpenTask
from stagesync.policy.calendars import Calendars, OwnerCalendar
from stagesync.policy.durations import Duration
from stagesync.policy.task_texts import Refused
from stagesync.policy.working_days import WorkingDays
from tests.unit.oracle import NOW
from tests.unit.test_planning import PEOPLE, deal, judged, situation

RULES = {"premature": {"mode": "suggest"}}
TEXT = TaskText(subject="old", body="asks for evidence", due=date(2026, 2, 2), owner="ann")
LONG_AGO = NOW - timedelta(days=30)
TEAM = [
    *(structs.replace(one, manager="boss" if one.id == "ann" else None) for one in PEOPLE),
    Owner(id="eve", name="Eve", email="eve@acme.example", active=True),
]
AFTER = Escalation(after=Duration.parse("10 business days"))


def ended(at: datetime = LONG_AGO, how: Ending = Ending.COMPLETED, **changed: Any) -> OpenTask:
    given_: dict[str, Any] = {
        "object": "Deal",
        "record": "1",
        "crm_id": "t1",
        "findings": ("crm:Deal:1:premature",),
        "criteria": ("reachable", "answered", "met"),
        "text": TEXT,
        "key": "stagesync-of-ann",
        "ended": TaskEnd(how=how, at=at),
    }
    return OpenTask(**given_ | changed)


def planned(
    folder: Path, tasks: Sequence[OpenTask], mode: str = "suggest", values: dict[str, Any] | None = None, **changed: Any
) -> Sequence[Change]:
    judgement = judged(folder, deal("1", "Offer", **(values or {})), rules={"premature": {"mode": mode}})
    return plan([judgement], situation(**{"owners": TEAM, "escalation": AFTER, "open_tasks": tasks} | changed)).changes


def test_the_manager_is_told_whose_record_what_is_missing_and_that_the_task_was_ended(tmp_path: Path) -> None:
    (change,) = planned(tmp_path, [ended()])
    assert (change.kind, change.owner, change.escalates) == (ChangeKind.OPEN_TASK, "boss", "stagesync-of-ann")
    assert change.task is not None
    assert change.task.owner == "boss"
    assert change.task.due == date(2026, 3, 16)
    assert "This record belongs to ann." in change.task.body
    assert f"Ann had a task about it, which was completed on {LONG_AGO.date()}" in change.task.body
    assert "write it down" in change.task.body
    assert change.seen == {"Stage": "Offer"}
    (deleted,) = planned(tmp_path, [ended(how=Ending.DELETED)])
    assert deleted.task is not None
    assert "which was deleted on" in deleted.task.body
    assert deleted.key == change.key, "how a task was ended makes no other task of it"


# NOW is Wednesday, 11 March 2026: ten working days before it is Wednesday, 25 February.
@pytest.mark.parametrize(
    ("at", "calendars", "told"),
    [
        (datetime(2026, 2, 24, 12, tzinfo=UTC), Calendars(), True),
        (datetime(2026, 2, 25, 12, tzinfo=UTC), Calendars(), False),
        (NOW + timedelta(days=400), Calendars(), False),
        (
            datetime(2026, 2, 24, 12, tzinfo=UTC),
            Calendars(
                of_owners=[
                    OwnerCalendar(
                        owners=frozenset({"Ann"}),
                        countries=frozenset(),
                        days=WorkingDays(closed=frozenset({date(2026, 3, 3)})),
                    )
                ]
            ),
            False,
        ),
    ],
)
def test_it_is_time_after_so_many_working_days_of_the_one_who_ended_it(
    tmp_path: Path, at: datetime, calendars: Calendars, told: bool
) -> None:
    assert bool(planned(tmp_path, [ended(at)], calendars=calendars)) is told


@pytest.mark.parametrize(
    ("case", "changed"),
    [
        ("it is not set", {"escalation": Escalation()}),
        ("nobody is known", {"owners": [structs.replace(one, manager=None) for one in TEAM]}),
        ("nobody but the owner", {"owners": [structs.replace(one, manager=one.id) for one in TEAM]}),
        ("the record is protected", {"protected": Protected(records=frozenset({"1"}))}),
        ("its owner is protected", {"protected": Protected(owners=frozenset({"Ann"}))}),
        ("the manager has no room today", {"tasks_a_day": 1, "opened_today": {"boss": 1}}),
    ],
)
def test_nobody_is_told_where(tmp_path: Path, case: str, changed: dict[str, Any]) -> None:
    assert not planned(tmp_path, [ended()], **changed), case


@pytest.mark.parametrize(
    "task",
    [
        ended(ended=None),
        ended(findings=("crm:Deal:1:stalled",)),
    ],
)
def test_no_task_that_is_open_or_of_other_findings_is_told_of(tmp_path: Path, task: OpenTask) -> None:
    assert not [one for one in planned(tmp_path, [task]) if one.escalates]


@pytest.mark.parametrize(
    ("named", "owners", "fallback", "gets"),
    [
        ([], {}, None, "boss"),
        ([], {"ann": "bob"}, "eve", "eve"),
        ([], {"ann": "bob"}, None, None),
        ([], {"ann": "queue"}, "eve", "eve"),
        ([], {"ann": "nobody"}, "eve", "eve"),
        ([], {"ann": "ann"}, "ann", None),
        ([NamedManager(manager="eve@acme.example")], {}, None, "eve"),
        ([NamedManager(manager="Eve", owners=frozenset({"Ann"}))], {}, None, "eve"),
        ([NamedManager(manager="Eve", owners=frozenset({"boss"}))], {}, None, "boss"),
        ([NamedManager(manager="eve", owners=frozenset({"boss"})), NamedManager(manager="Boss")], {}, None, "boss"),
        ([NamedManager(manager="who?")], {}, "eve", "eve"),
    ],
)
def test_who_the_manager_is(
    tmp_path: Path, named: list[NamedManager], owners: dict[str, str], fallback: str | None, gets: str | None
) -> None:
    people = [structs.replace(one, manager=owners.get(one.id, one.manager)) for one in TEAM]
    changes = planned(
        tmp_path, [ended()], owners=people, fallback_owner=fallback, escalation=replace(AFTER, named=named)
    )
    assert [one.owner for one in changes] == ([gets] if gets else [])


def manager_task(change: Change, **changed: Any) -> OpenTask:
    """The task of a change, as a later run finds it in the ledger."""
    given_: dict[str, Any] = {
        "object": change.object,
        "record": change.record,
        "crm_id": "t2",
        "findings": change.findings,
        "criteria": change.criteria,
        "text": change.task,
        "key": change.key,
        "escalates": change.escalates,
    }
    return OpenTask(**given_ | changed)


def test_there_is_never_a_third(tmp_path: Path) -> None:
    (change,) = planned(tmp_path, [ended()])
    for end in (None, TaskEnd(how=Ending.COMPLETED, at=LONG_AGO)):
        assert not planned(tmp_path, [ended(), manager_task(change, ended=end)])
    # With an empty ledger the same task comes with the same key, which the CRM knows.
    assert planned(tmp_path, [ended()]) == (change,)


def test_the_managers_task_says_what_is_found_now(tmp_path: Path) -> None:
    (change,) = planned(tmp_path, [ended()])
    before = ended(criteria=("reachable", "met"))
    tasks = [before, manager_task(change, criteria=("reachable", "met"))]
    changes = planned(tmp_path, tasks)
    (told,) = [one for one in changes if one.crm_id == "t2"]
    assert (told.kind, told.escalates, told.told) == (ChangeKind.UPDATE_TASK, "stagesync-of-ann", change.task)
    assert told.task is not None
    assert told.task.owner == "boss"
    assert "had a task about it" in told.task.body


@pytest.mark.parametrize(("active", "to"), [(True, None), (False, "eve")])
def test_a_managers_task_stays_with_the_manager_unless_the_manager_left(
    tmp_path: Path, active: bool, to: str | None
) -> None:
    (change,) = planned(tmp_path, [ended()])
    people = [structs.replace(one, active=active) if one.id == "boss" else one for one in TEAM]
    changes = planned(tmp_path, [ended(), manager_task(change)], owners=people, fallback_owner="eve")
    assert [(one.crm_id, one.owner, one.escalates) for one in changes] == (
        [("t2", to, "stagesync-of-ann")] if to else []
    )


def test_both_close_once_the_evidence_is_there(tmp_path: Path) -> None:
    (change,) = planned(tmp_path, [ended()])
    there = {"pain": "slow", "replies": 1, "calls": 1}
    changes = planned(tmp_path, [ended(), manager_task(change)], values=there)
    assert {(one.kind, one.crm_id) for one in changes} == {(ChangeKind.CLOSE_TASK, "t1"), (ChangeKind.CLOSE_TASK, "t2")}
    by_id = {one.crm_id: one for one in changes}
    assert by_id["t2"].task is not None
    assert "Thank you" in by_id["t2"].task.body


def test_a_record_that_is_moved_now_is_not_told_of(tmp_path: Path) -> None:
    changes = planned(tmp_path, [ended()], mode="enforce")
    assert [one.kind for one in changes] == [ChangeKind.SET_STAGE]


PERSON = st.builds(
    Owner,
    id=st.sampled_from("abcd"),
    name=st.sampled_from(["Ann", "Bob", "Cy"]),
    email=st.none() | st.sampled_from(["x@acme.example", "y@acme.example"]),
    active=st.booleans(),
    queue=st.booleans(),
    manager=st.none() | st.sampled_from("abcde"),
)
NAMES = st.sampled_from([*"abcde", "Ann", "Bob", "x@acme.example"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(PERSON, unique_by=lambda one: one.id),
    st.lists(st.builds(NamedManager, manager=NAMES, owners=st.frozensets(NAMES, max_size=2)), max_size=3),
    st.none() | st.sampled_from("abcde"),
)
def test_a_manager_is_an_active_person_and_somebody_else(
    people: list[Owner], named: list[NamedManager], fallback: str | None
) -> None:
    known = {one.id: one for one in people}
    for owner in people:
        manager = Escalation(named=named).manager(owner, known, fallback)
        if manager is not None:
            assert manager.active
            assert not manager.queue
            assert manager.id != owner.id
        elif not named and owner.manager in known and owner.manager != owner.id:
            assert not known[owner.manager].active or known[owner.manager].queue


@pytest.mark.parametrize(
    ("rules", "criteria", "closes"),
    [
        (["premature"], ("reachable", "answered", "met"), True),
        (["reachable", "answered", "met"], ("reachable", "answered", "met"), True),
        # "met" is still asked for, though the rest of the ladder is waived.
        (["reachable", "answered"], ("reachable", "answered", "met"), False),
        (["stalled"], ("reachable", "answered", "met"), False),
        ([], ("reachable", "answered", "met"), False),
    ],
)
@pytest.mark.parametrize("asks", [False, True])
def test_a_task_closes_when_a_waiver_is_granted(
    tmp_path: Path, rules: list[str], criteria: tuple[str, ...], closes: bool, asks: bool
) -> None:
    waivers = [
        Waiver(id=f"w{n}", rule=rule, connection="crm", object="Deal", record="1", reason="so", by="ada",
               until=date(2099, 1, 1))
        for n, rule in enumerate(rules)
    ]  # fmt: skip
    (change,) = planned(tmp_path, [ended()])
    tasks = [ended(ended=None), manager_task(change)]
    judgement = judged(tmp_path, deal("1", "Offer"), rules={"premature": {"mode": "suggest"}}, granted=waivers)
    if asks:
        judgement = replace(judgement, asked={"1": "the board signs"})
    changes = plan([judgement], situation(owners=TEAM, escalation=AFTER, open_tasks=tasks)).changes
    closed = [one for one in changes if one.kind is ChangeKind.CLOSE_TASK]
    assert [one.crm_id for one in sorted(closed, key=lambda one: str(one.crm_id))] == (["t1", "t2"] if closes else [])
    for one in closed:
        assert one.task is not None
        assert "A waiver was granted" in one.task.body
        assert "Thank you" not in one.task.body


def test_nothing_is_planned_while_a_task_asks(tmp_path: Path) -> None:
    for mode in ("suggest", "enforce"):
        judgement = judged(tmp_path, deal("1", "Offer"), rules={"premature": {"mode": mode}})
        asked = replace(judgement, asked={"1": "the board signs"})
        found = plan([asked], situation(owners=TEAM, escalation=AFTER, open_tasks=[ended()]))
        assert found.changes == ()
        assert "a waiver is asked for: 'the board signs'" in found.left_out[0].reason


def test_a_task_says_how_to_ask(tmp_path: Path) -> None:
    judgement = judged(tmp_path, deal("1", "Offer"), rules={"premature": {"mode": "suggest"}})
    by_field = replace(judgement, mapped=structs.replace(judgement.mapped, waiver_request="Waiver__c"))
    labels = {f"{judgement.mapped.table.name}.Waiver__c": "Ask for a waiver"}
    for one, status, fields, words in (
        (judgement, None, {}, "leave a note on the record and tell your CRM admin"),
        (by_field, None, {}, "write the reason into the field 'Waiver__c' of the record"),
        (by_field, None, labels, "write the reason into the field 'Ask for a waiver' of the record"),
        (by_field, "Deferred", labels, "give this task the status 'Deferred' and write the reason into it"),
    ):
        (change,) = plan([one], situation(waiver_status_shown=status, fields=fields)).changes
        assert change.task is not None
        assert f"If you disagree, {words}" in change.task.body


@pytest.mark.parametrize(
    ("task", "values", "kind"),
    [
        ({}, {}, ChangeKind.UPDATE_TASK),
        # What is found now is told by the next run, so that the answer is not lost.
        ({"criteria": ("reachable", "met")}, {}, ChangeKind.UPDATE_TASK),
        ({}, {"pain": "slow", "replies": 1, "calls": 1}, ChangeKind.CLOSE_TASK),
    ],
)
@pytest.mark.parametrize("mode", ["suggest", "enforce"])
def test_a_refusal_is_said_in_the_task_and_stops_nothing(
    tmp_path: Path, mode: str, task: dict[str, Any], values: dict[str, Any], kind: ChangeKind
) -> None:
    refused = Refused(by="Ben", reason="the board has signed", day=date(2026, 3, 10))
    asking = ended(ended=None, refused=refused, **task)
    changes = planned(tmp_path, [asking], mode=mode, values=values, waiver_status="WAITING")
    (of_task,) = [one for one in changes if one.kind is not ChangeKind.SET_STAGE]
    assert of_task.kind is kind
    assert len(changes) == 1 + (mode == "enforce" and not values)
    if kind is ChangeKind.UPDATE_TASK:
        assert (of_task.asked_by, of_task.told, of_task.crm_id) == ("WAITING", TEXT, "t1")
        first, last = str(of_task.adds).splitlines()
        assert first == "The waiver was refused by Ben on 2026-03-10: the board has signed"
        assert last == "What this task asks for is still needed."
        assert of_task.task == replace(TEXT, body=f"{TEXT.body}\n\n{of_task.adds}")
        assert (of_task.findings, of_task.criteria) == (asking.findings, asking.criteria)
        later = replace(refused, day=date(2026, 3, 11))
        (another,) = planned(tmp_path, [replace(asking, refused=later)], waiver_status="WAITING")
        assert another.key != of_task.key, "a second refusal is said as well"
