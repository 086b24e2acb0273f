"""The audit against the oracle: drawn definitions, mappings and tables; and the laws that hold for all of them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.audit.evidence import Tables
from tests.unit import oracle
from tests.unit.trees import VOCABULARY
from tests.unit.worlds import World, found, judgement, since, tables, worlds


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@settings(max_examples=60)
@given(worlds())
def test_the_audit_agrees_with_the_oracle(folder: Path, world: World) -> None:
    judged = judgement(world, folder)
    expected = {one.id: oracle.judged(one, world.known_to_oracle, world.moment) for one in world.records}
    standing = {record: verdict for record, verdict in expected.items() if verdict is not None}
    assert found(judged) == {record: verdict.rules for record, verdict in standing.items()}
    assert since(judged) == {record: verdict.since for record, verdict in standing.items()}
    bounds = zip(judged.records["record"].to_list(), judged.low.tolist(), judged.high.tolist(), strict=True)
    assert {record: (low, high) for record, low, high in bounds} == {
        record: (verdict.low, verdict.high) for record, verdict in standing.items()
    }
    assert judged.scope.in_scope == len(world.records)
    assert judged.scope.evaluated + sum(judged.scope.skipped.values()) == len(world.records)


@settings(max_examples=60)
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
    together = found(judgement(world, folder))
    for record in world.records:
        alone = found(judgement(replace(world, records=[record]), folder))
        assert alone == {key: rules for key, rules in together.items() if key == record.id}
