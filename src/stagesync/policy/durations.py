"""Lengths of time as an admin writes them: ``14 business days``, ``60 days``, ``36 hours``, ``15 minutes``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

LONGEST_SHOWN = 80
PATTERN = re.compile(r"\s*([0-9]{1,5})\s+(business\s+days?|days?|hours?|weeks?|minutes?)\s*")


class Unit(StrEnum):
    """What a length of time is counted in. Business days are Monday to Friday."""

    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    BUSINESS_DAYS = "business days"


@dataclass(frozen=True)
class Duration:
    """A number of minutes, hours, calendar days or business days."""

    count: int
    unit: Unit

    def __str__(self) -> str:
        unit = str(self.unit)
        return f"{self.count} {unit[:-1] if self.count == 1 else unit}"

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read ``14 business days``, ``60 days``, ``2 weeks`` or ``36 hours``. Raises ValueError with a remedy."""
        if isinstance(text, cls):
            return text
        match = PATTERN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            shown = repr(str(text)[:LONGEST_SHOWN])
            raise ValueError(
                f"{shown} is not a length of time; write it as '14 business days', '60 days' or '36 hours'"
            )
        count, word = int(match[1]), match[2]
        if word.startswith("week"):
            return cls(count * 7, Unit.DAYS)
        if word.startswith("business"):
            return cls(count, Unit.BUSINESS_DAYS)
        units = {"minute": Unit.MINUTES, "hour": Unit.HOURS, "day": Unit.DAYS}
        return cls(count, units[word.rstrip("s")])
