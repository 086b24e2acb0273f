"""Names of time zones, as people write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from stagesync.policy.document import nearest

NO_PLACE = ("localtime", "Factory", "posixrules")
"""Names that Python knows and others do not: of this machine, and of none."""
OTHER_CLOCKS = ("posix/", "right/")
"""The same places once more, without leap seconds and with them; polars knows neither."""


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: 'Europe' is a folder
        return False
    return name not in NO_PLACE and not name.startswith(OTHER_CLOCKS)


def no_zone(name: str) -> str:
    """What to say of a name that is no time zone's."""
    near = nearest(name, available_timezones() - {*NO_PLACE}) or "; write one such as Europe/Berlin"
    return f"'{name}' is not a time zone{near}"
