"""Since when a record is in its stage, and who brought it there."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from stagesync.audit.evidence import Tables
from stagesync.audit.masks import Frame, met
from stagesync.policy.mappings import MappedObject

FROM_HISTORY = "stage history"
FROM_CRM = "the CRM's own date"
FROM_CREATION = "creation of the record"


def entries(mapped: MappedObject, records: pl.DataFrame, tables: Tables, frame: Frame) -> pl.DataFrame:
    """For each record, in order: ``since`` (UTC), ``since_source`` and ``moved_by``; null where nothing says.

    The history's answer is the start of the latest unbroken run of the stage in which the record now is; a
    history whose newest row names another stage does not explain the present and is left aside.
    """
    key = mapped.table.key
    result = records.select(
        pl.col(key).alias("record"),
        _moment(records, mapped.entered).alias("entered"),
        _moment(records, mapped.created).alias("created"),
    )
    result = result.join(_runs(mapped, records, tables, frame), on="record", how="left", maintain_order="left")
    past = pl.lit(frame.now).cast(pl.Datetime("us", "UTC"))
    # A date in the future (an import with the wrong clock) says nothing about how long the record has been there.
    known = {name: pl.when(pl.col(name) <= past).then(pl.col(name)) for name in ("history", "entered", "created")}
    return result.select(
        pl.coalesce(*known.values()).alias("since"),
        pl.when(known["history"].is_not_null())
        .then(pl.lit(FROM_HISTORY))
        .when(known["entered"].is_not_null())
        .then(pl.lit(FROM_CRM))
        .when(known["created"].is_not_null())
        .then(pl.lit(FROM_CREATION))
        .alias("since_source"),
        pl.col("moved_by"),
    )


def _moment(records: pl.DataFrame, column: str | None) -> pl.Expr:
    if column is None or column not in records.columns:
        return pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    return pl.col(column)


def _runs(mapped: MappedObject, records: pl.DataFrame, tables: Tables, frame: Frame) -> pl.DataFrame:
    empty = pl.DataFrame(schema={"record": pl.String, "history": pl.Datetime("us", "UTC"), "moved_by": pl.String})
    history = mapped.history
    rows = tables.rows.get(history.table) if history else None
    if history is None or rows is None or not {history.record, history.stage, history.at} <= set(rows.columns):
        return empty
    if history.where is not None:
        rows = rows.filter(met(history.where, frame))
    by = pl.col(history.by) if history.by and history.by in rows.columns else pl.lit(None, dtype=pl.String)
    current = records.select(pl.col(mapped.table.key).alias("record"), pl.col(mapped.stage_field).alias("current"))
    steps = (
        rows.select(
            pl.col(history.record).alias("record"),
            pl.col(history.stage).alias("stage"),
            pl.col(history.at).alias("at"),
            by.alias("by"),
        )
        .drop_nulls(["record", "at"])
        .join(current, on="record")
        .sort("record", "at", maintain_order=True)
        .with_row_index("step")
        .with_columns(elsewhere=pl.col("stage").ne_missing(pl.col("current")))
    )
    last_elsewhere = pl.col("step").filter(pl.col("elsewhere")).max().over("record")
    run = steps.filter(~pl.col("elsewhere") & (last_elsewhere.is_null() | (pl.col("step") > last_elsewhere)))
    return run.group_by("record", maintain_order=True).agg(
        pl.col("at").first().alias("history"), pl.col("by").first().alias("moved_by")
    )


def latest_moment(tables: Tables, now: datetime) -> datetime | None:
    """The newest moment in any table that is not in the future: as of when an export was made (UTC)."""
    newest: datetime | None = None
    for rows in tables.rows.values():
        for name, kind in rows.schema.items():
            if kind == pl.Datetime("us", "UTC"):
                found = rows.select(pl.col(name).filter(pl.col(name) <= now).max()).item()
                if found is not None and (newest is None or found > newest):
                    newest = found
    return newest
