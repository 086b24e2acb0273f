"""Which records of an object can be judged, and which are left out and why. Nothing disappears silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import MappedObject

PARKED = -1
"""Position of records on a parking place: only contradictions are looked for."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The records to judge, with ``place`` (name of rung or parking place) and ``position`` (rung, or PARKED).

    ``left_out`` are those that the mapping leaves out on purpose, ``not_judged`` those that could not be judged:
    reason to count.
    """

    records: pl.DataFrame
    in_scope: int
    left_out: Mapping[str, int]
    not_judged: Mapping[str, int]


def select(definition: Definition, mapped: MappedObject, rows: pl.DataFrame) -> Judged:
    """Split the rows of an object's table into records to judge and counted reasons."""
    key = mapped.table.key
    # with_columns, not select: a reason that nobody has is one constant and must be as long as the table.
    reasons = rows.with_columns(
        _broken(rows[key]).alias("broken"),
        _left_out(mapped, rows).alias("left_out"),
    ).select("broken", "left_out")
    placed = rows.with_columns(_place(mapped, rows).alias("place"))
    stage = pl.col(mapped.stage_field)
    unmapped = placed.select(
        pl.when(pl.col("place").is_not_null())
        .then(None)
        .when(_unreadable(rows, mapped.stage_field))
        .then(pl.lit("the stage cannot be read"))
        .when(stage.is_null())
        .then(pl.lit("the record has no stage"))
        .otherwise(pl.format("the mapping does not know the stage '{}'", _native(mapped)))
        .alias("unmapped")
    )
    verdict = reasons.hstack(unmapped).select(
        "broken",
        pl.when(pl.col("broken").is_null()).then(pl.col("left_out")).alias("left_out"),
        pl.when(pl.col("broken").is_null() & pl.col("left_out").is_null()).then(pl.col("unmapped")).alias("unmapped"),
    )
    keep = verdict.select(pl.all_horizontal(pl.all().is_null())).to_series()
    positions = {rung.name: rung.position for rung in definition.rungs}
    records = (placed if keep.all() else placed.filter(keep)).with_columns(
        pl.col("place").replace_strict(positions, default=PARKED, return_dtype=pl.Int16).alias("position")
    )
    return Judged(
        records=records,
        in_scope=rows.height,
        left_out=_counts(verdict["left_out"]),
        not_judged=_counts(verdict["broken"]) + _counts(verdict["unmapped"]),
    )


def _broken(keys: pl.Series) -> pl.Expr:
    if not keys.null_count() and keys.n_unique() == len(keys):
        return pl.lit(None, dtype=pl.String)
    key = pl.col(keys.name)
    return (
        pl.when(key.is_null())
        .then(pl.lit("the row has no id"))
        .when(~key.is_first_distinct())
        .then(pl.lit("the id stands more than once; the first row was judged"))
    )


def _counts(reasons: pl.Series) -> Counter[str]:
    return Counter(reasons.drop_nulls().to_list())


def _left_out(mapped: MappedObject, rows: pl.DataFrame) -> pl.Expr:
    reason = pl.lit(None, dtype=pl.String)
    for column, words in mapped.skip.items():
        if column in rows.columns:
            reason = pl.coalesce(reason, pl.when(pl.col(column).fill_null(value=False)).then(pl.lit(words)))
    return reason


def _unreadable(rows: pl.DataFrame, column: str) -> pl.Expr:
    flag = column + UNREADABLE
    return pl.col(flag).fill_null(value=False) if flag in rows.columns else pl.lit(value=False)


def _native(mapped: MappedObject) -> pl.Expr:
    stage = pl.col(mapped.stage_field)
    if mapped.pipeline_field is None:
        return stage
    pipeline = pl.col(mapped.pipeline_field).fill_null("(none)")
    return pl.format("{} / {}", pipeline, stage)


def _place(mapped: MappedObject, rows: pl.DataFrame) -> pl.Series:
    """The rung or parking place of each row; null where the mapping does not know it. ``""`` maps a blank stage."""
    pipelines = [pipeline for pipeline, _ in mapped.stages]
    natives = [native for _, native in mapped.stages]
    known = pl.DataFrame(
        {"pipeline": pipelines, "native": natives, "place": list(mapped.stages.values())},
        schema={"pipeline": pl.String, "native": pl.String, "place": pl.String},
    )
    pipeline = pl.col(mapped.pipeline_field) if mapped.pipeline_field else pl.lit(None, dtype=pl.String)
    readable = ~_unreadable(rows, mapped.stage_field)
    wanted = rows.select(
        pipeline.alias("pipeline"), pl.when(readable).then(pl.col(mapped.stage_field).fill_null("")).alias("native")
    )
    joined = wanted.join(known, on=["pipeline", "native"], how="left", nulls_equal=True, maintain_order="left")
    return joined["place"]
