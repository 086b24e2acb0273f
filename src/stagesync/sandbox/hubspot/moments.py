"""Points in time as HubSpot writes them: UTC, milliseconds, ISO 8601 or epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def millis(moment: datetime) -> int:
    """Milliseconds since 1970 UTC; a naive datetime is read as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - EPOCH
    return delta.days * DAY_MS + delta.seconds * 1000 + delta.microseconds // 1000


def iso(moment_ms: int) -> str:
    """``2026-11-25T09:00:00.000Z`` for milliseconds since 1970 UTC."""
    return (EPOCH + timedelta(milliseconds=moment_ms)).isoformat(timespec="milliseconds")[:23] + "Z"


def day(moment_ms: int) -> str:
    """``2026-11-25``, the UTC day of a moment in milliseconds."""
    return iso(moment_ms)[:10]


def parse(text: str | None) -> int | None:
    """Milliseconds for an ISO date, an ISO date-time or epoch milliseconds; None for anything else."""
    if not text:
        return None
    try:
        if text.lstrip("-").isdigit() and len(text) != 8:
            return int(text)
        return millis(datetime.fromisoformat(text))
    except ValueError:
        return None
