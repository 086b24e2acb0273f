"""Days on which people work: Monday to Friday."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from stagesync.policy.durations import Duration, Unit


def due_date(today: date, length: Duration) -> date:
    """The working day on which something is due that may take this long."""
    if length.unit is Unit.BUSINESS_DAYS:
        return _business(today, length.count)
    days = {Unit.MINUTES: -(-length.count // (24 * 60)), Unit.HOURS: -(-length.count // 24)}.get(
        length.unit, length.count
    )
    return _business(today + timedelta(days=days), 0)


def is_over(since: datetime, length: Duration, now: datetime, time_zone: ZoneInfo) -> bool:
    """Whether this much time has passed since a moment (both UTC); days are those of the time zone."""
    if length.unit in (Unit.MINUTES, Unit.HOURS):
        return now - since >= timedelta(**{str(length.unit): length.count})
    start, end = since.astimezone(time_zone).date(), now.astimezone(time_zone).date()
    if length.unit is Unit.DAYS:
        return (end - start).days > length.count
    return int(np.busday_count(start, end)) > length.count


def _business(start: date, count: int) -> date:
    return date.fromisoformat(str(np.busday_offset(start, count, roll="forward")))
