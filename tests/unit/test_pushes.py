"""How often a close date was moved to a later day, counted by the shipped mappings from both CRMs' histories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from stagesync.audit.evidence import EvidenceFrame, Tables, gather
from stagesync.audit.masks import Frame
from stagesync.connectors.hubspot.answers import AskedRow, PastValue
from stagesync.connectors.hubspot.frames import history_frame
from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import CrmMapping, RelatedSource, load_mapping
from tests.unit.oracle import NOW

CONFIG = Path(__file__).parents[2] / "config"
DEFINITION = load_definition(CONFIG / "definitions" / "qualified-value.yaml")
SALESFORCE, HUBSPOT = (
    load_mapping(CONFIG / "mappings" / f"qualified-value-{crm}.yaml", DEFINITION) for crm in ("salesforce", "hubspot")
)
days = st.lists(st.none() | st.dates(date(2025, 1, 1), date(2027, 12, 31)), min_size=1, max_size=8)


def pushed(past: Sequence[date | None]) -> int:
    """Moves from one day to a later one; from or to a blank is no such move."""
    return sum(one is not None and other is not None and other > one for one, other in pairwise(past))


def history_of(mapping: CrmMapping, name: str) -> RelatedSource:
    """Where the pushes of an object are counted."""
    source = next(one for one in mapping.objects if one.name == name).evidence["pushes"]
    assert isinstance(source, RelatedSource)
    return source


def gathered(mapping: CrmMapping, name: str, history: pl.DataFrame) -> EvidenceFrame:
    mapped = next(one for one in mapping.objects if one.name == name)
    source, key = history_of(mapping, name), mapped.table.key
    return gather(
        mapping=mapping,
        mapped=structs.replace(mapped, evidence={"pushes": source}),
        records=pl.DataFrame({key: ["1", "2"]}),
        tables=Tables(rows={source.table: history}),
        types={"pushes": ColumnType.INTEGER},
        frame=Frame(now=NOW, time_zone=ZoneInfo("UTC")),
    )


def in_salesforce(past: Sequence[date | None]) -> EvidenceFrame:
    texts = [None if day is None else day.isoformat() for day in past]
    rows = [("1", "CloseDate", old, new) for old, new in zip([None, *texts], texts, strict=False)]
    rows += [("2", "created", None, None), ("2", "Amount", "9", "90"), ("2", "CloseDate", None, "2026-01-01")]
    columns = ["OpportunityId", "Field", "OldValue", "NewValue"]
    return gathered(
        SALESFORCE, "Opportunity", pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    )


def in_hubspot(past: Sequence[object]) -> EvidenceFrame:
    table = HUBSPOT.table("deals.closedate.history")
    moments = [day.isoformat() + "T23:59:00Z" if isinstance(day, date) else day for day in past]
    entries = [PastValue(value=value, timestamp=f"2026-01-0{n + 1}T00:00:00Z") for n, value in enumerate(moments)]
    rows = [
        AskedRow(id="1", properties_with_history={"closedate": entries[::-1]}),
        AskedRow(id="2", properties_with_history={"closedate": [PastValue(value="2026-01-01")]}),
    ]
    return gathered(HUBSPOT, "deals", history_frame(table, rows))


@given(days)
def test_only_moves_to_a_later_day_count(past: list[date | None]) -> None:
    for found in (in_salesforce(past), in_hubspot(past)):
        assert found.rows["pushes"].to_list() == [pushed(past), 0]


def test_a_past_date_that_cannot_be_read_leaves_the_count_open() -> None:
    found = in_hubspot([date(2026, 1, 1), "soon", date(2026, 3, 1)]).rows
    assert found["pushes"].to_list() == [None, 0]
    assert found["pushes" + UNREADABLE].to_list() == [True, False]


@pytest.mark.parametrize(("mapping", "name"), [(SALESFORCE, "Opportunity"), (HUBSPOT, "deals")])
def test_without_a_history_nobody_can_say(mapping: CrmMapping, name: str) -> None:
    source = history_of(mapping, name)
    columns = dict.fromkeys(mapping.table(source.table).columns, pl.String)
    found = gathered(mapping, name, pl.DataFrame(schema=columns))
    assert "at all was read, as if none were captured" in found.unknown["pushes"]


def test_the_histories_of_two_properties_are_two_tables() -> None:
    of = {table.name: table.history_of for table in HUBSPOT.tables if table.history_of}
    assert of == {
        "contacts.history": "lifecyclestage",
        "deals.history": "dealstage",
        "deals.closedate.history": "closedate",
    }
