"""SOQL's date literals: spans of whole days in a user's time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from stagesync.sandbox.salesforce import moments

Span = tuple[date, date]
_UNITS = {"DAY": "day", "WEEK": "week", "MONTH": "month", "QUARTER": "quarter", "YEAR": "year"}
_FISCAL = re.compile(r"FISCAL_(?=QUARTER|YEAR)")
_COUNTED = re.compile(r"(LAST|NEXT)_N_(DAY|WEEK|MONTH|QUARTER|YEAR)S")
_AGO = re.compile(r"N_(DAY|WEEK|MONTH|QUARTER|YEAR)S_AGO")
_SINGLE = re.compile(r"(LAST|THIS|NEXT)_(WEEK|MONTH|QUARTER|YEAR)")


def _start(day: date, unit: str) -> date:
    """The first day of the unit that holds a day; weeks begin on Sunday, fiscal years in January."""
    if unit == "week":
        return day - timedelta(days=(day.weekday() + 1) % 7)
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if unit == "year":
        return day.replace(month=1, day=1)
    return day


def _shift(start: date, unit: str, count: int) -> date:
    """The first day of the unit ``count`` units after the one that begins at ``start``."""
    if unit in {"day", "week"}:
        return start + timedelta(days=count * (7 if unit == "week" else 1))
    months = count * {"month": 1, "quarter": 3, "year": 12}[unit]
    index = start.year * 12 + start.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def span(name: str, count: int | None, today: date) -> Span | None:
    """First day and the day after the last of a literal such as ``LAST_N_DAYS:30``; None if unknown.

    ``LAST_N_DAYS:n`` reaches from n days ago to the end of today; ``LAST_N_MONTHS:n`` leaves this month out.
    """
    name = _FISCAL.sub("", name)
    try:
        return _plain(name, today) if count is None else _counted(name, count, today)
    except (ValueError, OverflowError):
        return None


def _plain(name: str, today: date) -> Span | None:
    one = timedelta(days=1)
    days = {
        "YESTERDAY": (today - one, today),
        "TODAY": (today, today + one),
        "TOMORROW": (today + one, today + 2 * one),
        "LAST_90_DAYS": (today - 90 * one, today + one),
        "NEXT_90_DAYS": (today + one, today + 91 * one),
    }
    if name in days:
        return days[name]
    match = _SINGLE.fullmatch(name)
    if match is None:
        return None
    unit = _UNITS[match.group(2)]
    first = _shift(_start(today, unit), unit, {"LAST": -1, "THIS": 0, "NEXT": 1}[match.group(1)])
    return first, _shift(first, unit, 1)


def _counted(name: str, count: int, today: date) -> Span | None:
    if match := _COUNTED.fullmatch(name):
        unit = _UNITS[match.group(2)]
        start = _start(today, unit)
        if match.group(1) == "LAST":
            return _shift(start, unit, -count), _shift(start, unit, 1) if unit == "day" else start
        return _shift(start, unit, 1), _shift(start, unit, count + 1)
    if match := _AGO.fullmatch(name):
        unit = _UNITS[match.group(1)]
        first = _shift(_start(today, unit), unit, -count)
        return first, _shift(first, unit, 1)
    return None


def stored_span(found: Span, field_type: str, zone: ZoneInfo) -> tuple[str, str]:
    """Both bounds as stored text: dates for a date field, UTC moments of local midnights for a datetime."""
    if field_type == "date":
        return found[0].isoformat(), found[1].isoformat()
    first, last = (datetime.combine(day, time(), tzinfo=zone).astimezone(UTC) for day in found)
    return moments.stored(first), moments.stored(last)
