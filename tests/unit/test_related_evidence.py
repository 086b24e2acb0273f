"""Counts, largest and smallest over related rows: of the record, of its people, and of sources that say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings

from stagesync.audit.engine import judge
from stagesync.audit.evidence import RECORD, Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping
from tests.unit.oracle import NOW
from tests.unit.touches import (
    DEALS,
    DEFINITION,
    ITEMS,
    UNKNOWN,
    Account,
    Case,
    Tie,
    Touch,
    Way,
    cases,
    mapping_words,
    reckoned,
    tables,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("touched")


def judged(folder: Path, mapping: Mapping[str, Any], read: Tables) -> Judgement:
    (folder / "definition.yaml").write_text(json.dumps(DEFINITION), encoding="utf-8")
    (folder / "mapping.yaml").write_text(json.dumps(mapping), encoding="utf-8")
    definition = load_definition(folder / "definition.yaml")
    frame = Frame(now=NOW, time_zone=ZoneInfo("UTC"))
    (found,) = judge(
        connection="crm",
        definition=definition,
        mapping=load_mapping(folder / "mapping.yaml", definition),
        tables=read,
        owners=(),
        frame=frame,
    )
    return found


def gathered(folder: Path, case: Case, read: Tables | None = None) -> dict[str, Any]:
    """Each item's value by deal, as the product has it."""
    evidence = judged(folder, mapping_words(case), read or tables(case)).evidence
    result: dict[str, Any] = {}
    for item in ITEMS:
        if item in evidence.unknown:
            result[item] = UNKNOWN
            continue
        values = dict(zip(evidence.rows[RECORD].to_list(), evidence.rows[item].to_list(), strict=True))
        flag = item + UNREADABLE
        broken = evidence.rows.filter(pl.col(flag))[RECORD].to_list() if flag in evidence.rows.columns else []
        result[item] = values | dict.fromkeys(broken, UNKNOWN)
    return result


@settings(max_examples=200)
@given(cases())
def test_the_product_reckons_as_the_oracle_does(folder: Path, case: Case) -> None:
    assert gathered(folder, case) == reckoned(case)


CALL = Touch("d1", "p1", done=True, day=3)
BOTH = Case([CALL], [Tie("p1", "d1"), Tie("p1", "d2"), Tie("p2", "d1")], "both", True, False, associated=False)
each_crm = pytest.mark.parametrize("associated", [False, True], ids=["columns", "associations"])


@pytest.mark.parametrize("way", ["record", "people", "both"])
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_what_hangs_on_a_person_account_belongs_to_its_deals(folder: Path, way: Way, looks: bool, there: bool) -> None:
    calls = [
        replace(CALL, deal="a1", person=None),
        replace(CALL, deal=None, person="p2"),
        replace(CALL, deal="a1", person="p2"),
        replace(CALL, deal="a2", person=None),
        replace(CALL, deal=None, person="p1"),
    ]
    accounts = {"d1": Account("a1", "p2"), "d2": Account("a2", None), "d3": Account("a1", "p2")} if there else None
    case = replace(BOTH, touches=calls, ties=[], way=way, empty_is_known=True)
    case = replace(case, accounts=accounts, looks_at_accounts=looks)
    found = gathered(folder, case)
    assert found == reckoned(case)
    theirs = {"record": 0, "people": 2, "both": 3}[way] if looks and there else 0
    assert found["touches"] == {"d1": theirs, "d2": 0, "d3": theirs}


@each_crm
def test_a_call_on_a_deal_and_on_its_person_is_one_call(folder: Path, associated: bool) -> None:
    found = gathered(folder, replace(BOTH, associated=associated))
    assert found["touches"] == {"d1": 1, "d2": 1, "d3": 0}
    assert found["latest"] == found["earliest"] == {"d1": CALL.at, "d2": CALL.at, "d3": None}


@each_crm
def test_two_people_of_a_deal_in_one_meeting_are_one_meeting(folder: Path, associated: bool) -> None:
    case = replace(BOTH, associated=associated, ties=[Tie("p1", "d1"), Tie("p1", "d1"), Tie("p2", "d1")])
    assert gathered(folder, case)["touches"]["d1"] == 1


@each_crm
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"touches": []}, "no Touch at all was read, as if none were captured"),
        ({"touches": [replace(CALL, own=True)]}, "no Touch at all was read, as if none were captured"),
        ({"ties": []}, "as if none were kept"),
        ({"touches": [replace(CALL, deal=None, person=None)]}, "no Touch belongs to any Deal"),
        ({"touches": [replace(CALL, deal=None)], "way": "record"}, "no Touch belongs to any Deal"),
    ],
)
def test_a_source_that_shows_no_sign_of_use_says_nothing_and_how_to_say_otherwise(
    folder: Path, associated: bool, changed: dict[str, Any], said: str
) -> None:
    case = replace(BOTH, associated=associated, **changed)
    unknown = judged(folder, mapping_words(case), tables(case)).evidence.unknown
    assert set(unknown) == set(ITEMS)
    assert all(said in reason for reason in unknown.values())
    assert "write 'empty: zero' beside the count" in unknown["touches"]
    assert "write 'empty: blank' beside the max" in unknown["latest"]
    known = gathered(folder, replace(case, empty_is_known=True))
    assert known["touches"]["d3"] == 0
    assert known["latest"]["d3"] is None


@each_crm
def test_rows_of_which_none_counts_are_a_fact(folder: Path, associated: bool) -> None:
    case = replace(BOTH, associated=associated, touches=[replace(CALL, deal="elsewhere", person=None, done=False)])
    assert gathered(folder, case)["touches"] == dict.fromkeys(DEALS, 0)


@each_crm
def test_an_object_without_a_record_asks_nobody_for_more(folder: Path, associated: bool) -> None:
    read = tables(replace(BOTH, associated=associated, touches=[]))
    empty = {name: rows.clear() if name == "Deal" else rows for name, rows in read.rows.items()}
    found = judged(folder, mapping_words(replace(BOTH, associated=associated)), Tables(rows=empty))
    assert found.evidence.unknown == {}


@each_crm
@pytest.mark.parametrize("hop", ["Touch~Deal", "Touch~Person", "Person~Deal"])
def test_a_hop_that_may_not_be_read_is_unknown_with_its_reason(folder: Path, associated: bool, hop: str) -> None:
    case = replace(BOTH, associated=associated)
    read = tables(case)
    column = {
        "Touch~Deal": ("Touch", "DealId"),
        "Touch~Person": ("Touch", "PersonId"),
        "Person~Deal": ("Ties", "DealId"),
    }
    table, gone = (hop, "to") if associated else column[hop]
    reason = "this token may not read it"
    missing = {table: {"from": reason, "to": reason} if associated else {gone: reason}}
    rows = {name: frame.drop(gone) if name == table else frame for name, frame in read.rows.items()}
    unknown = judged(folder, mapping_words(case), Tables(rows=rows, missing=missing)).evidence.unknown
    assert set(unknown) == set(ITEMS)
    assert all(reason in said for said in unknown.values())
    # A mirror keeps an empty table also for what may not be read.
    kept = {**read.rows, table: read.rows[table].clear()} if associated else rows
    unknown = judged(folder, mapping_words(case), Tables(rows=kept, missing=missing)).evidence.unknown
    assert all(reason in said for said in unknown.values())


def test_where_it_was_looked_is_said(folder: Path) -> None:
    found = {way: judged(folder, mapping_words(replace(BOTH, way=way)), tables(BOTH)).evidence.sources["touches"]
             for way in ("record", "people", "both")}  # fmt: skip
    assert found == {
        "record": "count of Touch",
        "people": "count of Touch (of the record's people)",
        "both": "count of Touch (of the record and its people)",
    }
