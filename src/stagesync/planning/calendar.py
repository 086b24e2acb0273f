"""Lengths of time in working days: when something is due, and whether enough time has passed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from stagesync.policy.durations import Duration, Unit
from stagesync.policy.working_days import WorkingDays


def due_date(today: date, length: Duration, working_days: WorkingDays) -> date:
    """The working day on which something is due that may take this long."""
    if length.unit is Unit.BUSINESS_DAYS:
        return working_days.after(today, length.count)
    days = {Unit.MINUTES: -(-length.count // (24 * 60)), Unit.HOURS: -(-length.count // 24)}.get(
        length.unit, length.count
    )
    return working_days.after(today + timedelta(days=days), 0)


def is_over(since: datetime, length: Duration, now: datetime, time_zone: ZoneInfo, working_days: WorkingDays) -> bool:
    """Whether this much time has passed since a moment (both UTC); days are those of the time zone."""
    if length.unit in (Unit.MINUTES, Unit.HOURS):
        return now - since >= timedelta(**{str(length.unit): length.count})
    start, end = since.astimezone(time_zone).date(), now.astimezone(time_zone).date()
    if length.unit is Unit.DAYS:
        return (end - start).days > length.count
    return working_days.between(start, end) > length.count
