"""Moments around the instant of the seeding, in business days (Monday to Friday, no holidays) and UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

SATURDAY = 5
HORIZON_BUSINESS_DAYS = 900


def business_days(start: date, end: date) -> int:
    """Weekdays after ``start`` up to and including ``end``; 0 when ``end`` is not later."""
    if end <= start:
        return 0
    weeks, rest = divmod((end - start).days, 7)
    extra = sum(1 for day in range(1, rest + 1) if (start.weekday() + day) % 7 < SATURDAY)
    return weeks * 5 + extra


class Almanac:
    """Draws moments at given distances from ``as_of``, always in European working hours of a weekday."""

    def __init__(self, rng: Random, as_of: datetime) -> None:
        """``as_of`` must know its time zone; everything drawn is in UTC."""
        if as_of.tzinfo is None:
            raise ValueError("as_of needs a time zone")
        self.as_of = as_of.astimezone(UTC).replace(microsecond=0)
        self.today = self.as_of.date()
        self._random = rng.random
        # At index n the day that is n business days away; on a weekend the Friday before is 0 away.
        self._business: list[date] = []
        day = self.today
        while len(self._business) <= HORIZON_BUSINESS_DAYS:
            if day.weekday() < SATURDAY:
                self._business.append(day)
            day -= timedelta(days=1)

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``; twice as fast as ``Random.randint``."""
        return low + int(self._random() * (high - low + 1))

    def clock(self, day: date) -> datetime:
        """A second between 07:00 and 16:00 UTC on a day."""
        seconds = int(self._random() * 9 * 3600)
        return datetime(day.year, day.month, day.day, 7, tzinfo=UTC) + timedelta(seconds=seconds)

    def business_days_ago(self, low: int, high: int) -> datetime:
        """A moment ``low`` to ``high`` business days before ``as_of``."""
        return self.clock(self._business[self.between(low, high)])

    def days_ago(self, low: int, high: int) -> datetime:
        """A moment about ``low`` to ``high`` calendar days before ``as_of``, moved back to a weekday."""
        return self.clock(self.weekday(self.today - timedelta(days=self.between(low, high))))

    def days_before(self, moment: datetime, low: int, high: int) -> datetime:
        """A moment ``low`` to ``high`` calendar days before another, moved back to a weekday."""
        return self.clock(self.weekday(moment.date() - timedelta(days=self.between(low, high))))

    def days_ahead(self, low: int, high: int) -> datetime:
        """A moment ``low`` to ``high`` calendar days after ``as_of``, on any weekday before it."""
        return self.clock(self.weekday(self.today + timedelta(days=self.between(low, high))))

    def within(self, start: datetime, end: datetime) -> datetime:
        """A second after ``start`` and before ``end``, at any hour of any day."""
        seconds = max(2, int((end - start).total_seconds()))
        return start + timedelta(seconds=1 + int(self._random() * (seconds - 1)))

    @staticmethod
    def weekday(day: date) -> date:
        """The day itself, or the Friday before when it is a weekend."""
        past_friday = day.weekday() - SATURDAY + 1
        return day - timedelta(days=past_friday) if past_friday > 0 else day
