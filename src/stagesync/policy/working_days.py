"""Days on which people work: without the weekend, the public holidays of a country, and days of one's own.

Public holidays come from the ``holidays`` package, which is loaded where a country is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache

from msgspec import Struct

WEEKEND = frozenset((5, 6))
"""Saturday and Sunday, counting from Monday as 0."""


class WorkingDays(Struct, frozen=True, kw_only=True):
    """A calendar. ``country`` and ``region`` are ISO 3166 codes, ``weekend`` counts Monday as 0."""

    country: str | None = None
    region: str | None = None
    weekend: frozenset[int] = WEEKEND
    closed: frozenset[date] = frozenset()

    def is_one(self, day: date) -> bool:
        """Whether people work on this day."""
        return day.weekday() not in self.weekend and day not in self._free(day.year)

    def between(self, start: date, end: date) -> int:
        """How many working days there are from ``start`` up to but without ``end``; 0 when it is not later."""
        days = max((end - start).days, 0)
        weeks, rest = divmod(days, 7)
        work = weeks * (7 - len(self.weekend))
        work += sum((start.weekday() + n) % 7 not in self.weekend for n in range(rest))
        return work - sum(start <= day < end for year in range(start.year, end.year + 1) for day in self._free(year))

    def before(self, day: date, count: int) -> date:
        """The latest day from which this many working days lie between it and ``day``.

        Raises OverflowError before the year 1.
        """
        while count > 0:
            day -= timedelta(days=1)
            count -= self.is_one(day)
        return day

    def after(self, day: date, count: int) -> date:
        """The working day that lies this many working days after the first one from ``day`` on."""
        while not self.is_one(day):
            day += timedelta(days=1)
        for _ in range(count):
            day += timedelta(days=1)
            while not self.is_one(day):
                day += timedelta(days=1)
        return day

    def _free(self, year: int) -> frozenset[date]:
        return _free_days(self, year)


@lru_cache(maxsize=4_096)
def _free_days(calendar: WorkingDays, year: int) -> frozenset[date]:
    """Days of a year that would be working days, but for a holiday or because the company is closed."""
    public = _public_holidays(calendar.country, calendar.region, year) if calendar.country else ()
    own = (day for day in calendar.closed if day.year == year)
    return frozenset(day for day in (*public, *own) if day.weekday() not in calendar.weekend)


def _public_holidays(country: str, region: str | None, year: int) -> Iterator[date]:
    import holidays

    yield from holidays.country_holidays(country, subdiv=region, years=year)


def countries() -> dict[str, list[str]]:
    """The countries whose holidays are known, each with its regions."""
    import holidays

    return holidays.list_supported_countries(include_aliases=False)
