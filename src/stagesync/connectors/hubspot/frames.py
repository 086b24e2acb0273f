"""Rows of strings, as HubSpot sends them, to typed frames.

All values are strings or null: booleans "true" / "false", numbers ("0.2"), dates in ISO-8601 with or without
milliseconds, and milliseconds since 1970 in some old properties (``salesforcelastsynctime``). Source:
https://developers.hubspot.com/docs/guides/api/crm/properties, read 2026-11-21.

Decoding goes through one sequence of strings for each property rather than through polars' JSON reader, which
turns half an emoji into a NUL character. ``benchmarks/pull_hubspot.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, assert_never

import polars as pl
from msgspec.structs import astuple

from stagesync.connectors.hubspot.answers import AskedRow, PastValue
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType, Table

ID = "hs_object_id"
BEFORE = "before"

_USUAL, _USUAL_LENGTH = "%Y-%m-%dT%H:%M:%S.%3fZ", 24
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MOMENTS = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")
_ZONELESS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_EARLIEST_MS = -62_135_596_800_000  # 0001-01-01, the first day that Python's dates know
_LATEST_MS = 253_402_300_799_999  # 9999-12-31
_LARGEST_EXACT = 2.0**53  # above it, a float no longer holds every integer


def record_frame(table: Table, pages: Iterable[Sequence[AskedRow]]) -> pl.DataFrame:
    """One row for each record of some pages: the key, then the columns of ``table``, unreadable companions at the end.

    The key column holds the id of the record's envelope, whether or not it was asked for as a property. Pages are taken
    one by one and turned into columns while the processor's cache still holds them.
    """
    keys: list[str] = []
    slots: list[list[Any]] = []
    places: Mapping[str, int] = {}
    for rows in filter(None, pages):
        places = rows[0].properties.places
        slots = slots or [[] for _ in places]
        keys += [str(row.id) for row in rows]
        for slot, column in zip(slots, zip(*(astuple(row.properties) for row in rows), strict=True), strict=True):
            slot.extend(column)
    values: dict[str, Sequence[Any]] = {table.key: keys}
    for name in table.columns:
        if name != table.key:
            values[name] = slots[places[name]] if name in places else [None] * len(keys)
    return typed(values, {table.key: ColumnType.TEXT, **table.columns})


def history_frame(table: Table, rows: Sequence[AskedRow]) -> pl.DataFrame:
    """One row for each past value of ``table.history_of``: record, value, ``before`` (the value until then, null for
    the first that HubSpot still has; only where ``table`` asks for it), ``at`` (UTC) and ``by``.

    ``by`` is the source and its id, ``CRM_UI:userId:7`` or ``INTEGRATION:2311``, or the source alone.
    """
    prop = table.history_of or ""
    past = [(str(row.id), entry) for row in rows for entry in row.properties_with_history.get(prop, ())]
    values: dict[str, list[Any]] = {
        "record": [record for record, _ in past],
        prop: [entry.value for _, entry in past],
        "at": [entry.timestamp for _, entry in past],
        "by": [_source(entry) for _, entry in past],
    }
    if BEFORE in table.columns:
        values[BEFORE] = [before for row in rows for before in _before(row.properties_with_history.get(prop, ()))]
    declared = {name: table.columns.get(name, ColumnType.TEXT) for name in values}
    return typed(values, {**declared, "record": ColumnType.TEXT, "at": ColumnType.DATETIME})


def link_frame(pairs: Iterable[tuple[str, str]]) -> pl.DataFrame:
    """Associations as ids, each pair once: text columns ``from`` and ``to``."""
    schema = {"from": pl.String(), "to": pl.String()}
    return pl.DataFrame(list(pairs), schema=schema, orient="row").unique(maintain_order=True)


def typed(values: Mapping[str, Sequence[Any]], types: Mapping[str, ColumnType]) -> pl.DataFrame:
    """Columns of strings as their declared types; see :mod:`stagesync.model.tables` for what is unreadable.

    All columns are read as they usually are in one go, since each call of polars has its price; a column in which more
    is null afterwards is looked at again.
    """
    given = pl.DataFrame([pl.Series(name, raw, dtype=pl.String, strict=False) for name, raw in values.items()])
    rows = given.select(_usually(tuple((name, types[name]) for name in values)))
    companions: list[pl.Series] = []
    for name in values:
        raw = given[name]
        if rows[name].null_count() == raw.null_count():
            continue
        text = _stated(raw)
        column = _read(text, types[name])
        rows = rows.with_columns(column)
        unreadable = text.is_not_null() & column.is_null()
        if unreadable.any():
            companions.append(unreadable.rename(f"{name}{UNREADABLE}"))
    return rows.hstack(companions)


@lru_cache(maxsize=64)
def _usually(types: tuple[tuple[str, ColumnType], ...]) -> list[pl.Expr]:
    return [_usual(pl.col(name), kind) for name, kind in types]


def _usual(text: pl.Expr, kind: ColumnType) -> pl.Expr:
    """The value of texts in the usual spelling, null for others and for blank ones."""
    match kind:
        case ColumnType.TEXT:
            return pl.when(text.str.strip_chars() != "").then(text)
        case ColumnType.NUMBER:
            number = text.cast(pl.Float64, strict=False)
            return pl.when(number.is_finite()).then(number)
        case ColumnType.INTEGER:
            return text.cast(pl.Int64, strict=False)
        case ColumnType.BOOLEAN:
            return pl.when(text.is_in(["true", "false"])).then(text == "true")
        case ColumnType.DATETIME:
            return _usual_moment(text)
        case ColumnType.DATE:
            return pl.when(text.str.contains(_DAY)).then(text.str.to_date("%Y-%m-%d", strict=False))
        case _:
            assert_never(kind)


def _usual_moment(text: pl.Expr) -> pl.Expr:
    moment = text.str.to_datetime(_USUAL, time_unit="us", strict=False, cache=False).dt.replace_time_zone("UTC")
    # Polars passes over blanks wherever they stand.
    return pl.when(text.str.len_bytes() == _USUAL_LENGTH, ~text.str.contains(" ", literal=True)).then(moment)


def _before(entries: Sequence[PastValue]) -> list[Any]:
    """For each entry the value of the one before it in time; HubSpot lists the newest first."""
    return [*(entry.value for entry in entries[1:]), None] if entries else []


def _source(entry: PastValue) -> str | None:
    if entry.source_type and entry.source_id:
        return f"{entry.source_type}:{entry.source_id}"
    said = entry.source_type or entry.source_id
    return str(said) if said else None


def _stated(text: pl.Series) -> pl.Series:
    """Blank is null; what is not blank stays as it was typed."""
    return text.set(text.str.strip_chars() == "", None)


def _read(text: pl.Series, kind: ColumnType) -> pl.Series:
    """Null where the text is not of the kind."""
    bare = text.str.strip_chars()
    match kind:
        case ColumnType.TEXT:
            return text
        case ColumnType.NUMBER:
            return _number(bare)
        case ColumnType.INTEGER:
            return _integer(bare)
        case ColumnType.BOOLEAN:
            lower = bare.str.to_lowercase()
            return (lower == "true").set(~lower.is_in(["true", "false"]).fill_null(True), None)
        case ColumnType.DATETIME:
            return _moment(bare)
        case ColumnType.DATE:
            return _moment(bare).dt.date()
        case _:
            assert_never(kind)


def _number(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite().fill_null(False), None)


def _integer(text: pl.Series) -> pl.Series:
    """Whole numbers; "3.0" and "1e3" are whole too, "1.7" is unreadable rather than 1."""
    exact = text.cast(pl.Int64, strict=False)
    if exact.null_count() == text.null_count():
        return exact
    number = _number(text)
    whole = (number == number.floor()) & (number.abs() < _LARGEST_EXACT)
    return exact.zip_with(exact.is_not_null(), number.set(~whole.fill_null(False), None).cast(pl.Int64))


def _moment(text: pl.Series) -> pl.Series:
    """UTC. A day alone is its midnight, a time without a zone is taken as UTC, digits are milliseconds."""
    found = pl.Series(text.name, [None], dtype=POLARS[ColumnType.DATETIME]).extend_constant(None, len(text))[1:]
    for reading in _readings(text):
        found = reading if found.null_count() == len(found) else found.zip_with(found.is_not_null(), reading)
        if found.null_count() == text.null_count():
            break
    return found.set(~found.dt.year().is_between(1, 9999).fill_null(True), None)


def _readings(text: pl.Series) -> Iterator[pl.Series]:
    """The text read in each way that HubSpot writes moments, the most frequent way first."""
    if not text.str.contains(" ", literal=True).any():  # polars passes over blanks wherever they stand
        yield text.str.to_datetime(_USUAL, time_unit="us", strict=False).dt.replace_time_zone("UTC")
    iso = text.str.replace("[Zz]$", "+00:00").str.replace(" ", "T", literal=True)
    for form in _MOMENTS:
        yield iso.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    yield iso.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    yield _milliseconds(text)
    for form in _ZONELESS:
        yield iso.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")


def _milliseconds(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Int64, strict=False)
    within = number.is_between(_EARLIEST_MS, _LATEST_MS).fill_null(False)
    return number.set(~within, None).cast(pl.Datetime("ms")).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
