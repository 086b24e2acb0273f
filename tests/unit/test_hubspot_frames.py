"""Strings from HubSpot become typed columns, and what cannot be read says so."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.hubspot.answers import AskedRow, PastValue, asked_page, decode
from stagesync.connectors.hubspot.frames import history_frame, link_frame, record_frame, typed
from stagesync.model.frames import POLARS
from stagesync.model.tables import ColumnType, Table


def read(kind: ColumnType, *texts: str | None) -> list[object]:
    return typed({"x": list(texts)}, {"x": kind})["x"].to_list()


def unreadable(kind: ColumnType, *texts: str | None) -> list[bool]:
    frame = typed({"x": list(texts)}, {"x": kind})
    return frame["x?unreadable"].to_list() if "x?unreadable" in frame.columns else [False] * len(texts)


@pytest.mark.parametrize("kind", list(ColumnType))
def test_blank_is_null_and_readable(kind: ColumnType) -> None:
    assert read(kind, "", None, "  ") == [None, None, None]
    assert unreadable(kind, "", None, "  ") == [False, False, False]


@pytest.mark.parametrize("kind", list(ColumnType))
def test_columns_have_the_declared_type_even_when_empty(kind: ColumnType) -> None:
    assert typed({"x": []}, {"x": kind}).schema == {"x": POLARS[kind]}
    assert typed({"x": ["?"]}, {"x": kind}).schema["x"] == POLARS[kind]


def test_numbers_may_have_blanks_around_them() -> None:
    assert read(ColumnType.NUMBER, " 1250.00 ", "0.2", "-3", "1e3") == [1250.0, 0.2, -3.0, 1000.0]


@pytest.mark.parametrize("text", ["€ 3.500,00", "1,5", "NaN", "inf", "1e400", "12 apples", "1 250"])
def test_what_is_no_number_is_unreadable(text: str) -> None:
    assert read(ColumnType.NUMBER, text, "1") == [None, 1.0]
    assert unreadable(ColumnType.NUMBER, text, "1") == [True, False]


def test_integers_are_whole() -> None:
    assert read(ColumnType.INTEGER, "3", "3.0", "1e3", "9007199254740993") == [3, 3, 1000, 9007199254740993]
    assert unreadable(ColumnType.INTEGER, "1.7", "12345678901234567890", "3") == [True, True, False]


def test_booleans_are_words() -> None:
    assert read(ColumnType.BOOLEAN, "true", "false", "TRUE") == [True, False, True]
    assert unreadable(ColumnType.BOOLEAN, "yes", "1", "true") == [True, True, False]


def test_moments_come_in_many_forms() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    texts = (
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00.000Z",
        "2026-11-20T13:00:00+01:00",
        "2026-11-20T12:00Z",
        "2026-11-20 12:00:00",
        "1795176000000",
    )
    assert read(ColumnType.DATETIME, *texts) == [noon] * len(texts)
    assert read(ColumnType.DATETIME, "2026-11-20") == [datetime(2026, 11, 20, tzinfo=UTC)]
    assert read(ColumnType.DATETIME, "2215-01-01T00:00:00Z") == [datetime(2215, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["soon", "2026-02-30", "99999999999999999", "12026-01-01T00:00:00Z", "20/11/2026"])
def test_what_is_no_moment_is_unreadable(text: str) -> None:
    assert unreadable(ColumnType.DATETIME, text, "2026-11-20") == [True, False]
    assert unreadable(ColumnType.DATE, text, "2026-11-20") == [True, False]


def test_a_date_from_a_moment_is_the_day_in_utc() -> None:
    texts = ("2026-11-20", "2026-11-20T23:30:00-02:00", "1795132800000")
    assert read(ColumnType.DATE, *texts) == [date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 20)]


def test_text_stays_as_it_was_typed() -> None:
    assert read(ColumnType.TEXT, " tbd ", "<script>") == [" tbd ", "<script>"]


def test_values_that_are_not_strings_are_taken_all_the_same() -> None:
    assert typed({"x": ["a", 1, True]}, {"x": ColumnType.TEXT})["x"].to_list() == ["a", "1", "true"]


PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs")))  # control characters are no one's blanks
TEXTS = st.one_of(st.none(), PRINTABLE, st.integers().map(str), st.floats().map(str), st.datetimes().map(str))


@given(st.lists(TEXTS))
def test_each_text_is_read_or_blank_or_unreadable(texts: list[str | None]) -> None:
    for kind in ColumnType:
        frame = typed({"x": texts}, {"x": kind})
        flags = frame["x?unreadable"].to_list() if "x?unreadable" in frame.columns else [False] * len(texts)
        for text, value, flag in zip(texts, frame["x"].to_list(), flags, strict=True):
            assert flag == (value is None and bool((text or "").strip()))


def test_a_record_frame_has_the_key_first_and_each_column_of_the_table() -> None:
    table = Table(name="deals", key="hs_object_id", columns={"amount": ColumnType.NUMBER, "pain": ColumnType.TEXT})
    first = '{"id": 7, "properties": {"amount": "x", "pain": null, "other": 1}}'
    body = f'{{"results": [{first}, {{"id": "8", "properties": {{"amount": "2"}}}}]}}'.encode()
    rows = decode(body, asked_page(("pain", "amount", "pain"))).results
    assert record_frame(table, [[], rows[:1], rows[1:]]).to_dicts() == [
        {"hs_object_id": "7", "amount": None, "pain": None, "amount?unreadable": True},
        {"hs_object_id": "8", "amount": 2.0, "pain": None, "amount?unreadable": False},
    ]
    assert record_frame(table, []).columns == ["hs_object_id", "amount", "pain"]


def test_history_is_one_row_for_each_past_value() -> None:
    columns = dict.fromkeys(("record", "dealstage", "by"), ColumnType.TEXT) | {"at": ColumnType.DATETIME}
    table = Table(name="deals.history", key="record", columns=columns, history_of="dealstage")
    past = [
        PastValue(value="b", timestamp="2026-11-20T12:00:00Z", source_type="CRM_UI", source_id="userId:7"),
        PastValue(value="", timestamp="2026-11-19T12:00:00.000Z", source_type="IMPORT"),
    ]
    frame = history_frame(table, [AskedRow(id="1", properties_with_history={"dealstage": past}), AskedRow(id="2")])
    assert frame.to_dicts() == [
        {"record": "1", "dealstage": "b", "at": datetime(2026, 11, 20, 12, tzinfo=UTC), "by": "CRM_UI:userId:7"},
        {"record": "1", "dealstage": None, "at": datetime(2026, 11, 19, 12, tzinfo=UTC), "by": "IMPORT"},
    ]


def test_links_are_text_and_come_once() -> None:
    frame = link_frame([("1", "2"), ("1", "2"), ("1", "3")])
    assert frame.rows() == [("1", "2"), ("1", "3")]
    assert link_frame([]).schema == {"from": pl.String(), "to": pl.String()}
