"""What was made in the CRMs, as the ledger tells it: which run wrote last."""

from __future__ import annotations

from sqlalchemy import func, select

from stagesync.errors import UsageError
from stagesync.ledger.database import Database
from stagesync.ledger.entry import EntryKind, RunRecord
from stagesync.ledger.reading import changes_of_run, find_run
from stagesync.ledger.tables import entries
from stagesync.model.changes import Result

_MAY_STAND = (Result.APPLIED, Result.UNKNOWN)


def last_that_wrote(database: Database) -> RunRecord:
    """See :meth:`stagesync.ledger.Ledger.last_that_wrote`."""
    intents = select(entries.c.run).where(entries.c.kind == EntryKind.INTENT).order_by(entries.c.seq.desc()).limit(1)
    query = intents
    while True:
        with database.reading() as connection:
            run = connection.scalar(query)
            first = connection.scalar(
                select(func.min(entries.c.seq)).where(entries.c.run == run, entries.c.kind == EntryKind.INTENT)
            )
        if run is None:
            raise UsageError(f"no run in the ledger {database.place} wrote anything, so there is nothing to take back")
        if any(outcome is None or outcome.result in _MAY_STAND for _, outcome in changes_of_run(database, run)):
            return find_run(database, run)
        query = intents.where(entries.c.seq < first)
