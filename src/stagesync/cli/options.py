"""The words that options take, and options that several commands have: decorators of click, named as the parameters
that they fill."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from stagesync.errors import UsageError

DEFAULT_CONFIG = Path("config/stagesync.yaml")
"""The settings that are taken where no others are named."""
YEARS = range(1900, 3000)
"""The years as of which a record can be judged."""
USED = "stagesync.config"
"""Where a command's context keeps which settings file it was given."""


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


PATH = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., object])


class Number(click.IntRange):
    """A whole number within bounds, which help and errors call so, and not an integer range."""

    name = "number"


def _noted(context: click.Context, _option: click.Parameter, config: Path) -> Path:
    context.meta[USED] = config
    return config


config = click.option(
    "--config", "-c", type=PATH, metavar="FILE", default=DEFAULT_CONFIG, callback=_noted, help="The settings file."
)


def form(words: type[StrEnum], default: StrEnum, says: str) -> Callable[[Command], Command]:
    """``--format`` with the words that it takes, as the parameter ``output``."""
    choice = click.Choice(words, case_sensitive=False)
    return click.option("--format", "-f", "output", type=choice, default=default.value, help=says)


output = form(Format, Format.TABLE, "How to report.")
limit = partial(click.option, "--limit", type=Number(min=0), help="How many rows to show; 0 shows all.")
full = click.option(
    "--full", is_flag=True, help="Read everything from the CRMs, not only what changed since the last time."
)
by = click.option("--by", metavar="NAME", help="Who does it; the user of this machine if left out.")
only = click.option(
    "--only",
    metavar="TERM",
    multiple=True,
    help="These rows: a key, a record, rule=, owner=, stage=, kind=; repeatable.",
)
without = click.option("--except", "without", metavar="TERM", multiple=True, help="Not these rows; repeatable.")
override = click.option(
    "--override", metavar="REASON", help="Let pass what limits or a freeze refuse; the ledger keeps why."
)
source = click.option(
    "--from",
    "source",
    type=PATH,
    metavar="FOLDER",
    help="Take a folder of exports instead of the CRMs; no credentials.",
)
mapping = click.option(
    "--mapping",
    type=PATH,
    metavar="FILE",
    help="The mapping of the export; found by itself when one of config/mappings fits.",
)
definitions = click.option(
    "--definitions",
    type=PATH,
    metavar="FILE",
    help="The stage definitions to judge an export by; `recommended` if left out.",
)
as_of = click.option(
    "--as-of",
    metavar="MOMENT",
    help="Judge an export as of this day or moment (ISO); that of its mapping, or its newest date, if left out.",
)


def exports(command: Command) -> Command:
    """What is judged by an export in place of the CRMs: ``source``, ``mapping``, ``definitions`` and ``as_of``."""
    return source(mapping(definitions(as_of(command))))


def moment_of(text: str, *, option: str = "--as-of", begins: bool = False, zone: tzinfo = UTC) -> datetime:
    """The moment (UTC) that an option names: a day's end (its beginning, if it ``begins``) in a time zone, or an ISO
    moment, in UTC unless it says otherwise."""
    clock = time.min if begins else time.max.replace(microsecond=0)
    try:
        moment = datetime.combine(date.fromisoformat(text), clock, tzinfo=zone)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            wanted = "write a day as 2026-01-31 or a moment as 2026-01-31T12:00:00Z"
            raise UsageError(f"{option} {text}: {wanted}") from None
    # Definitions look back and ahead by up to two centuries, which must stay within what a calendar can count.
    if moment.year not in YEARS:
        raise UsageError(f"{option} {text}: the year must lie between {YEARS.start} and {YEARS.stop - 1}")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
