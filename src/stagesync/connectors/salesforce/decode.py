"""From the bytes of a page to a typed frame.

The fast way lets polars read the page by a schema: 0.66 s for 100,000 records of 26 fields, half of what rows cost.
Its reader turns what does not fit into null without a word (a number in a Boolean column), so it is used only where
describe agrees with the wanted types, and a page that it refuses is read the exact way, value by value.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from stagesync.connectors.salesforce.schema import Column
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
EXACT_INTEGERS = float(2**53)
# 2026-10-01T12:00:00.000+0000; %#z also reads a trailing Z and an offset with a colon.
MOMENT = "%Y-%m-%dT%H:%M:%S%.f%#z"
WIRE: Mapping[ColumnType, type[pl.DataType]] = {
    ColumnType.TEXT: pl.String,
    ColumnType.INTEGER: pl.Float64,
    ColumnType.NUMBER: pl.Float64,
    ColumnType.BOOLEAN: pl.Boolean,
    ColumnType.DATE: pl.String,
    ColumnType.DATETIME: pl.String,
}


class Paging(msgspec.Struct):
    """What a page says beside its records."""

    done: bool
    nextRecordsUrl: str | None = None


@dataclass(frozen=True)
class Decoded:
    """One page: its rows, where the next one is, and whether the fast way could read it."""

    rows: pl.DataFrame
    next_path: str | None
    fast: bool


def decode_page(body: bytes, columns: Sequence[Column]) -> Decoded:
    """The rows of a query's page, typed as the columns say.

    Errors: ``ValueError`` for a page that is cut off or is no page at all.
    """
    paging = msgspec.json.decode(body, type=Paging)
    if not paging.done and not (paging.nextRecordsUrl or "").startswith("/services/"):
        raise ValueError("a page that is not the last names no next one")
    wire = _read_fast(body, columns)
    fast = wire is not None
    if wire is None:
        wire = rows_to_wire(json.loads(body)["records"], columns)
    return Decoded(typed(wire, columns), None if paging.done else paging.nextRecordsUrl, fast)


def decode_rows(records: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> pl.DataFrame:
    """Records that are already Python objects, typed as the columns say."""
    return typed(rows_to_wire(records, columns), columns)


def _read_fast(body: bytes, columns: Sequence[Column]) -> pl.DataFrame | None:
    if not all(column.native for column in columns):
        return None
    schema = {"records": pl.List(_struct(columns))}
    try:
        page = pl.read_json(io.BytesIO(body), schema=schema)
    except pl.exceptions.PolarsError:
        return None
    record = pl.col("records")
    # An empty list would explode into one row of nulls.
    records = page.filter(record.list.len() > 0).explode("records")
    return records.select(_at(record, column.path).alias(column.name) for column in columns)


def _struct(columns: Sequence[Column]) -> pl.Struct:
    """The nested struct that holds the paths of all columns."""
    tree: dict[str, Any] = {}
    for column in columns:
        node = tree
        for parent in column.path[:-1]:
            node = node.setdefault(parent, {})
        node[column.path[-1]] = WIRE[column.type]
    return _as_struct(tree)


def _as_struct(tree: Mapping[str, Any]) -> pl.Struct:
    return pl.Struct({name: _as_struct(node) if isinstance(node, dict) else node for name, node in tree.items()})


def _at(record: pl.Expr, path: Sequence[str]) -> pl.Expr:
    for name in path:
        record = record.struct.field(name)
    return record


def rows_to_wire(records: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> pl.DataFrame:
    """The exact way: one value after the other, what does not fit is marked as unreadable."""
    rows = list(records)
    series = []
    for column in columns:
        values = [_wire_value(_value_at(row, column.path), column.type) for row in rows]
        series.append(pl.Series(column.name, [value for value, _ in values], dtype=WIRE[column.type]))
        if any(bad for _, bad in values):
            series.append(pl.Series(column.name + UNREADABLE, [bad for _, bad in values], dtype=pl.Boolean))
    return pl.DataFrame(series)


def _value_at(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = row
    for name in path:
        if value is None:
            return None
        value = value.get(name)
    return value


def _wire_value(value: Any, kind: ColumnType) -> tuple[Any, bool]:
    """The value for the wire frame, and whether it could not be read."""
    if value is None or value == "":
        return None, False
    if isinstance(value, (dict, list)):
        return None, True
    if kind in {ColumnType.INTEGER, ColumnType.NUMBER}:
        number = _number(value)
        return number, number is None
    if kind is ColumnType.BOOLEAN:
        boolean = value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
        return boolean, boolean is None
    return native_text(value), False


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value.strip())):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def native_text(value: Any) -> str:
    """A value in the spelling that changes and text columns use: ``true``, ``10``, ``1.5``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_INTEGERS:
        return str(int(value))
    # A lone surrogate is valid JSON and no text.
    return str(value).encode("utf-8", "replace").decode()


def typed(wire: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """The typed frame of a wire frame: blanks are null, unreadable values are null and marked."""
    readings = {column.name: _reading(pl.col(column.name), column.type) for column in columns}
    rows = wire.select(
        reading.cast(POLARS[c.type]).alias(c.name) for c, reading in zip(columns, readings.values(), strict=True)
    )
    marks = wire.select(
        (present(pl.col(c.name), c.type) & readings[c.name].is_null()).alias(c.name + UNREADABLE) for c in columns
    )
    for name in wire.columns:
        if name.endswith(UNREADABLE):
            marks = marks.with_columns((pl.col(name) | wire.get_column(name)).alias(name))
    return rows.hstack([mark for mark in marks if mark.any()])


def present(value: pl.Expr, kind: ColumnType) -> pl.Expr:
    """Whether there was a value at all."""
    is_text = WIRE[kind] is pl.String
    return value.is_not_null() & (value != "") if is_text else value.is_not_null()


def _reading(value: pl.Expr, kind: ColumnType) -> pl.Expr:
    """The value as its type, null where it cannot be read."""
    if kind is ColumnType.TEXT:
        return pl.when(value != "").then(value)
    if kind is ColumnType.INTEGER:
        # A double holds each integer up to 2^53; beyond it the wire value may already be another one.
        whole = value.is_finite() & (value == value.round()) & (value.abs() <= EXACT_INTEGERS)
        return pl.when(whole).then(value)
    if kind is ColumnType.NUMBER:
        return pl.when(value.is_finite()).then(value)
    if kind is ColumnType.DATE:
        return pl.coalesce(_day(value), _moment(value).dt.date())
    if kind is ColumnType.DATETIME:
        return pl.coalesce(_moment(value), _day(value).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    return value


def _day(value: pl.Expr) -> pl.Expr:
    return value.str.to_date("%Y-%m-%d", strict=False)


def _moment(value: pl.Expr) -> pl.Expr:
    return value.str.to_datetime(MOMENT, time_unit="us", time_zone="UTC", strict=False)
