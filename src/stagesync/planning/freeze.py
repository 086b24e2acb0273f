"""Times at which nothing is written: quarter ends, nights, an audit. Several may hold at once; one is enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MONTHS = {"month": 1, "quarter": 3, "year": 12}
FAR = 400
"""Days ahead in which the end of a window is looked for."""


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """A window in the days and hours of ``time_zone``. It holds where all of its conditions do.

    ``start`` and ``end`` are days that it includes. ``first_days`` and ``last_days`` are those of each month, quarter
    or year (``of``); quarters and years begin with the month ``year_starts``. ``weekdays`` count from Monday, 0.
    ``hours`` that end before they begin go over midnight, and belong to the day on which the hour is.
    """

    name: str
    time_zone: ZoneInfo
    reason: str = ""
    start: date | None = None
    end: date | None = None
    of: str | None = None
    first_days: int = 0
    last_days: int = 0
    year_starts: int = 1
    weekdays: frozenset[int] = frozenset()
    hours: tuple[time, time] | None = None

    @property
    def limit(self) -> str:
        """How a refusal names it."""
        return f"guard.freeze '{self.name}'"

    def holds(self, now: datetime) -> bool:
        """Whether it is so at a moment with a zone."""
        local = now.astimezone(self.time_zone)
        day = local.date()
        if (self.start and day < self.start) or (self.end and day > self.end):
            return False
        if self.weekdays and day.weekday() not in self.weekdays:
            return False
        return self._in_period(day) and self._in_hours(local.time())

    def until(self, now: datetime) -> datetime | None:
        """The moment, in its time zone, from which it holds no longer; None where that is far away."""
        return next((moment for moment in self._changes(now) if not self.holds(moment)), None)

    def words(self, now: datetime) -> str:
        """What holds, why and until when, for people."""
        end = self.until(now)
        zone = self.time_zone.key
        until = f" until {end:%Y-%m-%d %H:%M} ({zone})" if end else f" without an end in sight ({zone})"
        return f"the freeze window '{self.name}' holds{until}" + (f": {self.reason}" if self.reason else "")

    def _in_period(self, day: date) -> bool:
        if self.of is None:
            return True
        first, after = _period(day, MONTHS[self.of], self.year_starts)
        return (day - first).days < self.first_days or (after - day).days <= self.last_days

    def _in_hours(self, clock: time) -> bool:
        if self.hours is None:
            return True
        begin, end = self.hours
        return begin <= clock < end if begin < end else clock >= begin or clock < end

    def _changes(self, now: datetime) -> Iterator[datetime]:
        """The moments after now at which a window can begin or end."""
        today = now.astimezone(self.time_zone).date()
        clocks = sorted({time(), *(self.hours or ())})
        for days in range(FAR):
            for clock in clocks:
                moment = datetime.combine(today + timedelta(days=days), clock, tzinfo=self.time_zone)
                if moment > now:
                    yield moment


def _period(day: date, months: int, year_starts: int) -> tuple[date, date]:
    """The first day of the period of so many months in which a day lies, and the first day after it."""
    number = day.year * 12 + day.month - 1
    first = number - (number - (year_starts - 1)) % months
    return _first_of(first), _first_of(first + months)


def _first_of(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
