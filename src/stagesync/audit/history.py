"""Since when a record is in its stage, and who brought it there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from stagesync.audit.evidence import Tables
from stagesync.audit.masks import Frame, met
from stagesync.model.tables import ColumnType
from stagesync.policy.expressions.tree import names
from stagesync.policy.mappings import CrmMapping, MappedObject

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
    runs = _runs(mapped, records, tables, frame)
    if runs.height:
        result = result.join(runs, on="record", how="left", maintain_order="left")
    else:
        result = result.with_columns(pl.lit(None, dtype=runs.schema[name]).alias(name) for name in runs.columns[1:])
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


def past_stages(mapped: MappedObject, rows: Mapping[str, pl.DataFrame], frame: Frame) -> pl.DataFrame | None:
    """The stages that records had: ``record``, native ``stage``, ``at`` (UTC) and ``by``, in no order.

    None when the mapping names no history, or its table was not read with the columns it needs.
    """
    history = mapped.history
    table = rows.get(history.table) if history else None
    if history is None or table is None:
        return None
    used = {name.name for name in names(history.where)} if history.where is not None else set()
    if not {history.record, history.stage, history.at, *used} <= set(table.columns):
        return None
    if history.where is not None:
        table = table.filter(met(history.where, frame))
    by = pl.col(history.by) if history.by and history.by in table.columns else pl.lit(None, dtype=pl.String)
    return table.select(
        pl.col(history.record).alias("record"),
        pl.col(history.stage).alias("stage"),
        pl.col(history.at).alias("at"),
        by.alias("by"),
    ).drop_nulls(["record", "at"])


def _runs(mapped: MappedObject, records: pl.DataFrame, tables: Tables, frame: Frame) -> pl.DataFrame:
    past = past_stages(mapped, tables.rows, frame)
    if past is None:
        return pl.DataFrame(schema={"record": pl.String, "history": pl.Datetime("us", "UTC"), "moved_by": pl.String})
    current = records.select(pl.col(mapped.table.key).alias("record"), pl.col(mapped.stage_field).alias("current"))
    steps = (
        past.join(current, on="record")
        .with_columns(elsewhere=pl.col("stage").ne_missing(pl.col("current")))
        .sort("record", "at", "elsewhere", "by", descending=[False, False, True, False])
        .with_row_index("step")
    )
    last_elsewhere = pl.col("step").filter(pl.col("elsewhere")).max().over("record")
    run = steps.filter(~pl.col("elsewhere") & (last_elsewhere.is_null() | (pl.col("step") > last_elsewhere)))
    return run.group_by("record", maintain_order=True).agg(
        pl.col("at").first().alias("history"), pl.col("by").first().alias("moved_by")
    )


def latest_moment(mapping: CrmMapping, tables: Tables, now: datetime) -> datetime | None:
    """As of when an export was made (UTC): the newest moment, not in the future, that stands on a record itself or
    in its stage history. Related tables are not asked: a calendar says nothing about the day of the export.
    """
    columns = {(mapped.history.table, mapped.history.at) for mapped in mapping.objects if mapped.history is not None}
    for mapped in mapping.objects:
        types = mapping.table(mapped.table.name).columns
        columns |= {(mapped.table.name, column) for column, kind in types.items() if kind is ColumnType.DATETIME}
    moments = [moment for place in sorted(columns) if (moment := _newest(tables, *place, now)) is not None]
    return max(moments, default=None)


def _newest(tables: Tables, table: str, column: str, now: datetime) -> datetime | None:
    rows = tables.rows.get(table)
    if rows is None or rows.schema.get(column) != pl.Datetime("us", "UTC"):
        return None
    found = rows.select(pl.col(column).filter(pl.col(column) <= now).max()).item()
    return found if isinstance(found, datetime) else None
