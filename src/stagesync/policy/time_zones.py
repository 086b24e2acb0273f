"""Names of time zones, as people write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from stagesync.policy.document import nearest

NO_PLACE = ("localtime", "Factory")
"""Names that Python knows and others do not: of this machine, and of none."""


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: 'Europe' is a folder
        return False
    return name not in NO_PLACE


def no_zone(name: str) -> str:
    """What to say of a name that is no time zone's."""
    near = nearest(name, available_timezones()) or "; write one such as Europe/Berlin"
    return f"'{name}' is not a time zone{near}"
