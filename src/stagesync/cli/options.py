"""The words that options take, and options that several commands have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stagesync.errors import UsageError

DEFAULT_CONFIG = Path("config/stagesync.yaml")
"""The settings that are taken where no others are named."""
YEARS = range(1900, 3000)
"""The years as of which a record can be judged."""

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="TERM",
        help="These rows: a key, a record, rule=, owner=, stage=, kind=; repeatable.",
    ),
]
Without = Annotated[list[str] | None, typer.Option("--except", metavar="TERM", help="Not these rows; repeatable.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it; the user of this machine if left out.")]
Overriding = Annotated[
    str | None,
    typer.Option("--override", metavar="REASON", help="Let pass what limits or a freeze refuse; the ledger keeps why."),
]


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


@dataclass(frozen=True, kw_only=True)
class Exports:
    """Which exports to judge by what, as the options of a command name them; what is None is found."""

    folder: Path
    mapping: Path | None
    definitions: Path | None
    as_of: str | None


def exports_of(
    folder: Path | None, *, mapping: Path | None, definitions: Path | None, as_of: str | None
) -> Exports | None:
    """The exports that the options of a command name; None where --from names none. Raises UsageError for options that
    would then mean nothing."""
    if folder is not None:
        return Exports(folder=folder, mapping=mapping, definitions=definitions, as_of=as_of)
    for option, value in {"--mapping": mapping, "--definitions": definitions, "--as-of": as_of}.items():
        if value is not None:
            raise UsageError(f"{option} is for exports; give their folder with --from")
    return None


def moment_of(text: str, *, option: str = "--as-of", begins: bool = False, zone: tzinfo = UTC) -> datetime:
    """The moment (UTC) that an option names: a day's end (its beginning, if it ``begins``) in a time zone, or an ISO
    moment, in UTC unless it says otherwise."""
    clock = time.min if begins else time.max.replace(microsecond=0)
    try:
        if len(text) == len("2026-01-31"):
            moment = datetime.combine(date.fromisoformat(text), clock, tzinfo=zone)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a day as 2026-01-31 or a moment as 2026-01-31T12:00:00Z") from None
    # Definitions look back and ahead by up to two centuries, which must stay within what a calendar can count.
    if moment.year not in YEARS:
        raise UsageError(f"{option} {text}: the year must lie between {YEARS.start} and {YEARS.stop - 1}")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
