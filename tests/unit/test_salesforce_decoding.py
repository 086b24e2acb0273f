"""Pages of a Salesforce query become typed frames, by the fast way and the exact way alike."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stagesync.connectors.salesforce import decode
from stagesync.connectors.salesforce.decode import decode_page, decode_rows
from stagesync.connectors.salesforce.schema import Column
from stagesync.model.tables import ColumnType


def column(name: str, kind: str, described: str) -> Column:
    return Column(name=name, type=ColumnType(kind), path=tuple(name.split(".")), kind=described)


UNREADABLE_AT = "At?unreadable"
COLUMNS = [
    column("Id", "text", "id"),
    column("Pain__c", "text", "textarea"),
    column("Amount", "number", "currency"),
    column("Employees", "integer", "int"),
    column("IsWon", "boolean", "boolean"),
    column("CloseDate", "date", "date"),
    column("CreatedDate", "datetime", "datetime"),
    column("Account.NumberOfEmployees", "integer", "int"),
    column("Account.Owner.Name", "text", "string"),
]


def page(records: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"totalSize": len(records), "done": True, "records": records, **more}).encode()


def test_each_type_blanks_parents_and_extreme_years() -> None:
    decoded = decode_page(
        page(
            [
                {
                    "attributes": {"type": "Opportunity"},
                    "Id": "a",
                    "Pain__c": "",
                    "Amount": 12.5,
                    "Employees": 40,
                    "IsWon": False,
                    "CloseDate": "2215-01-31",
                    "CreatedDate": "0001-01-01T00:00:00.000+0000",
                    "Account": {"attributes": {}, "NumberOfEmployees": 300.0, "Owner": {"Name": "Ada"}},
                },
                {"Id": "b", "Amount": 7, "CreatedDate": "2026-10-01T12:00:00.000+0200", "Account": None},
                {
                    "Id": "c",
                    "CreatedDate": "9999-12-31T23:59:59Z",
                    "Account": {"NumberOfEmployees": None, "Owner": None},
                },
            ]
        ),
        COLUMNS,
    )
    assert decoded.fast
    assert decoded.next_path is None
    assert decoded.rows.rows() == [
        ("a", None, 12.5, 40, False, date(2215, 1, 31), datetime(1, 1, 1, tzinfo=UTC), 300, "Ada"),
        ("b", None, 7.0, None, None, None, datetime(2026, 10, 1, 10, tzinfo=UTC), None, None),
        ("c", None, None, None, None, None, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), None, None),
    ]


def test_an_empty_page_keeps_its_types() -> None:
    rows = decode_page(page([]), COLUMNS).rows
    assert rows.height == 0
    assert rows.schema["CreatedDate"] == pl.Datetime("us", "UTC")
    assert rows.schema["Account.NumberOfEmployees"] == pl.Int64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Amount", "€ 3.500,00"),
        ("Amount", 1e400),
        ("Amount", True),
        ("Employees", 3.5),
        ("Employees", 2**60),
        ("CloseDate", "2026-02-30"),
        ("CloseDate", 20260101),
        ("CreatedDate", "yesterday"),
        ("IsWon", "perhaps"),
        ("Pain__c", {"street": "x"}),
    ],
)
def test_what_cannot_be_read_is_null_and_marked(name: str, value: object) -> None:
    records = [{"Id": "a", name: value}, {"Id": "b"}]
    body = json.dumps({"done": True, "records": records}).replace("Infinity", "1e400").encode()
    # A field whose described type is another one: the fast reader would make it null without a word.
    columns = [c if c.name != name else column(name, c.type.value, "string") for c in COLUMNS]
    for wanted in (COLUMNS, columns) if value is not True else (columns,):
        rows = decode_page(body, wanted).rows
        assert rows.get_column(name).to_list() == [None, None]
        assert rows.get_column(f"{name}?unreadable").to_list() == [True, False]
        assert [c for c in rows.columns if c.endswith("?unreadable")] == [f"{name}?unreadable"]


def test_a_text_field_that_holds_numbers_or_truths_can_be_mapped_as_such() -> None:
    columns = [column("Budget__c", "number", "string"), column("Ok__c", "boolean", "picklist")]
    decoded = decode_page(page([{"Budget__c": "12.50", "Ok__c": "true"}, {"Budget__c": "", "Ok__c": None}]), columns)
    assert decoded.rows.rows() == [(12.5, True), (None, None)]


def test_a_number_or_a_truth_can_be_mapped_as_a_text() -> None:
    columns = [column("Seats__c", "text", "double"), column("Ok__c", "text", "boolean")]
    rows: list[dict[str, Any]] = [
        {"Seats__c": 10.0, "Ok__c": True},
        {"Seats__c": 1.5, "Ok__c": False},
        {"Seats__c": None},
    ]
    decoded = decode_page(page(rows), columns)
    assert decoded.rows.rows() == [("10", "true"), ("1.5", "false"), (None, None)]
    assert decoded.rows.equals(decode_rows(rows, columns))


def test_a_date_field_may_be_mapped_as_a_moment_and_the_other_way_round() -> None:
    columns = [column("ActivityDate", "datetime", "date"), column("CreatedDate", "date", "datetime")]
    rows = decode_page(
        page([{"ActivityDate": "2026-10-01", "CreatedDate": "2026-10-01T23:30:00.000-0100"}]), columns
    ).rows
    assert rows.rows() == [(datetime(2026, 10, 1, tzinfo=UTC), date(2026, 10, 2))]


@pytest.mark.parametrize("cut", [1, 10, 60, -1])
def test_a_cut_off_page_is_an_error(cut: int) -> None:
    body = page([{"Id": "a", "Amount": 1.0}, {"Id": "b", "Amount": 2.0}])
    with pytest.raises(ValueError):
        decode_page(body[:cut], COLUMNS)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"records":[]}', b'{"done":false,"records":[],"nextRecordsUrl":"https://evil/x"}']
)
def test_what_is_no_page_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_page(body, COLUMNS)


MOMENTS = st.sampled_from(
    [
        "2026-10-01T12:00:00.000+0000",
        "2026-10-01T12:00:00.000Z",
        "2026-10-01T12:00:00.123Z",
        "2026-10-01T12:00:00Z",
        "2026-10-01T24:00:00.000+0000",
        "2026-13-01T12:00:00.000Z",
        "2026-10-01T12:00:60.000+0000",
        "2026-10-01T12:00:00.000+0200",
        "2026-10-01",
        "20261001",
        "-001-10-01",
        "-001-10-01T12:00:00.000+0000",
        "0001-01-01T00:00:00.000+1200",
        "9999-12-31T23:00:00.000-1200",
        "tomorrow",
        "",
    ]
)


@given(st.lists(MOMENTS | st.none(), min_size=1, max_size=4))
def test_a_moment_is_read_alike_whatever_its_neighbours_are(moments: list[str | None]) -> None:
    for kind in ("date", "datetime"):
        columns = [column("At", kind, "datetime")]
        together = decode_rows([{"At": moment} for moment in moments], columns)
        alone = [decode_rows([{"At": moment}], columns) for moment in moments]
        assert together["At"].to_list() == [one["At"][0] for one in alone]
        lost = [UNREADABLE_AT in one.columns for one in alone]
        assert (together[UNREADABLE_AT].to_list() if any(lost) else [False] * len(lost)) == lost


RECORDS = st.lists(
    st.fixed_dictionaries(
        {"Id": st.text(min_size=1)},
        optional={
            "Pain__c": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            "Amount": st.none() | st.floats(-1e15, 1e15, allow_nan=False) | st.integers(-(10**12), 10**12),
            "Employees": st.none() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6),
            "IsWon": st.none() | st.booleans(),
            "CloseDate": st.none() | st.dates().map(str) | st.just("2026-02-30"),
            "CreatedDate": st.none()
            | st.datetimes(timezones=st.just(UTC)).map(lambda t: f"{t:%m-%dT%H:%M:%S}.000+0000").map("2215-{}".format),
            "Account": st.none() | st.fixed_dictionaries({"NumberOfEmployees": st.none() | st.integers(0, 10**6)}),
        },
    ),
    max_size=20,
)


@given(RECORDS, st.integers(1, 400))
def test_a_page_read_in_pieces_is_the_same(records: list[dict[str, Any]], piece: int) -> None:
    kinds = {"attributes": {"type": "Opportunity", "url": '/x},{"attributes":'}}
    body = json.dumps(
        {"totalSize": 7, "done": False, "nextRecordsUrl": "/services/x", "records": [kinds | one for one in records]},
        separators=(",", ":"),
    ).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "PIECE", piece)
        decoded = decode_page(body, COLUMNS)
    assert (decoded.fast, decoded.total, decoded.next_path) == (True, 7, "/services/x")
    assert_frame_equal(decoded.rows, decode_rows(records, COLUMNS))


@given(RECORDS)
def test_the_fast_way_and_the_exact_way_agree(records: list[dict[str, Any]]) -> None:
    decoded = decode_page(page(records), COLUMNS)
    assert decoded.fast
    assert_frame_equal(decoded.rows, decode_rows(records, COLUMNS))
