"""From the bytes of a page to a typed frame.

The fast way reads the fields that were asked for into slots and those into columns; it refuses a page in which a
value is not of the type that describe promised. Such a page is read the exact way, value by value. A column whose
described type is not the wanted one goes the exact way alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from types import GenericAlias
from typing import Any

import msgspec
import polars as pl

from stagesync.connectors.salesforce.schema import Column
from stagesync.connectors.salesforce.shapes import next_path
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
EXACT_INTEGERS = float(2**53)
# 2026-10-01T12:00:00.000+0000; %#z also reads a trailing Z and an offset with a colon.
MOMENT = "%Y-%m-%dT%H:%M:%S%.f%#z"
# What REST and Bulk write. Polars reads a spelling of fixed length five times as fast as one with an offset.
USUAL_MOMENT = "%Y-%m-%dT%H:%M:%S.000+0000"
BULK_MOMENT = "%Y-%m-%dT%H:%M:%S.000Z"
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
DAY = "%Y-%m-%d"
RECORDS, BETWEEN = b'"records":[', b'},{"attributes":'
PIECE = 120_000
"""Bytes of a page that are read at once, or somewhat more."""
WIRE: Mapping[ColumnType, type[pl.DataType]] = {
    ColumnType.TEXT: pl.String,
    ColumnType.INTEGER: pl.Float64,
    ColumnType.NUMBER: pl.Float64,
    ColumnType.BOOLEAN: pl.Boolean,
    ColumnType.DATE: pl.String,
    ColumnType.DATETIME: pl.String,
}
SLOTS: Mapping[type[pl.DataType], Any] = {pl.String: str | None, pl.Float64: float | None, pl.Boolean: bool | None}


class Paging(msgspec.Struct):
    """What a page says beside its records."""

    done: bool
    nextRecordsUrl: str | None = None
    totalSize: int | None = None


@dataclass(frozen=True)
class Decoded:
    """One page: its rows, where the next one is, how many rows the query has, whether the fast way could read it."""

    rows: pl.DataFrame
    next_path: str | None
    total: int
    fast: bool


def decode_page(body: bytes, columns: Sequence[Column]) -> Decoded:
    """The rows of a query's page, typed as the columns say.

    Errors: ``ValueError`` for a page that is cut off or is no page at all.
    """
    wanted = tuple(columns)
    fast = True
    try:
        page, rows = _decode_fast(body, wanted)
    except msgspec.DecodeError:  # a value of another type, or half a surrogate pair
        raw = json.loads(body)
        page, rows, fast = msgspec.convert(raw, Paging), decode_rows(raw["records"], wanted), False
    following = None if page.done else next_path(page.nextRecordsUrl)
    if not page.done and following is None:
        raise ValueError("a page that is not the last names no next one")
    total = rows.height if page.totalSize is None else page.totalSize
    return Decoded(rows, following, total, fast)


def decode_rows(records: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> pl.DataFrame:
    """Records that are already Python objects, typed as the columns say: the exact way."""
    rows = list(records)
    return typed([exact([_value_at(row, column.path) for row in rows], column) for column in columns], columns)


@dataclass(frozen=True)
class Wire:
    """A column as it came, in the type of the wire. ``bad`` marks values that are already known to be unreadable."""

    values: pl.Series
    bad: pl.Series | None = None


@dataclass(frozen=True)
class _Layout:
    """How records are read into slots: the place of each path, and how many slots the parent at a place has."""

    page: msgspec.json.Decoder[Any]
    records: msgspec.json.Decoder[Any]
    places: Mapping[tuple[str, ...], tuple[int, ...]]
    widths: Mapping[tuple[int, ...], int]


@lru_cache(maxsize=64)
def _layout(columns: tuple[Column, ...]) -> _Layout:
    tree: dict[str, Any] = {}
    for column in columns:
        node = tree
        for parent in column.path[:-1]:
            node = node.setdefault(parent, {})
        slot = SLOTS[WIRE[column.type]] if column.native else Any
        leaf = column.path[-1]
        node[leaf] = slot if node.get(leaf, slot) == slot else Any
    places: dict[tuple[str, ...], tuple[int, ...]] = {}
    widths: dict[tuple[int, ...], int] = {}
    record = _slotted(tree, (), (), places, widths)
    many = GenericAlias(list, (record,))
    page = msgspec.defstruct("Page", [("records", many)], bases=(Paging,), kw_only=True)
    return _Layout(msgspec.json.Decoder(page), msgspec.json.Decoder(many), places, widths)


def _decode_fast(body: bytes, columns: tuple[Column, ...]) -> tuple[Paging, pl.DataFrame]:
    """A page by slots, some hundred records at a time: what the processor's cache holds is read in two thirds of the
    time. A page that is not spelled as usual is read in one piece."""
    layout = _layout(columns)
    start, end = body.find(RECORDS) + len(RECORDS), body.rfind(b"]")
    if start < len(RECORDS) or end < start + PIECE:
        page = layout.page.decode(body)
        return page, _typed_columns(_Slots(page.records, layout).columns(columns), columns)
    paging = msgspec.json.decode(body[:start] + body[end:], type=Paging)
    values: list[list[Any]] = [[] for _ in columns]
    view = memoryview(body)
    while start < end:
        # In JSON a quote inside a text follows a backslash, so that this is found between two records alone.
        cut = body.find(BETWEEN, min(start + PIECE, end), end)
        piece = b"".join((b"[", view[start : end if cut < 0 else cut + 1], b"]"))
        for column, more in zip(values, _Slots(layout.records.decode(piece), layout).columns(columns), strict=True):
            column.extend(more)
        start = end if cut < 0 else cut + 2
    return paging, _typed_columns(values, columns)


def _slotted(
    tree: Mapping[str, Any],
    path: tuple[str, ...],
    place: tuple[int, ...],
    places: dict[tuple[str, ...], tuple[int, ...]],
    widths: dict[tuple[int, ...], int],
) -> type[msgspec.Struct]:
    """A class with a slot for each wanted field; other fields of a record are passed over."""
    fields: list[tuple[str, Any, Any]] = []
    for number, (name, node) in enumerate(tree.items()):
        here, there = (*path, name), (*place, number)
        places[here] = there
        parent = isinstance(node, dict)
        kind = _slotted(node, here, there, places, widths) | None if parent else node
        fields.append((f"slot{number}", kind, msgspec.field(name=name, default=None)))
    widths[place] = len(fields)
    # Without the garbage collector's attention: a record holds texts, numbers and its parents, and no cycle.
    return msgspec.defstruct("Record", fields, gc=False)


class _Slots:
    """The slots of records, turned into columns where they are asked for."""

    def __init__(self, records: Sequence[Any], layout: _Layout) -> None:
        self._layout = layout
        self._spread: dict[tuple[int, ...], Sequence[Sequence[Any]]] = {}
        self._spread[()] = self._turned(map(msgspec.structs.astuple, records), ())

    def columns(self, columns: Iterable[Column]) -> list[Sequence[Any]]:
        """The values of each column."""
        return [self._at(self._layout.places[column.path]) for column in columns]

    def _at(self, place: tuple[int, ...]) -> Sequence[Any]:
        parent = place[:-1]
        if parent not in self._spread:
            nothing = (None,) * self._layout.widths[parent]
            rows = (nothing if one is None else msgspec.structs.astuple(one) for one in self._at(parent))
            self._spread[parent] = self._turned(rows, parent)
        return self._spread[parent][place[-1]]

    def _turned(self, rows: Iterable[tuple[Any, ...]], place: tuple[int, ...]) -> Sequence[Sequence[Any]]:
        return list(zip(*rows, strict=True)) or [()] * self._layout.widths[place]


def _typed_columns(values: Sequence[Sequence[Any]], columns: Sequence[Column]) -> pl.DataFrame:
    wires = [
        Wire(pl.Series(column.name, some, WIRE[column.type])) if column.native else exact(some, column)
        for some, column in zip(values, columns, strict=True)
    ]
    return typed(wires, columns)


def exact(values: Iterable[Any], column: Column) -> Wire:
    """The exact way: one value after the other, what does not fit is marked as unreadable."""
    pairs = [_wire_value(value, column.type) for value in values]
    bad = pl.Series([bad for _, bad in pairs], dtype=pl.Boolean)
    return Wire(pl.Series(column.name, [value for value, _ in pairs], WIRE[column.type]), bad)


def _value_at(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = row
    for name in path:
        if value is None:
            return None
        value = value.get(name)
    return value


def _wire_value(value: Any, kind: ColumnType) -> tuple[Any, bool]:
    """The value for the wire frame, and whether it could not be read."""
    if kind is ColumnType.TEXT:
        return text_of(value), isinstance(value, (dict, list))
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


def text_of(value: Any) -> str | None:
    """A value as a change spells it; None for a blank, and for what is more than one value."""
    if value is None or value == "" or isinstance(value, (dict, list)):
        return None
    return native_text(value)


def native_text(value: Any) -> str:
    """A value in the spelling that changes and text columns use: ``true``, ``10``, ``1.5``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_INTEGERS:
        return str(int(value))
    # A lone surrogate is valid JSON and no text.
    return str(value).encode("utf-8", "replace").decode()


def typed(
    wires: Sequence[Wire], columns: Sequence[Column], moment: str = USUAL_MOMENT, *, blanks: bool = True
) -> pl.DataFrame:
    """The typed frame of columns as they came: blanks are null, unreadable values are null and marked.

    All columns are read as they usually are in one go, since each call of polars has its price; a column in which
    more is null afterwards is looked at again. ``moment`` is how moments are spelled, mostly; without ``blanks`` no
    text is empty.
    """
    given = pl.DataFrame([wire.values for wire in wires])
    rows = given.select(_usually(tuple(columns), moment, blanks))
    marks = []
    for wire, column, value in zip(wires, columns, rows.get_columns(), strict=True):
        as_given, bad = wire.values, wire.bad
        dated = column.type in {ColumnType.DATE, ColumnType.DATETIME}
        if value.null_count() > as_given.null_count() or (dated and not _within(value)):
            thorough = _thorough(as_given, column)
            rows = rows.with_columns(thorough)
            lost = thorough.is_null() & as_given.is_not_null()
            lost = lost & (as_given != "") if as_given.dtype == pl.String else lost
            bad = lost if bad is None else bad | lost
        if bad is not None and bad.any():
            marks.append(bad.alias(column.name + UNREADABLE))
    return rows.hstack(marks)


@lru_cache(maxsize=64)
def _usually(columns: tuple[Column, ...], moment: str, blanks: bool) -> list[pl.Expr]:
    as_they_are = set() if blanks else {ColumnType.TEXT}
    return [pl.col(one.name) if one.type in as_they_are else _usual(one, moment) for one in columns]


def _usual(column: Column, moment: str) -> pl.Expr:
    """The value as its type, null for a blank, and where it cannot be read or is spelled in an unusual way."""
    value = pl.col(column.name)
    if column.type is ColumnType.TEXT:
        return pl.when(value != "").then(value)
    if column.type is ColumnType.INTEGER:
        # A double holds each integer up to 2^53; beyond it the wire value may already be another one.
        whole = (value == value.round()) & (value.abs() <= EXACT_INTEGERS)
        return pl.when(whole).then(value).cast(POLARS[column.type])
    if column.type is ColumnType.NUMBER:
        return pl.when(value.is_finite()).then(value)
    if column.type is ColumnType.DATE:
        return _day(value)
    if column.type is ColumnType.DATETIME:
        return _utc(value, moment)
    return value


def _thorough(given: pl.Series, column: Column) -> pl.Series:
    """A column's values by whichever way reads them, null where none does."""
    value = pl.col(column.name)
    day, moment = _day(value), _utc(value, MOMENT)
    reading = _usual(column, MOMENT)
    if column.type is ColumnType.DATE:
        either = pl.coalesce(day, moment.dt.date())
        reading = pl.when(either.is_between(date.min, date.max)).then(either)
    elif column.type is ColumnType.DATETIME:
        either = pl.coalesce(moment, day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        reading = pl.when(either.is_between(FIRST, LAST)).then(either)
    return given.to_frame().select(reading).to_series()


def _day(value: pl.Expr) -> pl.Expr:
    return value.str.to_date(DAY, strict=False, cache=False)


def _utc(value: pl.Expr, spelling: str) -> pl.Expr:
    zone = "UTC" if spelling is MOMENT else None
    moment = value.str.to_datetime(spelling, time_unit="us", time_zone=zone, strict=False, cache=False)
    return moment.dt.replace_time_zone("UTC")


def _within(moments: pl.Series) -> bool:
    """Whether Python knows these years: polars also reads the year -1."""
    try:
        moments.min(), moments.max()
    except (ValueError, OverflowError):
        return False
    return True
