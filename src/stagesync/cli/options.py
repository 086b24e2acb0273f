"""The words that options take."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path

from stagesync.errors import UsageError

DEFAULT_CONFIG = Path("config/stagesync.yaml")
"""The settings that are taken where no others are named."""
YEARS = range(1900, 3000)
"""The years as of which a record can be judged."""


class Format(StrEnum):
    """How a command reports: JSON, CSV and Markdown go to standard output alone."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class PlanFormat(StrEnum):
    """How a plan in a file is shown."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"


class Exported(StrEnum):
    """Into what entries of the ledger are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class Grouping(StrEnum):
    """By what the rows of a plan are put together."""

    OWNER = "owner"
    RULE = "rule"
    STAGE = "stage"


class Crm(StrEnum):
    """The kinds of CRM."""

    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"


class FailOn(StrEnum):
    """From which severity on findings make the command exit with 1."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


def moment_of(text: str, *, option: str = "--as-of", begins: bool = False) -> datetime:
    """The moment (UTC) that an option names: a day's end (its beginning, if it ``begins``), or an ISO moment, in UTC
    unless it says otherwise."""
    clock = time.min if begins else time.max.replace(microsecond=0)
    try:
        if len(text) == len("2026-01-31"):
            moment = datetime.combine(date.fromisoformat(text), clock, tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a day as 2026-01-31 or a moment as 2026-01-31T12:00:00Z") from None
    # Definitions look back and ahead by up to two centuries, which must stay within what a calendar can count.
    if moment.year not in YEARS:
        raise UsageError(f"{option} {text}: the year must lie between {YEARS.start} and {YEARS.stop - 1}")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
