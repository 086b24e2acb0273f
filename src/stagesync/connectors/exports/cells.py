"""From a cell as it was exported to a typed value: blank, a value, or unreadable. All in columns.

A value is read by the declared format alone. What might be read in two ways is not guessed: it is unreadable, so
that it is shown to somebody and demotes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import polars as pl

from stagesync.connectors.exports.format import ExportFormat
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType

BROKEN = ("#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#ERROR!")
"""What a spreadsheet leaves where a formula failed."""

BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "1.0", "yes", "y", "t"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "n", "f"), False),
}
EARLY = 1_000
WHOLE = 1e15
"""Below it a float holds every whole number."""
RANGE = {
    ColumnType.DATE: (date.min, date.max),
    ColumnType.DATETIME: (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
}
"""The years 1 to 9999; a year 0 or 20,000 is a slip, and no day."""
FIRST_OF_FOUR = 1_000
"""The first year that has four digits without being filled up with zeros."""
PLAIN = (ColumnType.NUMBER, ColumnType.INTEGER)
GROUPS = " '’\u00a0\u202f"  # thousands may stand apart by spaces of any width and apostrophes (Switzerland)
CODES = "EUR|USD|GBP|CHF|JPY|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|INR|BRL|MXN|ZAR|SGD|HKD|CNY"
MONEY = rf"(?:\p{{L}}{{0,3}}\p{{Sc}}|{CODES}|kr\.?|zł|Kč|Ft|Fr\.|Rs\.?|R)"
"""A currency, as it stands before or behind an amount: ``€``, ``US$``, ``EUR``. Within one it is a decimal mark."""
SPACES = r"[\s\u00a0\u202f]*"


def typed(raw: pl.DataFrame, columns: Mapping[str, ColumnType], style: ExportFormat) -> pl.DataFrame:
    """The frame with each column as its type, and ``<name>?unreadable`` where some value could not be read."""
    marred = _marred(raw, columns, style)
    filled = raw.select(_filled(pl.col(name), style) if name in marred else pl.col(name) for name in columns)
    values = pl.DataFrame([_values(filled[name], kind, style) for name, kind in columns.items()])
    flags = [(filled[name].is_not_null() & values[name].is_null()).alias(name + UNREADABLE) for name in columns]
    if style.blank_is_false:
        truths = [name for name, kind in columns.items() if kind is ColumnType.BOOLEAN]
        values = values.with_columns(
            pl.when(filled[name].is_null()).then(pl.lit(value=False)).otherwise(pl.col(name)).alias(name)
            for name in truths
        )
    return values.hstack([flag for flag in flags if flag.any()])


def _marred(raw: pl.DataFrame, columns: Mapping[str, ColumnType], style: ExportFormat) -> set[str]:
    """The text columns with a blank cell or space around a text.

    The others keep the bytes they came with: stripped copies of all texts would double the memory.
    """
    texts = [name for name in columns if raw.schema[name] == pl.String]
    found: set[str] = set()
    # What is marred mostly shows early, and then the rest need not be looked at.
    for rows in (raw.head(EARLY), raw):
        left = [name for name in texts if name not in found]
        some = rows.select(_is_marred(pl.col(name), style).any() for name in left)
        found |= {name for name in left if some[name].item()}
    return found


def _is_marred(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    return _is_blank(text, style) | (text != text.str.strip_chars())


def _filled(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    """Text without the space around it, null where it is blank."""
    text = text.str.strip_chars()
    return pl.when(~_is_blank(text, style)).then(text)


def _is_blank(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    words = sorted({word.strip().lower() for word in style.empty})
    return (text == "") | text.str.to_lowercase().is_in(words) if words else text == ""


def _values(filled: pl.Series, kind: ColumnType, style: ExportFormat) -> pl.Series:
    """The values of a column, null where it is blank or unreadable."""
    column = pl.col(filled.name)
    if kind is ColumnType.TEXT and filled.dtype == pl.String and not filled.str.starts_with("#").any():
        return filled  # Nothing can be a broken formula, and then no text need be put into upper case.
    if filled.dtype == POLARS[kind] and (
        kind is ColumnType.BOOLEAN or (kind is ColumnType.NUMBER and filled.is_finite().all())
    ):
        return filled
    if filled.dtype != pl.String:
        value = _native(column, filled.dtype, kind, style)
    else:
        value = _read(column, kind, style)
        if kind in PLAIN and style.decimal == ".":
            # Most numbers are written plainly, and then the costly patterns need not be tried.
            plain = filled.cast(POLARS[kind], strict=False)
            if plain.null_count() == filled.null_count() and (kind is ColumnType.INTEGER or plain.is_finite().all()):
                return plain
    if kind in RANGE:
        value = pl.when(value.is_between(*RANGE[kind])).then(value)
    # Not select: a constant, for a type that cannot be read as another, is one for each row only beside rows.
    read = filled.to_frame().with_columns(value.alias(filled.name)).to_series()
    return _of_whole_years(filled, read) if kind in RANGE and filled.dtype == pl.String else read


def _of_whole_years(text: pl.Series, read: pl.Series) -> pl.Series:
    """Days and moments without those of which strptime read ``31.12.25`` with ``%Y`` as a day of the year 25."""
    early = read.dt.year() < FIRST_OF_FOUR
    if not early.any():
        return read
    year = pl.col("read").dt.to_string("%Y")
    sure = (~early).alias("sure") | pl.DataFrame({"text": text, "read": read}).select(
        pl.col("text").str.contains(year, literal=True)
    ).to_series()
    return pl.DataFrame({"read": read, "sure": sure}).select(pl.when("sure").then("read").alias(read.name)).to_series()


def _read(text: pl.Expr, kind: ColumnType, style: ExportFormat) -> pl.Expr:
    match kind:
        case ColumnType.TEXT:
            broken = text.str.starts_with("#") & text.str.to_uppercase().is_in(BROKEN)
            return pl.when(~broken).then(text)
        case ColumnType.BOOLEAN:
            words = {**BOOLEANS, **_words(style.yes, truth=True), **_words(style.no, truth=False)}
            return text.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean())
        case ColumnType.NUMBER:
            return _number(text, style)
        case ColumnType.INTEGER:
            return _integer(text, style)
        case ColumnType.DATE:
            return _date(text, style)
        case ColumnType.DATETIME:
            return _datetime(text, style)


def _words(said: Sequence[str], *, truth: bool) -> dict[str, bool]:
    return {word.strip().lower(): truth for word in said}


def _plain(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    """A number as Python writes it (``-3500.00``), null when it is not one: "€ 3.500,00", "(1,200)", "1 200"."""
    group = "." if style.decimal == "," else ","
    bare = text.str.replace(rf"^([(+-]?{SPACES}){MONEY}{SPACES}", "$1")
    bare = bare.str.replace(rf"{SPACES}{MONEY}(\)?)$", "$1").str.strip_chars(" \u00a0\u202f")
    bare = bare.str.replace(r"^([+-])[\s\u00a0\u202f]+", "$1").str.replace(r"^\((.*)\)$", "-$1")
    # The same sign between all groups, or none: "1.234 567" is not a number.
    whole = "|".join([r"\d+", *(rf"\d{{1,3}}(?:[{mark}]\d{{2,3}})*[{mark}]\d{{3}}" for mark in (group, *GROUPS))])
    shape = rf"^[+-]?(?:(?:{whole})(?:[{style.decimal}]\d*)?|[{style.decimal}]\d+)(?:[eE][+-]?\d+)?$"
    digits = pl.when(bare.str.contains(shape)).then(bare.str.replace_all(f"[{group}{GROUPS}]", ""))
    return digits.str.replace(style.decimal, ".", literal=True)


def _number(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    value = _plain(text, style).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def _integer(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    whole = _plain(text, style).str.replace(r"\.0*$", "")
    return whole.cast(pl.Int64, strict=False)


def _date(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    days = [text.str.strptime(pl.Date, pattern, strict=False) for pattern in style.dates]
    moments = [_moment(text, pattern, style).dt.convert_time_zone(style.time_zone) for pattern in style.datetimes]
    return pl.coalesce([*days, *(moment.dt.date() for moment in moments)])


def _datetime(text: pl.Expr, style: ExportFormat) -> pl.Expr:
    moments = [_moment(text, pattern, style) for pattern in style.datetimes]
    days = [text.str.strptime(pl.Date, pattern, strict=False).cast(pl.Datetime("us")) for pattern in style.dates]
    return pl.coalesce([*moments, *(_in_zone(day, style) for day in days)])


def _moment(text: pl.Expr, pattern: str, style: ExportFormat) -> pl.Expr:
    if "%z" in pattern:
        return text.str.replace(r"[Zz]$", "+0000").str.strptime(pl.Datetime("us", "UTC"), pattern, strict=False)
    return _in_zone(text.str.strptime(pl.Datetime("us"), pattern, strict=False), style)


def _in_zone(naive: pl.Expr, style: ExportFormat) -> pl.Expr:
    """UTC for a moment on the wall clock. An hour that occurs twice is the first; one that is skipped, the next."""

    def at(moment: pl.Expr) -> pl.Expr:
        return moment.dt.replace_time_zone(style.time_zone, ambiguous="earliest", non_existent="null")

    return pl.coalesce(at(naive), at(naive.dt.offset_by("1h"))).dt.convert_time_zone("UTC")


def _native(column: pl.Expr, dtype: pl.DataType, kind: ColumnType, style: ExportFormat) -> pl.Expr:
    """A column that is typed already (Parquet)."""
    match kind:
        case ColumnType.TEXT if dtype.is_float():
            # A column of whole numbers in which one is blank is written as 10.0 by some; the stage is 10.
            whole = (column == column.floor()) & (column.abs() < WHOLE)
            return (
                pl.when(whole)
                .then(column.cast(pl.Int64, strict=False).cast(pl.String))
                .when(column.is_finite())
                .then(column.cast(pl.String))
            )
        case ColumnType.TEXT:
            return column.cast(pl.String, strict=False)
        case ColumnType.NUMBER if dtype.is_numeric():
            value = column.cast(pl.Float64, strict=False)
            return pl.when(value.is_finite()).then(value)
        case ColumnType.INTEGER if dtype.is_numeric():
            whole = column.cast(pl.Int64, strict=False)
            return pl.when(whole.cast(pl.Float64) == column.cast(pl.Float64)).then(whole)
        case ColumnType.BOOLEAN if dtype == pl.Boolean or dtype.is_numeric():
            return pl.when(column.cast(pl.Float64).is_in([0.0, 1.0])).then(column.cast(pl.Float64).cast(pl.Boolean))
        case ColumnType.DATE | ColumnType.DATETIME if isinstance(dtype, pl.Date | pl.Datetime):
            return _native_time(column, dtype, kind, style)
    return pl.lit(None, dtype=POLARS[kind])


def _native_time(column: pl.Expr, dtype: pl.DataType, kind: ColumnType, style: ExportFormat) -> pl.Expr:
    if isinstance(dtype, pl.Date) and kind is ColumnType.DATE:
        return column
    aware = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    moment = column.cast(pl.Datetime("us", "UTC")) if aware else _in_zone(column.cast(pl.Datetime("us")), style)
    return moment if kind is ColumnType.DATETIME else moment.dt.convert_time_zone(style.time_zone).dt.date()
