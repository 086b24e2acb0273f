"""What settings say of the database and the schedule, looked at before anything is started with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from stagesync.policy.document import KeyPath
from stagesync.policy.durations import Duration, Unit

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

DATABASES = ("sqlite:", "postgres")
CRON_FIELDS = 5
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
NUMBERED = re.compile(r"([0-7])(?:-([0-7]))?(?:/([1-7]))?")


def faults(*, ledger: str | None, every: Duration | None, cron: str | None) -> Iterator[tuple[KeyPath, str]]:
    """What cannot work, each with its place in the settings. A URL is not repeated: a password may stand in it."""
    if ledger is not None and not ledger.startswith(DATABASES):
        yield ("ledger",), "the ledger is kept in SQLite or PostgreSQL: sqlite:///… or postgresql+psycopg://…"
    if every is not None and not every.count:
        yield ("schedule", "every"), f"'{every}' would never rest; write 1 hours"
    elif every is not None and every.unit is Unit.BUSINESS_DAYS:
        yield (
            ("schedule", "every"),
            f"'{every}' cannot be waited for; write minutes, hours or days, or for business days a cron expression",
        )
    if cron is not None:
        try:
            cron_trigger(cron, ZoneInfo("UTC"))
        except ValueError as error:
            yield ("schedule", "cron"), str(error)


def cron_trigger(cron: str, time_zone: ZoneInfo) -> CronTrigger:
    """APScheduler's trigger for a cron expression of five fields. ValueError, in words for people, for another text."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - a tenth of a second that few settings need

    fields = cron.split()
    if len(fields) != CRON_FIELDS:
        raise ValueError(f"cron has {CRON_FIELDS} fields, as in '0 6 * * 1-5', and not {len(fields)}")
    try:
        # APScheduler counts the days of the week from Monday, cron from Sunday: names mean the same to both.
        return CronTrigger.from_crontab(" ".join([*fields[:4], _weekdays(fields[4])]), timezone=time_zone)
    except ValueError as error:
        raise ValueError(f"the cron expression '{cron}' cannot be read: {error}") from error


def _weekdays(field: str) -> str:
    """The day-of-week field of a cron expression with its numbers as names: ``1-5`` becomes ``mon,tue,wed,thu,fri``."""
    parts = []
    for part in field.split(","):
        match = NUMBERED.fullmatch(part)
        if match is None:
            parts.append(part)
            continue
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first:
            raise ValueError(f"the days {part} run backwards; write them as a list")
        parts += [WEEKDAYS[day] for day in range(first, last + 1, step)]
    return ",".join(dict.fromkeys(parts))
