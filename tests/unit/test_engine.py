"""The audit against the oracle: drawn definitions, mappings and tables; and the laws that hold for all of them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.audit import verdicts
from stagesync.audit.evidence import Tables
from stagesync.audit.masks import Frame
from stagesync.audit.verdicts import Condition, Conditions
from stagesync.model.findings import essence_of
from stagesync.policy.expressions import parse
from tests.thorough import tries
from tests.unit import oracle
from tests.unit.oracle import NOW
from tests.unit.trees import VOCABULARY
from tests.unit.worlds import (
    World,
    auditor_of,
    definition_words,
    found,
    judgement,
    mapping_words,
    ours,
    owners,
    since,
    tables,
    worlds,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@settings(max_examples=tries(ordinary=30, soak=500))
@given(worlds())
def test_the_audit_agrees_with_the_oracle(folder: Path, world: World) -> None:
    judged = judgement(world, folder)
    expected = {one.id: oracle.judged(one, world.known_to_oracle, world.read_by_oracle) for one in world.records}
    standing = {record: verdict for record, verdict in expected.items() if verdict is not None}
    assert found(judged) == {record: verdict.rules for record, verdict in standing.items()}
    assert since(judged) == {record: verdict.since for record, verdict in standing.items()}
    bounds = zip(judged.records["record"].to_list(), judged.low.tolist(), judged.high.tolist(), strict=True)
    assert {record: (low, high) for record, low, high in bounds} == {
        record: (verdict.low, verdict.high) for record, verdict in standing.items()
    }
    assert judged.scope.in_scope == len(world.records)
    assert judged.scope.evaluated + sum(judged.scope.skipped.values()) == len(world.records)


@settings(max_examples=tries(ordinary=30, soak=500))
@given(worlds(), st.sets(st.sampled_from(sorted(VOCABULARY)), min_size=1, max_size=4), st.booleans())
def test_knowing_less_never_demotes(folder: Path, world: World, lost: set[str], by_row: bool) -> None:
    if by_row:
        records = [replace(one, unreadable=one.unreadable | lost) for one in world.records]
        less = replace(world, records=records)
    else:
        less = replace(world, absent=world.absent | lost - world.rules.gaps)
    before, after = judgement(world, folder), judgement(less, folder)
    assert (before.low <= before.high).all()
    assert (after.low <= before.low).all()
    assert (after.high >= before.high).all()
    for record, rules in found(after).items():
        assert rules <= found(before)[record], "an unknown never makes a finding"


@settings(max_examples=tries(ordinary=20, soak=300))
@given(worlds())
def test_few_records_are_judged_as_many_are(folder: Path, world: World) -> None:
    one_by_one = judgement(world, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "FEW", 0)
        in_columns = judgement(world, folder)
    assert list(one_by_one.each()) == list(in_columns.each())
    assert one_by_one.not_judged == in_columns.not_judged
    assert (one_by_one.low.tolist(), one_by_one.high.tolist()) == (in_columns.low.tolist(), in_columns.high.tolist())
    for record in world.records:
        assert one_by_one.verdicts(record.id) == in_columns.verdicts(record.id)


def test_a_date_beyond_the_years_of_python_is_judged_like_any_other() -> None:
    days = pl.Series("close_date", [7_000_000, 0, None], dtype=pl.Int32).cast(pl.Date).to_frame()
    frame = Frame(now=NOW, time_zone=ZoneInfo("UTC"))
    ahead = Condition(parse("close_date > today()", VOCABULARY))
    found = Conditions(asked={"ahead": ahead}, frame=frame).truths(days)
    assert found["ahead"].to_list() == [True, False, False]


@settings(max_examples=15)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(folder: Path, world: World, chance: random.Random) -> None:
    read = tables(world)
    shuffled = {}
    for name, rows in read.rows.items():
        order, columns = list(range(rows.height)), list(rows.columns)
        chance.shuffle(order)
        chance.shuffle(columns)
        shuffled[name] = rows[order].select(columns)
    one = judgement(world, folder, read)
    other = judgement(world, folder, Tables(rows=shuffled, missing=read.missing))
    assert sorted(one.each(), key=lambda it: it.key) == sorted(other.each(), key=lambda it: it.key)
    assert one.scope == other.scope
    assert one.not_judged == other.not_judged


@settings(max_examples=15)
@given(worlds())
def test_keys_are_unique_and_the_same_audit_says_the_same_twice(folder: Path, world: World) -> None:
    one, other = judgement(world, folder), judgement(world, folder)
    keys = [finding.key for finding in one.each()]
    assert len(keys) == len(set(keys))
    assert list(one.each()) == list(other.each())
    assert all(
        key == f"crm:Deal:{finding.record}:{finding.rule}" for key, finding in zip(keys, one.each(), strict=True)
    )
    for finding in one.each():
        assert all(evidence.reason for evidence in finding.evidence)


@settings(max_examples=10)
@given(worlds())
def test_a_page_of_records_is_judged_as_each_of_them_alone(folder: Path, world: World) -> None:
    # A text is pasted only beside others, so nobody can paste alone.
    world = replace(world, rules=replace(world.rules, pasted=None))
    together = found(judgement(world, folder))
    # One auditor for all pages: what is unknown on one of them says nothing about the next.
    auditor = auditor_of(definition_words(world.rules), mapping_words(world.rules), folder, world)
    for record in world.records:
        page = tables(replace(world, records=[record]))
        (judged,) = auditor.judge(connection="crm", tables=page, owners=owners(world), written=ours(world))
        assert found(judged) == {key: rules for key, rules in together.items() if key == record.id}


@settings(max_examples=25)
@given(worlds())
def test_the_essences_in_columns_are_those_of_the_objects(folder: Path, world: World) -> None:
    judged = judgement(world, folder)
    findings = list(judged.each())
    batches = list(judged.batches())
    assert [one for batch in batches for one in batch.records] == [finding.record for finding in findings]
    assert [one for batch in batches for one in batch.essences] == [essence_of(finding) for finding in findings]
    parts = [part for batch in batches for part in batch.told(range(len(batch.records)), 3)]
    assert all(len(part.record) <= 3 for part in parts)
    assert [one for part in parts for one in part.objects()] == findings
