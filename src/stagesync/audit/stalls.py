"""Which records have stood still for too long: without activity (idle), or in the same native stage (age)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.masks import Frame, day_of, moment
from stagesync.model.tables import UNREADABLE
from stagesync.policy.definitions import ACTIVITY, Definition
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.working_days import WorkingDays

MOMENT = pl.Datetime("us", "UTC")
NOBODY = pl.DataFrame(schema={"row": pl.UInt32, "quiet": MOMENT})


@dataclass(frozen=True, kw_only=True)
class Stalled:
    """``rows`` are the stalled records: ``row``, ``quiet`` (since when nothing moved, UTC), what else ``words`` needs.

    ``words`` says in text why each is stalled. Text is costly, so that it is written for these rows alone.
    """

    rows: pl.DataFrame
    words: pl.Expr


def find(definition: Definition, records: pl.DataFrame, evidence: EvidenceFrame, frame: Frame) -> Stalled:
    """The records that stand still on a rung that people work on.

    Idle counts from the later of the entry into the stage and the last activity, age from the entry alone.
    A record without either date is not stalled: nothing says since when.
    """
    known = ACTIVITY in evidence.rows.columns
    limits = list(_limits(definition, idle=known))
    if not limits:
        return Stalled(rows=NOBODY, words=pl.lit(None, dtype=pl.String))
    unknown, activity = pl.lit(value=False), pl.lit(None, dtype=MOMENT)
    if known:
        # What lies in the future is not activity; a clock that is wrong must not keep a record alive.
        activity = pl.when(pl.col("active") <= moment(frame.now)).then(pl.col("active")).otherwise(None)
        records = records.with_columns(evidence.rows[ACTIVITY].alias("active"), unknown_activity(evidence))
        unknown = pl.col("unknown_activity")
    over = [
        (pl.col("position") == limit.position)
        & _longer_ago(pl.col("quiet" if limit.idle else "since"), limit.length, frame, definition.working_days)
        & (~unknown if limit.idle else pl.lit(value=True))
        for limit in limits
    ]
    which = pl.coalesce(
        pl.lit(None, dtype=pl.UInt16),
        *(pl.when(condition).then(pl.lit(n, dtype=pl.UInt16)) for n, condition in enumerate(over)),
    )
    rows = (
        records.lazy()
        .with_row_index("row")
        .with_columns(active=activity)
        .with_columns(quiet=pl.max_horizontal("active", "since"))
        .with_columns(which=which)
        .filter(pl.col("which").is_not_null())
        .select("row", "quiet", "active", "since", "since_source", "which")
        .collect()
    )
    said = (pl.when(pl.col("which") == n).then(limit.words(frame)) for n, limit in enumerate(limits))
    return Stalled(rows=rows, words=pl.coalesce(pl.lit(None, dtype=pl.String), *said))


@dataclass(frozen=True, kw_only=True)
class _Limit:
    position: int
    idle: bool
    length: Duration

    def words(self, frame: Frame) -> pl.Expr:
        length = pl.lit(str(self.length))
        if self.idle:
            last = day_of("active", frame).fill_null("never")
            return pl.format("no activity for more than {} (last: {})", length, last)
        since = day_of("since", frame)
        return pl.format("in the same stage for more than {} (since {}, by {})", length, since, pl.col("since_source"))


def _limits(definition: Definition, *, idle: bool) -> Iterator[_Limit]:
    for rung in definition.rungs:
        after = rung.stalls_after
        if rung.terminal:
            continue
        if idle and after.idle is not None:
            yield _Limit(position=rung.position, idle=True, length=after.idle)
        if after.age is not None:
            yield _Limit(position=rung.position, idle=False, length=after.age)


def unknown_activity(evidence: EvidenceFrame) -> pl.Series:
    """For each record whether nobody can say when people last did something; such a record is never called idle."""
    flag = ACTIVITY + UNREADABLE
    if flag in evidence.rows.columns:
        return evidence.rows[flag].fill_null(value=False).alias("unknown_activity")
    unknown = pl.Series("unknown_activity", [ACTIVITY in evidence.unknown])
    return unknown.new_from_index(0, evidence.rows.height)


def _longer_ago(since: pl.Expr, limit: Duration, frame: Frame, working_days: WorkingDays) -> pl.Expr:
    """Whether more than this length of time has passed. Comparing with one moment is all that a record costs."""
    try:
        if limit.unit in (Unit.MINUTES, Unit.HOURS):
            passed = frame.now.astimezone(UTC) - timedelta(**{str(limit.unit): limit.count})
            return since <= moment(passed)
        day_after = _last_day(limit, frame.today, working_days) + timedelta(days=1)
        begins = datetime.combine(day_after, time.min, tzinfo=frame.time_zone).astimezone(UTC)
    except (OverflowError, ValueError):
        return pl.lit(value=False)  # a time before the year 1
    return since < moment(begins)


def _last_day(limit: Duration, today: date, working_days: WorkingDays) -> date:
    """The last day from which more than this many days have passed until today."""
    if limit.unit is Unit.DAYS:
        return today - timedelta(days=limit.count + 1)
    # Business days passed are those from the day itself up to yesterday.
    return working_days.before(today, limit.count + 1)
