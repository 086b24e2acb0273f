"""Pages of Bulk results become the frames that REST pages of the same records become, or are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stagesync.connectors.salesforce.decode import decode_page
from stagesync.connectors.salesforce.results import decode_results
from stagesync.connectors.salesforce.schema import Column
from stagesync.model.tables import ColumnType


def column(name: str, kind: str, described: str, field: str = "") -> Column:
    return Column(name=name, type=ColumnType(kind), path=tuple((field or name).split(".")), kind=described)


COLUMNS = [
    column("Id", "text", "id"),
    column("Pain__c", "text", "textarea"),
    column("Amount", "number", "currency"),
    column("Employees", "integer", "int"),
    column("IsWon", "boolean", "boolean"),
    column("CloseDate", "date", "date"),
    column("CreatedDate", "datetime", "datetime"),
    column("Account.Name", "text", "string"),
    column("Account.NumberOfEmployees", "integer", "int"),
]
OTHER_TYPES = [
    column("Seats", "text", "double", "Seats__c"),
    column("Seats.whole", "integer", "double", "Seats__c"),
    column("Budget__c", "number", "string"),
    column("Agreed__c", "boolean", "picklist"),
    column("won as text", "text", "boolean", "IsWon"),
    column("created day", "date", "datetime", "CreatedDate"),
    column("created text", "text", "datetime", "CreatedDate"),
    column("close moment", "datetime", "date", "CloseDate"),
    column("seats day", "date", "double", "Seats__c"),
]
UGLY = st.sampled_from(
    ['"', '""', "\n", "\r\n", "\r", ",", "a,b", "Ünï", "🦊", " ", "#N/A", "null", "'", "\\", "\t", "=1"]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.lists(UGLY).map("".join)
MOMENT = st.datetimes(timezones=st.just(UTC)).map(lambda at: f"2026-{at:%m-%dT%H:%M:%S}.000+0000")
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "Id": st.from_regex(r"006[a-zA-Z0-9]{15}", fullmatch=True),
            "Pain__c": st.none() | TEXT,
            "Amount": st.none() | st.floats(-1e15, 1e15) | st.integers(-(10**12), 10**12),
            "Employees": st.none() | st.integers(-(2**60), 2**60),
            "IsWon": st.none() | st.booleans(),
            "CloseDate": st.none() | st.dates().map(str),
            "CreatedDate": st.none() | MOMENT,
            "Account": st.none()
            | st.fixed_dictionaries({"Name": st.none() | TEXT, "NumberOfEmployees": st.none() | st.integers(0, 10**6)}),
            "Seats__c": st.none() | st.floats(-1e9, 1e9) | st.integers(0, 99).map(float),
            "Budget__c": st.none() | TEXT | st.floats(-9, 9).map(str),
            "Agreed__c": st.none() | st.sampled_from(["true", "False", "perhaps", ""]),
        }
    ),
    max_size=6,
)


def cell(record: Mapping[str, Any], path: Sequence[str], *, zulu: bool) -> str:
    value: Any = record
    for name in path:
        value = None if value is None else value[name]
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text.replace(".000+0000", ".000Z") if zulu and path == ("CreatedDate",) else text


def as_csv(records: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, zulu: bool, bare: bool) -> bytes:
    """``bare`` leaves the quotes of a blank out."""
    paths = list(dict.fromkeys(one.path for one in columns))
    lines = [[".".join(path) for path in paths]]
    lines += [[cell(record, path, zulu=zulu) for path in paths] for record in records]

    def spelled(text: str) -> str:
        return "" if bare and not text else '"' + text.replace('"', '""') + '"'

    return "".join(",".join(map(spelled, line)) + "\n" for line in lines).encode()


@given(RECORDS, st.booleans(), st.booleans(), st.booleans())
def test_results_and_pages_of_the_same_records_are_the_same(
    records: list[dict[str, Any]], zulu: bool, bare: bool, odd: bool
) -> None:
    columns = [*COLUMNS, *OTHER_TYPES] if odd else COLUMNS
    page = json.dumps({"totalSize": len(records), "done": True, "records": records}).encode()
    body = as_csv(records, columns, zulu=zulu, bare=bare)
    rows = decode_results(body, columns, first=True, rows=len(records))
    assert_frame_equal(rows, decode_page(page, columns).rows)
    without_names = body.partition(b"\n")[2] if records else body
    assert_frame_equal(decode_results(without_names, columns, first=False, rows=len(records)), rows)


@given(RECORDS.filter(bool), st.data())
def test_a_page_that_ends_early_is_refused_wherever_it_ends(records: list[dict[str, Any]], data: st.DataObject) -> None:
    body = as_csv(records, COLUMNS, zulu=False, bare=False)
    cut = data.draw(st.integers(0, len(body) - 1))
    for first in (True, False):
        with pytest.raises(ValueError):
            decode_results(body[:cut], COLUMNS, first=first, rows=len(records))


HEAD = b'"Id","Amount"\n'
TWO = [COLUMNS[0], COLUMNS[2]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Down</body></html>",
        b'"Amount","Id"\n"1","a"\n',
        b'"Id"\n"a"\n',
        HEAD + b'"a","1","2"\n',
        HEAD + b'"a","1"\n\n',
        HEAD + b'"a","1"\n"b"\n',
        HEAD + b'"\xff","1"\n',
        HEAD + b'"","1"\n',
        HEAD + b'"a","1',
        HEAD + b'"a","1"\n"b","2"\n',
    ],
)
def test_what_is_no_page_of_these_columns_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_results(body, TWO, first=True, rows=1)


@pytest.mark.parametrize(("text", "value"), [(b"1.0E7", 1e7), (b"-0.5", -0.5), (b"", None)])
def test_numbers_as_the_org_spells_them(text: bytes, value: float | None) -> None:
    rows = decode_results(HEAD.lower() + b'"a","' + text + b'"\n', TWO, first=True, rows=None)
    assert rows.rows() == [("a", value)]


@pytest.mark.parametrize("text", [b"12,5", b"NaN", b"Infinity", b"1e999", b"true"])
def test_a_number_that_is_none_is_marked(text: bytes) -> None:
    rows = decode_results(b"\xef\xbb\xbf" + HEAD + b'"a","' + text + b'"\n', TWO, first=True, rows=1)
    assert rows.rows() == [("a", None, True)]
    assert rows.columns == ["Id", "Amount", "Amount?unreadable"]
