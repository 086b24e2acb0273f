"""By hand, what chance draws too seldom: since when a record stands, what is stalled, who is in scope and owned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from tests.unit.oracle import NOW, Limit, Moment, Record, Rules, Rung
from tests.unit.trees import VOCABULARY
from tests.unit.worlds import (
    OWNERS,
    World,
    definition_words,
    found,
    judge_words,
    judgement,
    mapping_words,
    since,
    tables,
)

BLANK = dict.fromkeys(VOCABULARY)
PLACES = {"Open": "deal", "Talks": "deal", "Won": "customer", "Parked": "aside"}


def day(n: int) -> datetime:
    return NOW - timedelta(days=n)


def world(
    *records: Record, idle: str | None = None, age: str | None = None, zone: str = "UTC", **more: object
) -> World:
    def limit(text: str | None) -> Limit | None:
        return Limit(int(text.split(" ", 1)[0]), text.split(" ", 1)[1]) if text else None

    rungs = [
        Rung("deal", {}, idle=limit(idle), age=limit(age)),
        Rung("customer", {"bought": ("truth", "won")}, terminal=True),
    ]
    moment = Moment(more.pop("now", NOW), ZoneInfo(zone))  # type: ignore[arg-type]
    return World(Rules(rungs, {}, PLACES, **more), records, moment)  # type: ignore[arg-type]


def record(native: str = "Open", *history: tuple[datetime, str], **more: object) -> Record:
    given = {"id": "r0", "values": BLANK, "owner": "ann"} | more
    return Record(native=native, history=history, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("native", "history", "began"),
    [
        ("Open", [(day(9), "Open")], day(9)),
        ("Open", [(day(9), "Open"), (day(5), "Open"), (day(2), "Open")], day(9)),
        ("Open", [(day(9), "Open"), (day(5), "Talks"), (day(2), "Open")], day(2)),
        # Two native stages of one rung are two stages: the run is that of the native one.
        ("Talks", [(day(9), "Open"), (day(5), "Talks")], day(5)),
        # Of rows of the same second the one into the present stage came last, in whatever order they are read.
        ("Open", [(day(9), "Open"), (day(5), "Talks"), (day(5), "Open")], day(5)),
        ("Open", [(day(5), "Open"), (day(5), "Talks"), (day(9), "Open")], day(5)),
        # A history that ends elsewhere, or that begins in the future, does not explain the present.
        ("Open", [(day(9), "Open"), (day(5), "Talks")], day(20)),
        ("Open", [(day(-3), "Open")], day(20)),
        ("Open", [], day(20)),
    ],
)
def test_a_record_stands_in_its_stage_since_the_start_of_its_last_unbroken_run(
    tmp_path: Path, native: str, history: list[tuple[datetime, str]], began: datetime
) -> None:
    it = world(record(native, *history, entered=day(20), created=day(30)))
    assert since(judgement(it, tmp_path)) == {"r0": began}
    assert since(judgement(replace(it, records=[replace(it.records[0], history=history[::-1])]), tmp_path)) == {
        "r0": began
    }


def test_dates_ahead_say_nothing_and_the_source_is_named(tmp_path: Path) -> None:
    for entered, created, source in (
        (day(2), day(5), "the CRM's own date"),
        (day(-2), day(5), "creation of the record"),
        (None, day(5), "creation of the record"),
        (day(-2), day(-5), None),
    ):
        judged = judgement(world(record(entered=entered, created=created)), tmp_path)
        assert judged.records["since_source"].to_list() == [source]


MONDAY = datetime(2026, 3, 16, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entered", "now", "limit", "zone", "over"),
    [
        # From Friday to Monday one business day passes; the limit of one is not exceeded before Tuesday.
        (datetime(2026, 3, 13, 9, tzinfo=UTC), MONDAY, "1 business days", "UTC", False),
        (datetime(2026, 3, 13, 9, tzinfo=UTC), MONDAY + timedelta(days=1), "1 business days", "UTC", True),
        (datetime(2026, 3, 14, 9, tzinfo=UTC), MONDAY + timedelta(days=1), "1 business days", "UTC", False),
        # 20:00 UTC on Thursday is Friday in Auckland.
        (datetime(2026, 3, 12, 20, tzinfo=UTC), MONDAY, "1 business days", "UTC", True),
        (datetime(2026, 3, 12, 20, tzinfo=UTC), MONDAY, "1 business days", "Pacific/Auckland", False),
        (datetime(2026, 3, 13, 9, tzinfo=UTC), MONDAY, "2 days", "UTC", True),
        (datetime(2026, 3, 13, 9, tzinfo=UTC), MONDAY, "3 days", "UTC", False),
        (MONDAY - timedelta(hours=35), MONDAY, "36 hours", "UTC", False),
        (MONDAY - timedelta(hours=36), MONDAY, "36 hours", "UTC", True),
        (MONDAY - timedelta(minutes=30), MONDAY, "30 minutes", "UTC", True),
    ],
)
def test_age_is_counted_in_the_days_of_the_time_zone(
    tmp_path: Path, *, entered: datetime, now: datetime, limit: str, zone: str, over: bool
) -> None:
    it = world(record(entered=entered), age=limit, zone=zone, now=now)
    assert ("stalled" in found(judgement(it, tmp_path))["r0"]) is over


@pytest.mark.parametrize(
    ("active", "entered", "stalled"),
    [
        (day(20), day(30), True),
        (day(2), day(30), False),
        (day(20), day(2), False),
        (day(-2), day(30), True),  # an activity ahead is none
        (None, day(30), True),
        (None, None, False),
    ],
)
def test_idle_counts_from_the_last_thing_that_happened(
    tmp_path: Path, active: datetime | None, entered: datetime | None, stalled: bool
) -> None:
    it = world(record(values=BLANK | {"last_activity": active}, entered=entered), idle="10 days")
    assert ("stalled" in found(judgement(it, tmp_path))["r0"]) is stalled


def test_who_was_active_when_nobody_knows_is_not_idle_and_that_is_said(tmp_path: Path) -> None:
    quiet = record(entered=day(90))
    for it in (
        world(quiet, idle="10 days", gaps=frozenset({"last_activity"})),
        replace(world(quiet, idle="10 days"), absent=frozenset({"last_activity"})),
        world(replace(quiet, unreadable=frozenset({"last_activity"})), idle="10 days"),
    ):
        judged = judgement(it, tmp_path)
        assert "stalled" not in found(judged)["r0"]
        assert [(one.criterion, one.records) for one in judged.not_judged] == [("stalled (idle)", 1)]


@pytest.mark.parametrize(
    ("owner", "known", "unowned"),
    [
        (None, True, True), ("ann", True, False), ("bob", True, True), ("queue", True, False), ("gone", True, True),
        (None, False, True), ("anybody", False, False),
    ],
)  # fmt: skip
def test_a_record_without_somebody_who_works_here_is_unowned(
    tmp_path: Path, owner: str | None, known: bool, unowned: bool
) -> None:
    it = world(record(owner=owner), active_owners=OWNERS if known else None)
    assert ("unowned" in found(judgement(it, tmp_path))["r0"]) is unowned


def scoped(folder: Path, rows: pl.DataFrame, **mapping: object) -> Judgement:
    it = world(record())
    words = mapping_words(it.rules)
    words["objects"]["Deal"] |= mapping
    whole = tables(it).rows["Deal"].drop("Id", "Stage").join(rows, how="cross")
    return judge_words(definition_words(it.rules), words, folder, it, Tables(rows={"Deal": whole}))


def test_every_row_is_judged_or_counted_with_its_reason(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "Id": ["a", "a", None, "b", "c", "d", "e"],
            "Stage": ["Open", "Won", "Open", "Nobody mapped", None, "Open", "Nobody mapped"],
            "Converted": [False, False, False, None, False, True, True],
        }
    )
    judged = scoped(tmp_path, rows, skip={"Converted": "converted"})
    assert judged.scope.skipped == {
        "the id stands more than once; the first row was judged": 1,
        "the row has no id": 1,
        "the mapping does not know the stage 'Nobody mapped'": 1,
        "the record has no stage": 1,
        "converted": 2,
    }
    assert (judged.scope.in_scope, judged.scope.evaluated, judged.complete) == (7, 1, False)


def test_a_blank_stage_may_be_mapped(tmp_path: Path) -> None:
    rows = pl.DataFrame({"Id": ["a"], "Stage": [None]}, schema={"Id": pl.String, "Stage": pl.String})
    stage = {"field": "Stage", "stages": {"": "deal", "Won": "customer"}}
    assert scoped(tmp_path, rows, stage=stage).records["place"].to_list() == ["deal"]


def test_a_stage_is_that_of_its_pipeline(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "Id": list("abcdef"),
            "Stage": ["Open", "Open", None, "Open", "Won", "Open"],
            "Pipe": ["new", "renewal", "renewal", "other", "new", None],
        }
    )
    stages = {"new": {"Open": "deal"}, "renewal": {"Open": "aside", "": "customer", "Won": "customer"}}
    judged = scoped(tmp_path, rows, stage={"field": "Stage", "pipeline": "Pipe", "stages": stages})
    assert judged.records.select("record", "place", "position").rows() == [
        ("a", "deal", 0),
        ("b", "aside", -1),
        ("c", "customer", 1),
    ]
    assert judged.scope.skipped == {
        "the mapping does not know the stage 'other / Open'": 1,
        "the mapping does not know the stage 'new / Won'": 1,
        "the mapping does not know the stage '(none) / Open'": 1,
    }


@pytest.mark.parametrize("column", ["Id", "Stage"])
def test_without_ids_or_stages_nothing_is_judged_and_the_audit_is_incomplete(tmp_path: Path, column: str) -> None:
    rows = pl.DataFrame({"Id": ["a", "b"], "Stage": ["Open", "Open"]}).drop(column)
    judged = scoped(tmp_path, rows)
    assert (judged.scope.in_scope, judged.scope.evaluated, judged.complete) == (2, 0, False)
    assert judged.scope.skipped == {f"Deal.{column}: was not read": 2}
