"""Waivers: granted, withdrawn, and which stand. Whether one has expired is for the reader's day to say."""

from __future__ import annotations

from sqlalchemy import Connection, select

from stagesync.errors import LedgerError, UsageError
from stagesync.ledger import codec
from stagesync.ledger.appending import appending
from stagesync.ledger.chain import Draft
from stagesync.ledger.database import Database
from stagesync.ledger.entry import EntryKind
from stagesync.ledger.tables import entries
from stagesync.model.waivers import Waiver

_WITHDRAWN = select(entries.c.key).where(entries.c.kind == EntryKind.WAIVER_WITHDRAWN)


def grant(database: Database, waiver: Waiver, *, at: str, run: str | None) -> None:
    """See :meth:`stagesync.ledger.Ledger.waive`. ``at`` is the text of the time."""
    body = codec.encode(codec.WaiverBody(waiver))
    with appending(database) as end:
        if _granted(end.connection, waiver.id) is not None:
            raise LedgerError(f"there is a waiver {waiver.id!r} in the ledger {database.place} already; use another id")
        end.append([_about(waiver, EntryKind.WAIVER_GRANTED, body, at=at, run=run)])


def withdraw(database: Database, waiver_id: str, facts: dict[str, str], *, at: str, run: str | None) -> Waiver:
    """See :meth:`stagesync.ledger.Ledger.withdraw_waiver`. ``facts`` are who and why."""
    with appending(database) as end:
        waiver = _granted(end.connection, waiver_id)
        if waiver is None:
            raise UsageError(
                f"the ledger {database.place} has no waiver {waiver_id!r}; `stagesync waivers` shows those there are"
            )
        key = codec.column_text(waiver_id)
        if end.connection.scalar(_WITHDRAWN.where(entries.c.key == key).limit(1)) is not None:
            raise UsageError(f"waiver {waiver_id} was withdrawn already")
        end.append([_about(waiver, EntryKind.WAIVER_WITHDRAWN, codec.encode(facts), at=at, run=run)])
    return waiver


def standing(database: Database, connection_name: str | None) -> list[Waiver]:
    """See :meth:`stagesync.ledger.Ledger.waivers`."""
    query = (
        select(entries.c.body)
        .where(entries.c.kind == EntryKind.WAIVER_GRANTED, entries.c.key.not_in(_WITHDRAWN))
        .order_by(entries.c.seq)
    )
    if connection_name is not None:
        named = entries.c.connection == codec.column_text(connection_name)
        query = query.where(named | entries.c.connection.is_(None))
    with database.reading() as connection:
        return [codec.WAIVER.decode(body).waiver for body in connection.scalars(query)]


def _granted(connection: Connection, waiver_id: str) -> Waiver | None:
    query = select(entries.c.body).where(
        entries.c.key == codec.column_text(waiver_id), entries.c.kind == EntryKind.WAIVER_GRANTED
    )
    body = connection.scalar(query.limit(1))
    return None if body is None else codec.WAIVER.decode(body).waiver


def _about(waiver: Waiver, kind: EntryKind, body: str, *, at: str, run: str | None) -> Draft:
    text = codec.column_text
    return Draft(
        at=at,
        run=run,
        kind=kind.value,
        body=body,
        connection=text(waiver.connection),
        object=text(waiver.object),
        record=text(waiver.record),
        rule=text(waiver.rule),
        key=text(waiver.id),
    )
