"""A plan in a file is the plan that was made, and no edit of it goes unnoticed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stagesync.cli import show
from stagesync.errors import UsageError
from stagesync.model.changes import Change, ChangeKind, Ground, LeftOut, Outcome, Plan, Result, TaskText
from stagesync.model.kinds import Mode
from stagesync.planning.selection import chosen
from stagesync.report import plan_views
from stagesync.report.plans import (
    OUTSIDE,
    ApprovalRow,
    DefinitionsRow,
    PlanDocument,
    content_hash,
    parse_plan,
    plan_document,
    plan_of,
    plan_text,
)

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.dictionaries(WORDS, st.none() | WORDS, max_size=2)
TASKS = st.builds(TaskText, subject=WORDS, body=WORDS, due=st.dates(date(2000, 1, 1)), owner=WORDS)
GROUNDS = st.builds(Ground, criterion=WORDS, verdict=WORDS, reason=WORDS, value=st.none() | WORDS, source=st.none())


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Any change that a plan may hold: one of a stage has a precondition of its own, the others have none."""
    kind = draw(st.sampled_from(list(ChangeKind)))
    moves = kind is ChangeKind.SET_STAGE
    more: dict[str, Any] = {
        "before": draw(VALUES),
        "after": draw(VALUES) if moves else {},
        "seen": {} if moves else draw(VALUES),
        "modified": draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        "task": None if moves else draw(st.none() | TASKS),
        "told": None if moves else draw(st.none() | TASKS),
    }
    return Change(
        key=draw(WORDS),
        kind=kind,
        connection=draw(WORDS),
        object=draw(WORDS),
        record=draw(WORDS),
        record_name=draw(WORDS),
        rule=draw(WORDS),
        mode=draw(st.sampled_from(list(Mode))),
        reason=draw(WORDS),
        owner=draw(st.none() | WORDS),
        owner_name=draw(st.none() | WORDS),
        grounds=tuple(draw(st.lists(GROUNDS, max_size=2))),
        findings=tuple(draw(st.lists(WORDS, max_size=2))),
        criteria=tuple(draw(st.lists(WORDS, max_size=2))),
        amount=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        currency=draw(st.none() | WORDS),
        stage_from=draw(st.none() | WORDS),
        stage_to=draw(st.none() | WORDS),
        crm_id=draw(st.none() | WORDS),
        escalates=draw(st.none() | WORDS),
        asked_by=draw(st.none() | WORDS),
        adds=draw(st.none() | WORDS),
        **more,
    )


LEFT = st.builds(
    LeftOut, connection=WORDS, object=WORDS, record=WORDS, record_name=WORDS, rule=WORDS, reason=WORDS, stop=st.none()
)
PLANS = st.builds(
    Plan,
    changes=st.lists(changes(), max_size=4).map(tuple),
    left_out=st.lists(LEFT, max_size=2).map(tuple),
)


def document(plan: Plan) -> PlanDocument:
    definitions = DefinitionsRow(name="d", sha256="0" * 64, mappings={})
    return plan_document(
        plan,
        run="r",
        as_of=NOW,
        expires=NOW + timedelta(days=1),
        orgs={"crm": "1"},
        definitions=definitions,
        scopes=(),
        refusals=(),
    )


@given(PLANS)
def test_what_is_read_is_what_was_written(plan: Plan) -> None:
    made = document(plan)
    text = plan_text(made).encode()
    assert parse_plan(text) == made
    assert plan_of(parse_plan(text)) == plan
    # However it is spaced and ordered, it says the same.
    spaced = json.dumps(dict(reversed(json.loads(text).items())), indent=7, ensure_ascii=True).encode()
    assert content_hash(text) == content_hash(spaced) == made.sha256


def test_what_is_approved_is_put_together_once_and_follows_approvals() -> None:
    def signed(*keys: str) -> list[ApprovalRow]:
        return [ApprovalRow(by="Ana", at=NOW.isoformat(), note="", keys=list(keys))]

    first = structs.replace(document(Plan(changes=())), approvals=signed("a", "b"))
    assert first.approved == {"a", "b"}
    assert first.approved is first.approved  # asked for with every row of a plan of thousands
    second = structs.replace(first, approvals=[*first.approvals, *signed("c")])
    assert second.approved == {"a", "b", "c"}
    assert parse_plan(plan_text(second).encode()).approved == second.approved


def leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values."""
    if isinstance(data, dict):
        return [path, *(found for key, value in data.items() for found in leaves(value, (*path, key)))]
    if isinstance(data, list):
        return [path, *(found for place, value in enumerate(data) for found in leaves(value, (*path, place)))]
    return [path]


@given(PLANS, st.data())
def test_every_edit_changes_the_hash(plan: Plan, data: st.DataObject) -> None:
    made = document(plan)
    words = json.loads(plan_text(made))
    said = {key: value for key, value in words.items() if key not in OUTSIDE}
    path = data.draw(st.sampled_from([path for path in leaves(said) if path]))
    place = words
    for step in path[:-1]:
        place = place[step]
    if data.draw(st.booleans()) and isinstance(place, dict):
        del place[path[-1]]
    else:
        place[path[-1]] = [place[path[-1]], "edited"]
    assert content_hash(json.dumps(words).encode()) != made.sha256


@given(PLANS)
def test_every_form_shows_every_row_and_runs_nothing(plan: Plan) -> None:
    made = document(plan)
    for by in (None, "owner", "rule", "stage"):
        groups = plan_views.groups_of(made, by)
        assert sorted(one.key for group in groups for one in group.changes) == sorted(one.key for one in plan.changes)
        html = "".join(plan_views.plan_html(made, groups))
        assert html.count("<tr>") == len(plan.changes) + len(groups)
        rows = "".join(plan_views.plan_markdown(made, groups)).split("\n")
        # With the names of the columns, and the line below them.
        assert sum(line.startswith("| ") for line in rows) == len(plan.changes) + 2 * len(groups)


def row(key: str, **other: Any) -> Change:
    plain = Change(key=key, kind=ChangeKind.SET_STAGE, connection="crm", object="Deal", record=f"r{key}",
                   record_name=f"Deal {key}", rule="premature", mode=Mode.ENFORCE, reason="",
                   before={"Stage": "Offer"}, after={"Stage": "New"})  # fmt: skip
    return replace(plain, **other)


ROWS = [
    row("1", owner="0051", owner_name="Ana Lima", stage_from="Offer made"),
    row("2", owner="0052", owner_name="Ben"),
    row("3", rule="contradiction.close-date-passed", after={"Stage": "Lost"}),
]


@pytest.mark.parametrize(
    ("only", "without", "keys"),
    [
        ([], [], "123"),
        (["1", "r2"], [], "12"),
        (["deal 3"], [], "3"),
        (["owner=ana lima"], [], "1"),
        (["owner=0052", "record=Deal 1"], [], "12"),
        (["rule=contradiction"], [], "3"),
        (["rule=contradiction.close-date-passed"], [], "3"),
        (["stage=offer"], ["key=2"], "13"),
        (["stage=Offer made"], [], "1"),
        (["stage=lost"], [], "3"),
        ([], ["owner=Ben", "3"], "1"),
        (["kind=set-stage", "object=deal"], ["connection=CRM"], ""),
    ],
)
def test_rows_are_chosen_by_what_a_person_sees(only: list[str], without: list[str], keys: str) -> None:
    assert "".join(one.key for one in chosen(ROWS, only, without)) == keys


@pytest.mark.parametrize(
    ("term", "meant"),
    [("rule=prematur", "premature"), ("owner=anna lima", "Ana Lima"), ("deal3", "Deal 3"), ("rul=premature", "rule")],
)
def test_the_nearest_right_term_is_told(term: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{meant}'"):
        chosen(ROWS, [term], [])


def test_a_plan_says_how_much_of_what_and_the_money_of_each_currency() -> None:
    task = row("4", kind=ChangeKind.OPEN_TASK, amount=9.0, before={}, after={})
    rows = [row("1", amount=1200.0, currency="EUR"), row("2", amount=-30.0, currency="USD"), task]
    (_, said, money) = plan_views.heading(document(Plan(changes=tuple(rows))))
    assert said.startswith("3 changes (1 task to open, 2 stages to correct), 0 approved.")
    assert money == "The stages are of deals worth 1,200 EUR and 30 USD."


def test_what_is_not_planned_is_told_in_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def left(number: int) -> LeftOut:
        return LeftOut(connection="crm", object="Deal", record="1", record_name="", rule="stalled", reason=f"r{number}")

    plan = Plan(changes=(), left_out=(*map(left, range(25)), left(24)))
    show.not_planned(plan, 5)
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == ["Not planned, though a rule asks for it (26):", "  2 stalled: r24"]
    assert (len(said), said[-1]) == (23, "5 more reasons are not shown; --limit 0 shows all.")
    show.not_planned(plan, 0)
    assert len(capsys.readouterr().out.splitlines()) == 27


def test_what_was_not_done_is_named_what_failed_first(capsys: pytest.CaptureFixture[str]) -> None:
    became = [Result.APPLIED, Result.SUPERSEDED, Result.FAILED]
    results = [Outcome(key=one.key, result=result) for one, result in zip(ROWS, became, strict=True)]
    show.outcomes(ROWS, results, 1)
    said = capsys.readouterr().out
    assert ("Deal r3 (Deal 3): failed" in said, "Deal r2" in said) == (True, False)
    assert "1 more change is not shown; --limit 0 shows all." in said
    show.outcomes(ROWS, results, 0)
    assert "Deal r2 (Deal 2): left alone, somebody was faster" in capsys.readouterr().out


@pytest.mark.parametrize("term", ["owner=Zoe", "rule=prematur", "4", "", "=", "colour=red"])
def test_a_term_that_means_nothing_is_an_error(term: str) -> None:
    for only, without in (([term], []), ([], [term])):
        with pytest.raises(UsageError, match="means no row"):
            chosen(ROWS, only, without)
