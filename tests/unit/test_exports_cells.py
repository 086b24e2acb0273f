"""Cells of an export: blank, a value, or unreadable; nothing in between and nothing guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from stagesync.connectors.exports import ExportFormat
from stagesync.connectors.exports.cells import typed
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType

POINT = ExportFormat(dates=("%Y-%m-%d",))
COMMA = ExportFormat(decimal=",", dates=("%d.%m.%Y",), datetimes=("%d.%m.%Y %H:%M",), time_zone="Europe/Berlin")
AMERICAN = ExportFormat(dates=("%m/%d/%y",), datetimes=("%m/%d/%y %I:%M %p",))
BROKEN = object()


def read(text: str | None, kind: ColumnType, style: ExportFormat = POINT) -> object:
    """What one cell is read as."""
    frame = typed(pl.DataFrame({"x": [text]}, schema={"x": pl.String}), {"x": kind}, style)
    assert frame.schema["x"] == POLARS[kind]
    if f"x{UNREADABLE}" in frame.columns:
        assert frame["x"].item() is None
        return BROKEN
    return frame["x"].item()


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("1500", POINT, 1500.0),
        ("1,234", POINT, 1234.0),
        ("1,234,567.891", POINT, 1234567.891),
        ("12,34,567", POINT, 1234567.0),
        ("$1,651,993.36", POINT, 1651993.36),
        ("-5.5", POINT, -5.5),
        ("(1,200)", POINT, -1200.0),
        ("1'250'000.50", POINT, 1250000.5),
        ("1e6", POINT, 1e6),
        ("€ 3.500,00", POINT, BROKEN),
        ("1,5", POINT, BROKEN),
        ("12,3456", POINT, BROKEN),
        ("1 2 3", POINT, BROKEN),
        ("inf", POINT, BROKEN),
        ("NaN", POINT, BROKEN),
        ("1e999", POINT, BROKEN),
        ("50%", POINT, BROKEN),
        ("#REF!", POINT, BROKEN),
        ("€ 3.500,00", COMMA, 3500.0),
        ("3.500,00 €", COMMA, 3500.0),
        ("EUR 1.234.567,8", COMMA, 1234567.8),
        ("1\u202f234,5", COMMA, 1234.5),
        ("1.500", COMMA, 1500.0),
        ("1.5", COMMA, BROKEN),
        ("1,500.00", COMMA, BROKEN),
        ("- 7,25", COMMA, -7.25),
        ("US$1,200", POINT, 1200.0),
        ("EUR500", POINT, 500.0),
        ("1 200 kr", POINT, 1200.0),
        ("(R$ 5)", POINT, -5.0),
        ("-€5", POINT, -5.0),
        ("3€50", POINT, BROKEN),
        ("1kr2", POINT, BROKEN),
        ("1.2k", POINT, BROKEN),
    ],
)
def test_numbers_are_read_as_declared(text: str, style: ExportFormat, value: object) -> None:
    assert read(text, ColumnType.NUMBER, style) == value


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("145000", POINT, 145000),
        ("145,000", POINT, 145000),
        ("145.000", COMMA, 145000),
        ("130.0", POINT, 130),
        ("1.5", POINT, BROKEN),
        ("1,234", COMMA, BROKEN),
        ("99999999999999999999", POINT, BROKEN),
        ("many", POINT, BROKEN),
        ("#N/A", POINT, BROKEN),
    ],
)
def test_integers(text: str, style: ExportFormat, value: object) -> None:
    assert read(text, ColumnType.INTEGER, style) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("TRUE", True), ("1", True), ("Yes", True), ("FALSE", False), ("0", False), ("no", False), ("maybe", BROKEN)],
)
def test_booleans(text: str, value: object) -> None:
    assert read(text, ColumnType.BOOLEAN) == value


def test_a_blank_boolean_is_false_only_where_the_export_says_so() -> None:
    lenient = ExportFormat(blank_is_false=True)
    assert read("", ColumnType.BOOLEAN) is None
    assert read(" ", ColumnType.BOOLEAN, lenient) is False
    assert read(None, ColumnType.BOOLEAN, lenient) is False
    assert read("maybe", ColumnType.BOOLEAN, lenient) is BROKEN
    assert read("", ColumnType.TEXT, lenient) is None


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("2024-02-29", POINT, date(2024, 2, 29)),
        ("2023-02-29", POINT, BROKEN),
        ("0001-01-01", POINT, date(1, 1, 1)),
        ("2215-06-30", POINT, date(2215, 6, 30)),
        ("02/03/24", POINT, BROKEN),
        ("02/03/24", AMERICAN, date(2024, 2, 3)),
        ("02/23/26 08:55 PM", AMERICAN, date(2026, 2, 23)),
        ("23/02/26", AMERICAN, BROKEN),
        ("02/03/2024", AMERICAN, BROKEN),
        ("03.02.2024", COMMA, date(2024, 2, 3)),
        ("#VALUE!", COMMA, BROKEN),
        ("2024-01-22T16:14:25.000+0000", POINT, date(2024, 1, 22)),
    ],
)
def test_dates_are_read_by_the_declared_formats_alone(text: str, style: ExportFormat, value: object) -> None:
    assert read(text, ColumnType.DATE, style) == value


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("2024-01-22T16:14:25.000+0000", POINT, datetime(2024, 1, 22, 16, 14, 25, tzinfo=UTC)),
        ("2024-01-22T16:14:25Z", POINT, datetime(2024, 1, 22, 16, 14, 25, tzinfo=UTC)),
        ("2024-01-22T16:14:25+02:00", POINT, datetime(2024, 1, 22, 14, 14, 25, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", POINT, datetime(1, 1, 1, tzinfo=UTC)),
        ("2024-01-22", POINT, datetime(2024, 1, 22, tzinfo=UTC)),
        ("yesterday", POINT, BROKEN),
        ("02/23/26 08:55 PM", AMERICAN, datetime(2026, 2, 23, 20, 55, tzinfo=UTC)),
        ("22.07.2024 10:00", COMMA, datetime(2024, 7, 22, 8, 0, tzinfo=UTC)),
        ("22.07.2024", COMMA, datetime(2024, 7, 21, 22, 0, tzinfo=UTC)),
        ("27.10.2024 02:30", COMMA, datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),
        ("31.03.2024 02:30", COMMA, datetime(2024, 3, 31, 1, 30, tzinfo=UTC)),
    ],
)
def test_moments_are_utc(text: str, style: ExportFormat, value: object) -> None:
    assert read(text, ColumnType.DATETIME, style) == value


def test_a_moment_is_on_the_day_of_the_export_s_time_zone() -> None:
    style = ExportFormat(datetimes=("%Y-%m-%dT%H:%M:%S%z",), time_zone="Europe/Berlin")
    assert read("2024-07-21T22:30:00+0000", ColumnType.DATE, style) == date(2024, 7, 22)


@pytest.mark.parametrize("text", ["", "   ", "\u00a0", None, "- Select -", "n/a"])
def test_blanks(text: str | None) -> None:
    style = ExportFormat(empty=("- select -", "N/A"))
    assert all(read(text, kind, style) is None for kind in ColumnType)


def test_text_loses_the_space_around_it_and_a_failed_formula_is_not_text() -> None:
    assert read("  Closed Won \n", ColumnType.TEXT) == "Closed Won"
    assert read("#ref!", ColumnType.TEXT) is BROKEN
    assert read("#1 choice", ColumnType.TEXT) == "#1 choice"


@pytest.mark.parametrize("style", [POINT, ExportFormat(empty=("None",))])
@pytest.mark.parametrize("late", [" spaced ", "", "  ", "none", "plain", None])
def test_a_cell_is_read_alike_wherever_it_stands(late: str | None, style: ExportFormat) -> None:
    cells = [*["clean"] * 5_000, late]
    frame = typed(pl.DataFrame({"x": cells}), {"x": ColumnType.TEXT}, style)
    assert frame["x"].to_list() == [*cells[:-1], read(late, ColumnType.TEXT, style)]


def test_the_companion_is_there_only_when_something_is_unreadable() -> None:
    raw = pl.DataFrame({"n": ["1", "x", ""], "m": ["1", "2", ""]})
    frame = typed(raw, {"n": ColumnType.NUMBER, "m": ColumnType.NUMBER}, POINT)
    assert frame.columns == ["n", "m", "n?unreadable"]
    assert frame["n?unreadable"].to_list() == [False, True, False]
