"""Which records have stood still for too long: without activity (idle), or in the same native stage (age)."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.masks import Frame
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import ACTIVITY, Definition
from stagesync.policy.durations import Duration, Unit


def reasons(definition: Definition, records: pl.DataFrame, evidence: EvidenceFrame, frame: Frame) -> pl.DataFrame:
    """For each record ``reason``, why it is stalled in words or null, and ``quiet``, since when nothing moved (UTC).

    Idle counts from the later of the entry into the stage and the last activity, age from the entry alone.
    A record without either date is not stalled: nothing says since when.
    """
    known = ACTIVITY in evidence.rows.columns
    unknown = pl.Series(unknown_activity(evidence))
    activity = evidence.rows[ACTIVITY] if known else pl.Series([None], dtype=pl.Datetime("us", "UTC"))
    moment = pl.lit(frame.now).cast(pl.Datetime("us", "UTC"))
    rows = records.select("position", "since", "since_source").with_columns(
        activity=activity if known else pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    )
    # What lies in the future is not activity; a clock that is wrong must not keep a record alive.
    past = pl.when(pl.col("activity") <= moment).then(pl.col("activity"))
    rows = rows.with_columns(quiet=pl.max_horizontal(past, pl.col("since")), active=past)
    reason = pl.lit(None, dtype=pl.String)
    for rung in definition.rungs:
        here = pl.col("position") == rung.position
        if rung.stalls_after.idle is not None and known:
            over = here & ~unknown & _exceeds(pl.col("quiet"), rung.stalls_after.idle, frame)
            reason = pl.when(reason.is_null() & over).then(_idle_words(rung.stalls_after.idle)).otherwise(reason)
        if rung.stalls_after.age is not None:
            over = here & _exceeds(pl.col("since"), rung.stalls_after.age, frame)
            reason = pl.when(reason.is_null() & over).then(_age_words(rung.stalls_after.age)).otherwise(reason)
    return rows.select(reason.alias("reason"), "quiet")


def unknown_activity(evidence: EvidenceFrame) -> npt.NDArray[np.bool_]:
    """For each record whether nobody can say when people last did something; such a record is never called idle."""
    flag = ACTIVITY + UNREADABLE
    if flag in evidence.rows.columns:
        return evidence.rows[flag].fill_null(value=False).to_numpy()
    return np.full(evidence.rows.height, ACTIVITY in evidence.unknown, dtype=np.bool_)


def _exceeds(since: pl.Expr, limit: Duration, frame: Frame) -> pl.Expr:
    if limit.unit in (Unit.MINUTES, Unit.HOURS):
        passed = pl.lit(frame.now).cast(pl.Datetime("us", "UTC")) - since
        return passed >= pl.lit(timedelta(**{str(limit.unit): limit.count}))
    day = since.dt.convert_time_zone(frame.time_zone.key).dt.date()
    if limit.unit is Unit.DAYS:
        return (pl.lit(frame.today) - day).dt.total_days() > limit.count
    return pl.business_day_count(day, pl.lit(frame.today)) > limit.count


def _idle_words(limit: Duration) -> pl.Expr:
    last = pl.col("active").dt.strftime("%Y-%m-%d").fill_null("never")
    return pl.format("no activity for more than {} (last: {})", pl.lit(str(limit)), last)


def _age_words(limit: Duration) -> pl.Expr:
    since = pl.col("since").dt.strftime("%Y-%m-%d")
    return pl.format(
        "in the same stage for more than {} (since {}, by {})", pl.lit(str(limit)), since, pl.col("since_source")
    )
