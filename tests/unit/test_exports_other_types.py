"""Values that are not of the type that a mapping asks for, and what programs write that no format has."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagesync.connectors.exports import ExportFormat, ExportReader
from stagesync.errors import ConfigurationError
from stagesync.model.tables import UNREADABLE, ColumnType, Table

COLUMNS: dict[str, list[Any]] = {
    "decimal": [Decimal("1.50"), None, Decimal(-3)],
    "length": [timedelta(days=1), None, timedelta()],
    "float": [float("nan"), None, float("inf")],
    "day": [date(2026, 1, 1), None, date(2026, 1, 2)],
    "moment": [datetime(2026, 1, 1, tzinfo=UTC), None, datetime(2026, 1, 2, tzinfo=UTC)],
    "time": [time(1), None, time(2)],
    "truth": [True, None, False],
    "list": [["a"], None, ["b"]],
    "struct": [{"a": 1}, None, {"a": 2}],
    "bytes": [b"\xff", None, b"a"],
    "large": [2**63, None, 2**64 - 1],
}


def read(folder: Path, kind: ColumnType, *names: str) -> pl.DataFrame:
    table = Table(name="T", key="id", columns=dict.fromkeys(names, kind))
    return pl.concat([page.rows for page in ExportReader(folder, ExportFormat()).pull(table)])


@pytest.mark.parametrize("kind", ColumnType)
def test_each_cell_of_parquet_has_a_value_is_blank_or_cannot_be_read(tmp_path: Path, kind: ColumnType) -> None:
    large = pl.Series("large", COLUMNS["large"], dtype=pl.UInt64)
    pl.DataFrame({"id": ["1", "2", "3"], **COLUMNS, "large": large}).write_parquet(tmp_path / "T.parquet")
    rows = read(tmp_path, kind, *COLUMNS)
    for name in COLUMNS:
        unread = rows[name + UNREADABLE] if name + UNREADABLE in rows.columns else pl.Series([False] * 3)
        said = [value is not None or flag for value, flag in zip(rows[name], unread, strict=True)]
        assert said == [True, False, True], name
        assert not (rows[name].is_not_null() & unread).any(), name


def test_what_is_no_number_is_no_text_either(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["1", "2"], "org": [float("nan"), 7.0]}).write_parquet(tmp_path / "T.parquet")
    assert read(tmp_path, ColumnType.TEXT, "org").rows() == [("1", None, True), ("2", "7", False)]


LISTED = b'[\n {"id": 1, "n": NaN},\n 5,\n {"id": 2, "n": 1e999}, {"id": 3, "n": 4}\n]\n'
LINES = b'{"id": 1, "n": NaN}\n5\n{"id": 2, "n": 1e999}\n{"id": 3, "n": 4}\n'


@pytest.mark.parametrize(("name", "content"), [("T.json", LISTED), ("T.jsonl", LISTED), ("T.json", LINES)])
def test_json_is_a_list_or_lines_and_what_it_does_not_have_costs_a_cell(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    reader = ExportReader(tmp_path, ExportFormat())
    table = Table(name="T", key="id", columns={"n": ColumnType.NUMBER})
    (page,) = reader.pull(table)
    assert page.rows.rows() == [("1", None, True), ("2", None, True), ("3", 4.0, False)]
    assert reader.unreadable == {"T": 1}


@pytest.mark.parametrize("content", [b'[{"id": 1}, {"id"', b"[" * 100_000])
def test_a_list_that_was_cut_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "T.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="not a whole list"):
        read(tmp_path, ColumnType.TEXT, "n")


def test_a_json_file_beside_another_of_its_name_is_none_of_the_tables(tmp_path: Path) -> None:
    (tmp_path / "T.json").write_bytes(b'{"exported": "today"}')
    (tmp_path / "T.csv").write_bytes(b"id,n\n1,2\n")
    assert read(tmp_path, ColumnType.NUMBER, "n").rows() == [("1", 2.0)]
