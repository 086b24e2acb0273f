"""Says why: each criterion behind a finding with the values that were looked at, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from stagesync.model.findings import Evidence, Verdict
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Criterion

LONGEST_VALUE = 80


def evidence_for(
    criterion: Criterion,
    verdict: Verdict,
    values: Mapping[str, object],
    unknown: Mapping[str, str],
    sources: Mapping[str, str],
) -> Evidence:
    """The evidence of one criterion for one record. ``values`` are the record's known items."""
    unknowns = [item for item in criterion.items if item in unknown]
    known = [(item, shown(values.get(item))) for item in criterion.items if item not in unknown]
    if verdict is Verdict.UNKNOWN:
        reason = "; ".join(f"{item} is unknown: {unknown[item]}" for item in unknowns) or "a value cannot be read"
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


def evidence_of(
    criterion: Criterion,
    verdict: Verdict,
    *,
    known: pl.DataFrame,
    records: int,
    unknown: Mapping[str, str],
    sources: Mapping[str, str],
) -> list[Evidence]:
    """The evidence of one criterion for each of some records; records with the same values share theirs.

    ``known`` has a row for each of them, with the known items that the criterion asks for alone.
    """
    if not known.columns:
        return [evidence_for(criterion, verdict, {}, unknown, sources)] * records
    told: dict[tuple[object, ...], Evidence] = {}
    result = []
    for values in known.iter_rows():
        said = told.get(values)
        if said is None:
            record = dict(zip(known.columns, values, strict=True))
            told[values] = said = evidence_for(criterion, verdict, record, unknown, sources)
        result.append(said)
    return result


def _said(item: str, value: str, values: Mapping[str, object]) -> str:
    return f"{item} cannot be read" if values.get(item + UNREADABLE) else f"{item} is {value}"


def shown(value: object) -> str:
    """A value for a person: blank, numbers without a useless fraction, times to the minute, text cut at 80."""
    match value:
        case None:
            return "blank"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return f"{int(value)}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M UTC")
        case str() if len(value) > LONGEST_VALUE:
            return f"'{value[: LONGEST_VALUE - 1]}…'"
        case str():
            return f"'{value}'"
    return str(value)
