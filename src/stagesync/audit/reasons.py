"""Says why: each criterion behind a finding with the values that were looked at, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import polars as pl

from stagesync.model.findings import Evidence, Verdict
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Criterion

LONGEST_VALUE = 80
CONTROL = r"[\x00-\x1f\x7f-\x9f]+"
"""Line breaks, and what would steer a terminal: a value stands in one line."""
BLANK, UNREAD = "blank", "unreadable"
_CONTROLS = re.compile(CONTROL)
_WHOLE = 1e15
_PLAIN = 1e-5


def evidence_for(
    criterion: Criterion,
    verdict: Verdict,
    values: Mapping[str, object],
    unknown: Mapping[str, str],
    sources: Mapping[str, str],
) -> Evidence:
    """The evidence of one criterion for one record. ``values`` are the record's known items."""
    unknowns = [item for item in criterion.items if item in unknown]
    known = [(item, _value(item, values)) for item in criterion.items if item not in unknown]
    if verdict is Verdict.UNKNOWN:
        said = [f"{item} is unknown: {unknown[item]}" for item in unknowns]
        said += [f"{item} cannot be read" for item in criterion.items if values.get(item + UNREADABLE)]
        reason = "; ".join(said) or "a value cannot be read"
    else:
        said = [_said(item, value, values) for item, value in known]
        if verdict is Verdict.NOT_MET or not said:
            said.append(f"needs {criterion.text}")
        reason = "; ".join(said)
    return Evidence(
        criterion=criterion.id,
        verdict=verdict,
        reason=reason,
        value=", ".join([value for _, value in known]) or None,
        source=source_of(criterion, sources),
        ask=criterion.ask,
        because=criterion.because,
    )


def source_of(criterion: Criterion, sources: Mapping[str, str]) -> str | None:
    """Where a criterion's items come from, each place once."""
    return ", ".join(dict.fromkeys([sources[item] for item in criterion.items if item in sources])) or None


FEW = 64
"""So many records are told faster one after the other than in columns."""


def words_of(
    criterion: Criterion, verdict: Verdict, known: pl.DataFrame, unknown: Mapping[str, str]
) -> tuple[list[str], list[str | None]]:
    """What ``evidence_for`` says of a criterion for each of some records: the reasons, and the values.

    ``known`` has a row for each of them, with the known items that the criterion asks for alone.
    """
    if verdict is Verdict.UNKNOWN or known.height <= FEW:
        told = [evidence_for(criterion, verdict, values, unknown, {}) for values in known.iter_rows(named=True)]
        return [one.reason for one in told], [one.value for one in told]
    items = [item for item in criterion.items if item not in unknown]
    shown = [_value_in_columns(item, known) for item in items]
    said = [_said_in_columns(item, value, known) for item, value in zip(items, shown, strict=True)]
    if verdict is Verdict.NOT_MET:
        said.append(pl.lit(f"needs {criterion.text}"))
    reasons, values = known.select(
        pl.concat_str(said, separator="; ").alias(":reason"), pl.concat_str(shown, separator=", ").alias(":value")
    ).get_columns()
    return reasons.to_list(), values.to_list()


def _said_in_columns(item: str, shown: pl.Expr, known: pl.DataFrame) -> pl.Expr:
    return _where_read(item, pl.concat_str(pl.lit(f"{item} is "), shown), f"{item} cannot be read", known)


def _value_in_columns(item: str, known: pl.DataFrame) -> pl.Expr:
    return _where_read(item, shown_in_columns(item, known.schema[item]), UNREAD, known)


def _where_read(item: str, says: pl.Expr, else_: str, known: pl.DataFrame) -> pl.Expr:
    if item + UNREADABLE not in known.columns:
        return says
    return pl.when(pl.col(item + UNREADABLE).fill_null(value=False)).then(pl.lit(else_)).otherwise(says)


def shown_in_columns(name: str, kind: pl.DataType) -> pl.Expr:
    """What ``shown`` says of each value of a column of evidence."""
    value = pl.col(name)
    match kind:
        case pl.String():
            value = value.str.replace_all(CONTROL, " ")
            long = value.str.len_chars() > LONGEST_VALUE
            cut = pl.when(long).then(value.str.slice(0, LONGEST_VALUE - 1) + "…").otherwise(value)
            text = pl.concat_str(pl.lit("'"), cut, pl.lit("'"))
        case pl.Float64():
            whole = (value == value.floor()) & (value.abs() < _WHOLE)
            text = (
                pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
            )
        case pl.Datetime():
            text = pl.concat_str(value.dt.strftime("%Y-%m-%d %H:%M"), pl.lit(" UTC"))
        case _:
            text = value.cast(pl.String)
    return text.fill_null(BLANK)


def _said(item: str, value: str, values: Mapping[str, object]) -> str:
    return f"{item} cannot be read" if values.get(item + UNREADABLE) else f"{item} is {value}"


def _value(item: str, values: Mapping[str, object]) -> str:
    return UNREAD if values.get(item + UNREADABLE) else shown(values.get(item))


def shown(value: object) -> str:
    """A value for a person: blank, numbers without a useless fraction, times to the minute, text cut at 80."""
    match value:
        case None:
            return BLANK
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < _WHOLE:
            return f"{int(value)}"
        case datetime():
            return f"{value.replace(tzinfo=None).isoformat(' ', 'minutes')} UTC"
        case str():
            text = _CONTROLS.sub(" ", value)
            return f"'{text[: LONGEST_VALUE - 1]}…'" if len(text) > LONGEST_VALUE else f"'{text}'"
        case float():
            return _spelled(value)
    return str(value)


def _spelled(number: float) -> str:
    """The shortest text of a number, as polars writes it in columns: 0.00001 and 1e-7 where Python has 1e-05, 1e-07."""
    if math.isnan(number):
        return "NaN"
    if _PLAIN <= abs(number) < 1:
        return f"{Decimal(repr(number)):f}"
    return repr(number).replace("e-0", "e-")
