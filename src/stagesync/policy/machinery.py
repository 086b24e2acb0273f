"""What settings say of the database and the schedule, looked at before anything is started with them."""

from __future__ import annotations

from collections.abc import Iterator

from stagesync.policy.document import KeyPath
from stagesync.policy.durations import Duration

DATABASES = ("sqlite:", "postgres")
CRON_FIELDS = 5


def faults(*, ledger: str | None, every: Duration | None, cron: str | None) -> Iterator[tuple[KeyPath, str]]:
    """What cannot work, each with its place in the settings. A URL is not repeated: a password may stand in it."""
    if ledger is not None and not ledger.startswith(DATABASES):
        yield ("ledger",), "the ledger is kept in SQLite or PostgreSQL: sqlite:///… or postgresql+psycopg://…"
    if every is not None and not every.count:
        yield ("schedule", "every"), f"'{every}' would never rest; write 1 hours"
    if cron is not None and len(cron.split()) != CRON_FIELDS:
        yield ("schedule", "cron"), f"cron has {CRON_FIELDS} fields, as in '0 6 * * 1-5', and not {len(cron.split())}"
