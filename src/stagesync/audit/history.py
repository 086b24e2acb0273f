"""The past stages of records in order: since when each is in its stage, and who brought it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from stagesync.audit.evidence import Tables
from stagesync.audit.masks import Frame, met, moment
from stagesync.audit.scope import PARKED, stage_numbers
from stagesync.model.crm import Owner
from stagesync.model.tables import ColumnType
from stagesync.policy.definitions import Definition
from stagesync.policy.expressions.tree import names
from stagesync.policy.mappings import CrmMapping, MappedObject

FROM_HISTORY = "stage history"
FROM_CRM = "the CRM's own date"
FROM_CREATION = "creation of the record"


STEPS: Mapping[str, type[pl.DataType] | pl.DataType] = {
    "row": pl.UInt32,
    "stage": pl.String,
    "position": pl.Int16,
    "at": pl.Datetime("us", "UTC"),
    "by": pl.String,
    "elsewhere": pl.Boolean,
}


NO_STEPS = pl.DataFrame(schema=dict(STEPS))
UNTOLD = (
    pl.Series("since", [None], dtype=pl.Datetime("us", "UTC")),
    pl.Series("since_source", [None], dtype=pl.String),
    pl.Series("moved_by", [None], dtype=pl.String),
)
"""What ``entries`` gives for a record of which nothing is told."""


def steps(
    definition: Definition, mapped: MappedObject, records: pl.DataFrame, tables: Tables, frame: Frame
) -> pl.DataFrame:
    """The past of these records, record by record in the order of time; no row where no history was read.

    ``row`` is the record's index, ``stage`` the native one and ``position`` its rung's (PARKED for a parking place,
    null where the mapping does not know it), ``elsewhere`` whether it is another native stage than the present one.
    Of steps at the same moment the one into the present stage comes last, because the record is in it; the others
    are taken for a climb.
    """
    past = past_stages(mapped, tables.rows, frame)
    if past is None or not past.height:
        return NO_STEPS
    present = records.select(
        pl.col(mapped.table.key).alias("record"),
        pl.col(mapped.stage_field).alias("present"),
        (pl.lit(None, dtype=pl.String) if mapped.group_field is None else pl.col(mapped.group_field)).alias("pipeline"),
    ).with_row_index("row")
    found = past.join(present, on="record").with_columns(
        elsewhere=pl.col("stage").ne_missing(pl.col("present")),
        stage=pl.col("stage").fill_null(""),
    )
    parked_last, present_last = len(definition.rungs), len(definition.rungs) + 1
    climb = pl.when(pl.col("position") >= 0).then(pl.col("position")).otherwise(parked_last)
    return (
        _placed(definition, mapped, found)
        .with_columns(order=pl.when("elsewhere").then(climb).otherwise(present_last).cast(pl.Int16))
        .select(*STEPS, "order")
        .sort("row", "at", "order", "by")
        .drop("order")
    )


def _placed(definition: Definition, mapped: MappedObject, past: pl.DataFrame) -> pl.DataFrame:
    """With the ``position`` of each native ``stage``: in the record's pipeline or record type, else where all of them
    agree on it."""
    positions = {rung.name: rung.position for rung in definition.rungs}
    known = [positions.get(place, PARKED) for place in mapped.stages.values()]
    meant: dict[str, set[int]] = {}
    for (_, native), position in zip(mapped.stages, known, strict=True):
        meant.setdefault(native, set()).add(position)
    agreed = {native: position for native, found in meant.items() for position in found if len(found) == 1}
    placed = past.with_columns(position=pl.col("stage").replace_strict(agreed, default=None, return_dtype=pl.Int16))
    if mapped.group_field is None or len(agreed) == len(meant):
        return placed
    numbers = pl.Series(stage_numbers(mapped, past["stage"], past["pipeline"]))
    exact = pl.Series([*known, None], dtype=pl.Int16)[numbers]
    return placed.with_columns(position=pl.coalesce(exact, "position"))


def names_of(changed_by: pl.Series, owners: Sequence[Owner]) -> Mapping[str, str]:
    """The name of each person in a history's ``by`` whom the owners tell, with the door where the CRM says that too:
    ``Ann Lee``, or ``Ann Lee (CRM_UI)`` for ``CRM_UI:userId:7``."""
    known = {owner.author or owner.id: owner.name for owner in reversed(owners)}
    names = {}
    for author in changed_by.unique().drop_nulls().to_list() if known else ():
        door, _, person = author.partition(":")
        if author in known:
            names[author] = known[author]
        elif person in known:
            names[author] = f"{known[person]} ({door})"
    return names


def with_names(past: pl.DataFrame, owners: Sequence[Owner]) -> pl.DataFrame:
    """A history with the names of people in ``by``, as far as the owners tell them; see ``names_of``."""
    if not past.height:
        return past
    return past.with_columns(pl.col("by").replace(names_of(past["by"], owners)))


def entries(mapped: MappedObject, records: pl.DataFrame, past: pl.DataFrame, frame: Frame) -> pl.DataFrame:
    """For each record, in order: ``since`` (UTC), ``since_source`` and ``moved_by``; null where nothing says.

    ``past`` is what ``steps`` gives. The history's answer is the start of the latest unbroken run of the stage in
    which the record now is; a history whose newest row names another stage does not explain the present and is left
    aside.
    """
    columns = {FROM_CRM: mapped.entered, FROM_CREATION: mapped.created}
    told = {source: records[name] for source, name in columns.items() if name is not None and name in records.columns}
    untold = pl.DataFrame([column.new_from_index(0, records.height) for column in UNTOLD])
    if past.height:
        began = _began(past, records.height)
        told = {FROM_HISTORY: past["at"].gather(began), **told}
        untold = untold.with_columns(past["by"].gather(began).alias("moved_by"))
    if not told:
        return untold
    # A date in the future (an import with the wrong clock) says nothing about how long the record has been there.
    known = {source: pl.when(pl.col(source) <= moment(frame.now)).then(pl.col(source)) for source in told}
    said = (pl.when(value.is_not_null()).then(pl.lit(source)) for source, value in known.items())
    return pl.DataFrame([*(values.alias(source) for source, values in told.items()), untold["moved_by"]]).select(
        pl.coalesce(*known.values()).cast(pl.Datetime("us", "UTC")).alias("since"),
        pl.coalesce(*said).alias("since_source"),
        "moved_by",
    )


def _began(past: pl.DataFrame, records: int) -> pl.Series:
    """For each record the index of the step that began the run of its present stage; null where there is none."""
    row, elsewhere = past["row"].to_numpy(), past["elsewhere"].to_numpy()
    index = np.arange(past.height)
    # Of several values for one record the one that is assigned last stays.
    last_elsewhere = np.full(records, -1)
    last_elsewhere[row[elsewhere]] = index[elsewhere]
    run = np.flatnonzero(~elsewhere & (index > last_elsewhere[row]))[::-1]
    began = np.full(records, -1)
    began[row[run]] = run
    return pl.Series(began).set(pl.Series(began < 0), None)


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
