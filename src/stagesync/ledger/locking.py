"""One agent at a time writes to the CRMs of a ledger.

The lock is the database's own and not a row: when its holder is killed, or loses its machine, it is free at once. In
PostgreSQL it is an advisory lock of a session of its own; in SQLite the lock of a small database beside the ledger,
because the ledger itself must stay open to readers and to approvals. The row ``holder`` only tells who has it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from stagesync.errors import Busy, LedgerError
from stagesync.ledger.database import Database
from stagesync.ledger.failures import explained
from stagesync.ledger.tables import holder

_WRITER_LOCK = 0x53544157  # "STAW": any number will do, as long as all versions use the same
_PATIENCE = "2s"
"""A server needs a moment to see that a session has ended, and holds its lock until then."""
_NOT_FREE_IN_TIME = "55P03"


@dataclass(frozen=True)
class Hold:
    """The right to write. ``check`` raises LedgerError when the database has taken it away, as a lost session does."""

    check: Callable[[], None]


@contextmanager
def held(database: Database, who: str, since: str) -> Iterator[Hold]:
    """See :meth:`stagesync.ledger.Ledger.only_writer`."""
    lock = _sqlite if database.engine.dialect.name == "sqlite" else _postgres
    with lock(database) as hold:
        with database.writing() as connection:
            connection.execute(delete(holder))
            connection.execute(insert(holder).values(id=1, who=who, since=since))
        try:
            yield hold
        finally:
            with database.writing() as connection:
                connection.execute(delete(holder))


@contextmanager
def _sqlite(database: Database) -> Iterator[Hold]:
    file = f"{database.engine.url.database}-writer"
    try:
        connection = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise LedgerError(f"the lock {file} cannot be opened; give write access to its folder ({error})") from error
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise _busy(database) from error
            raise LedgerError(f"the lock {file} cannot be taken; give write access to its folder ({error})") from error
        yield Hold(check=lambda: None)
    finally:
        connection.close()


@contextmanager
def _postgres(database: Database) -> Iterator[Hold]:
    with explained(database.place):
        raw = database.engine.connect()
    try:
        # Without a transaction: one that stays open for a whole run would keep the server from tidying up.
        connection = raw.execution_options(isolation_level="AUTOCOMMIT")
        with explained(database.place):
            taken = _taken(connection)
        if not taken:
            raise _busy(database)
        yield Hold(check=lambda: _still_there(connection, database.place))
    finally:
        # The session ends, and the lock with it, even if the server has to notice that by itself.
        raw.invalidate()
        raw.close()


def _taken(connection: Connection) -> bool:
    connection.execute(text(f"SET lock_timeout = '{_PATIENCE}'"))
    try:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _WRITER_LOCK})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _NOT_FREE_IN_TIME:
            return False
        raise
    return True


def _still_there(connection: Connection, place: str) -> None:
    with explained(place):
        connection.execute(text("SELECT 1"))


def _busy(database: Database) -> Busy:
    with database.reading() as connection:
        row = connection.execute(select(holder.c.who, holder.c.since)).first()
    by = f"{row.who}, since {row.since[:16].replace('T', ' ')} UTC" if row else "another agent"
    return Busy(
        f"the ledger {database.place} is in use by {by}. Two agents must not write at once: wait until it has ended, "
        "then try again"
    )
