"""What was made in the CRMs, as the ledger tells it: which stages were written, and which run wrote last."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, func, select, tuple_

from stagesync.errors import UsageError
from stagesync.ledger import codec
from stagesync.ledger.database import Database, read_many
from stagesync.ledger.entry import EntryKind, LastMove, RunRecord, StageMove
from stagesync.ledger.reading import KEYS, changes_of_run, find_run, in_batches
from stagesync.ledger.tables import entries, stage_moves
from stagesync.model.changes import Result

_MAY_STAND = (Result.APPLIED, Result.UNKNOWN)


def last_moves(database: Database, connection_name: str) -> list[LastMove]:
    """See :meth:`stagesync.ledger.Ledger.last_moves`."""
    table = stage_moves.c
    newest = (
        select(func.max(table.seq))
        .where(table.connection == codec.column_text(connection_name))
        .group_by(table.object, table.record)
    )
    # Every run asks for them, however many there are: nothing is read that it does not need.
    query = (
        select(table.object, table.record, entries.c.body)
        .join(entries, entries.c.seq == table.intent)
        .where(table.connection == codec.column_text(connection_name), table.seq.in_(newest))
    )
    decode = codec.WRITTEN.decode
    with database.reading() as connection:
        return [(of, record, decode(body).change.after) for of, record, body in read_many(connection, query)]


def moves_of(database: Database, connection_name: str, records: Collection[tuple[str, str]] | None) -> list[StageMove]:
    """See :meth:`stagesync.ledger.Ledger.moves`."""
    query, table = _moves(connection_name), stage_moves.c
    with database.reading() as connection:
        if records is None:
            return _read(connection, query)
        wanted = {(codec.column_text(of) or "", codec.column_text(record) or "") for of, record in records}
        if len(wanted) > KEYS:
            written = select(table.object, table.record).where(table.connection == codec.column_text(connection_name))
            wanted &= {*read_many(connection, written.distinct())}
        found: list[StageMove] = []
        for some in in_batches(sorted(wanted), KEYS):
            found += _read(connection, query.where(tuple_(table.object, table.record).in_(some)))
        return found


def _moves(connection_name: str) -> Select[*tuple[Any, ...]]:
    table = stage_moves.c
    outcomes = entries.alias("outcomes")
    return (
        select(table.object, table.record, table.applied, outcomes.c.at, entries.c.body)
        .join(outcomes, outcomes.c.seq == table.seq)
        .join(entries, entries.c.seq == table.intent)
        .where(table.connection == codec.column_text(connection_name))
        .order_by(table.seq)
    )


def _read(connection: Connection, query: Select[*tuple[Any, ...]]) -> list[StageMove]:
    moves = []
    for object_, record, applied, at, body in read_many(connection, query):
        change = codec.MOVE.decode(body).change
        moves.append(
            StageMove(
                object=object_,
                record=record,
                before=change.before,
                after=change.after,
                rule=change.rule,
                reason=change.reason,
                at=codec.time_of(at),
                applied=bool(applied),
            )
        )
    return moves


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
