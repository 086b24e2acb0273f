"""From the bytes of a Bulk result (CSV) to a typed frame: what the REST pages of the same query would give.

Polars reads the columns straight from the bytes. What it cannot read by the described types is read value by value.
A page is refused unless all of it came: a cut-off one may look like a shorter one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import polars as pl

from stagesync.connectors.salesforce.decode import BULK_MOMENT, USUAL_MOMENT, WIRE, Wire, exact, native_text, typed
from stagesync.connectors.salesforce.schema import NUMERIC, Column
from stagesync.model.tables import ColumnType

LINE = b"\n"
BYTE_ORDER = b"\xef\xbb\xbf"


def decode_results(body: bytes, columns: Sequence[Column], *, first: bool, rows: int | None) -> pl.DataFrame:
    """The rows of a page of results, typed as the columns say; the first of the columns is the key.

    ``rows`` is how many the org says there are; None when it does not. Whether each page begins with the names of its
    columns is not told alike everywhere: the ``first`` must, a later one may.

    Errors: ``ValueError`` for a page that is cut off, is no CSV, or holds other columns.
    """
    body = body.removeprefix(BYTE_ORDER)
    names = list(dict.fromkeys(".".join(column.path) for column in columns))
    lines = _without_names(body, names, first=first)
    if not body.endswith(LINE):
        raise ValueError("the page ends in the middle of a row")
    try:
        frame = _typed(lines, names, columns)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error)) from error
    if rows is not None and frame.height != rows:
        raise ValueError(f"the page has {frame.height} rows, and the org says {rows}")
    if frame[columns[0].name].null_count():
        raise ValueError("a row has no key")
    return frame


def _without_names(body: bytes, names: Sequence[str], *, first: bool) -> bytes:
    head, _, rest = body.partition(LINE)
    said = next(csv.reader([head.decode()]), [])
    if [name.lower() for name in said] == [name.lower() for name in names]:
        return rest
    if first:
        raise ValueError("the page does not begin with the names of the wanted columns")
    return body


def _typed(lines: bytes, names: Sequence[str], columns: Sequence[Column]) -> pl.DataFrame:
    wanted: dict[str, set[type[pl.DataType]]] = {name: set() for name in names}
    for column in columns:
        wanted[".".join(column.path)].add(WIRE[column.type] if column.native else pl.String)
    by_type = {name: kinds.pop() if len(kinds) == 1 else pl.String for name, kinds in wanted.items()}
    texts: dict[str, Any] = dict.fromkeys(names, pl.String)
    try:
        given = _read(lines, by_type)
    except pl.exceptions.ComputeError:
        given = _read(lines, texts)
    wires = [_wire(given[".".join(column.path)], column) for column in columns]
    moments = [wire.values for wire, column in zip(wires, columns, strict=True) if column.type is ColumnType.DATETIME]
    written = (moment.drop_nulls().head(1).to_list() for moment in moments)
    by_bulk = any(text[0].endswith("Z") for text in written if text)
    return typed(wires, columns, moment=BULK_MOMENT if by_bulk else USUAL_MOMENT, blanks=False)


def _read(lines: bytes, schema: dict[str, Any]) -> pl.DataFrame:
    if not lines:
        return pl.DataFrame(schema=schema)
    text = pl.col(pl.String)
    rows = pl.read_csv(io.BytesIO(lines), has_header=False, schema=schema)
    return rows.with_columns(pl.when(text != "").then(text).name.keep())  # blanks stand in quotes


def _wire(given: pl.Series, column: Column) -> Wire:
    """A column in the type of the wire. Numbers and moments become the texts that REST would give."""
    given = given.alias(column.name)
    if column.native and given.dtype == WIRE[column.type]:
        if column.type is ColumnType.TEXT and column.kind == "datetime":
            given = given.str.replace("Z$", "+0000")
        return Wire(given)
    values = given.to_list()
    if column.kind in NUMERIC and WIRE[column.type] is pl.String:
        values = [_number_as_text(value) for value in values]
    return exact(values, column)


def _number_as_text(value: str | None) -> str | None:
    try:
        return native_text(float(value)) if value else None
    except ValueError:
        return value
