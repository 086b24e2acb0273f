"""Which records were won or lost, and on which rungs they once stood.

A record is won when the evidence item ``won`` is true, and lost when ``closed`` is true and ``won`` is not. Definitions
without these two Boolean items, and mappings that do not know them, have no outcomes: a stage's name is never
taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stagesync.audit.findings import Mask
from stagesync.audit.judgement import Judgement
from stagesync.audit.scope import stage_numbers
from stagesync.model.tables import UNREADABLE, ColumnType

WON, CLOSED = "won", "closed"


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """For each judged record whether it was won or lost; ``reason`` says why nobody can know, for none of them."""

    won: Mask
    lost: Mask
    reason: str | None


def outcomes(judgement: Judgement) -> Outcomes:
    """The outcomes of the judged records. A record whose ``won`` or ``closed`` cannot be read has none."""
    rows = judgement.evidence.rows
    nobody: Mask = np.zeros(judgement.records.height, dtype=np.bool_)
    for item in (WON, CLOSED):
        if judgement.definition.vocabulary.get(item) is not ColumnType.BOOLEAN:
            return Outcomes(won=nobody, lost=nobody, reason=f"the definitions have no Boolean evidence '{item}'")
        if item not in rows.columns:
            why = judgement.evidence.unknown.get(item, "it cannot be read")
            return Outcomes(won=nobody, lost=nobody, reason=f"{item} is unknown: {why}")
    flags = [flag for item in (WON, CLOSED) if (flag := item + UNREADABLE) in rows.columns]
    known = ~pl.any_horizontal(*(pl.col(flag).fill_null(value=False) for flag in flags), pl.lit(value=False))
    won, closed = (pl.col(item).fill_null(value=False) for item in (WON, CLOSED))
    found = rows.with_columns(won=won & known, lost=closed & ~won & known)
    return Outcomes(won=found["won"].to_numpy(), lost=found["lost"].to_numpy(), reason=None)


def stood(judgement: Judgement, past: pl.DataFrame, chosen: Mask) -> pl.DataFrame:
    """On which open rungs the chosen records stood: ``row`` (of the judged records), ``position`` and ``at`` (UTC).

    ``past`` is what ``history.past_stages`` gives. A past stage is looked up in the pipeline (or record type) in which
    the record now is; one of another pipeline counts where all pipelines that have it agree on its rung.
    """
    open_rungs = {rung.name: rung.position for rung in judgement.definition.rungs if not rung.terminal}
    mapped = judgement.mapped
    here = [open_rungs.get(place, -1) for place in mapped.stages.values()]
    positions: dict[str, set[int]] = {}
    for (_, native), position in zip(mapped.stages, here, strict=True):
        positions.setdefault(native, set()).add(position)
    agreed = {native: position for native, found in positions.items() for position in found if len(found) == 1}
    records = judgement.records.select("record", group=pl.col("pipeline").fill_null("")).with_row_index("row")
    steps = past.select("record", native=pl.col("stage").fill_null(""), at="at")
    steps = steps.filter(pl.col("native").is_in([native for native, found in positions.items() if found != {-1}]))
    steps = steps.join(records.filter(chosen), on="record")
    numbers = stage_numbers(mapped, steps["native"], steps["group"] if mapped.group_field else None)
    exact = pl.Series([*here, None], dtype=pl.Int16)[pl.Series(numbers)]
    elsewhere = pl.col("native").replace_strict(agreed, default=None, return_dtype=pl.Int16)
    steps = steps.with_columns(position=pl.coalesce(exact, elsewhere))
    return steps.select("row", "position", "at").filter(pl.col("position") >= 0)
