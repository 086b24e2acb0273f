"""Dates and times: stored as sortable ISO text in UTC, spoken as Salesforce writes them.

Stored datetime: ``2026-10-01T12:00:00Z`` (seconds, UTC). On the wire: ``2026-10-01T12:00:00.000+0000``.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

_DATETIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def stored(moment: datetime) -> str:
    """An aware datetime as stored text; a naive one is taken as UTC. Fractions of a second are dropped."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spoken(text: str) -> str:
    """Stored text as the REST API writes it."""
    return f"{text[:19]}.000+0000"


def parse_datetime(text: str) -> str | None:
    """Any datetime that the API accepts (no offset means UTC) as stored text; None if it is not one."""
    if not _DATETIME.fullmatch(text):
        return None
    try:
        return stored(datetime.fromisoformat(text.upper()))
    except ValueError:
        return None


def parse_date(text: str) -> str | None:
    """``YYYY-MM-DD`` checked against the calendar; None if it is not a date."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def parse_http_date(text: str) -> str | None:
    """A date from an HTTP header (``Sat, 10 Oct 2026 10:00:00 GMT``) as stored text; None if malformed."""
    try:
        return stored(parsedate_to_datetime(text))
    except (ValueError, TypeError):
        return None


def moment(text: str) -> datetime:
    """Stored text as an aware datetime in UTC."""
    return datetime.fromisoformat(text)
