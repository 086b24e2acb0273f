"""Appends entries: one writer at a time, numbers without gaps, the chain and what is open kept in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, insert, select, update

from stagesync.errors import LedgerError
from stagesync.ledger.chain import Draft, hash_of, numbered
from stagesync.ledger.current import Moved, Standing
from stagesync.ledger.database import Database, write_many
from stagesync.ledger.tables import entries, head

CHUNK = 10_000
"""Entries for each transaction: 0.2 to 0.5 s, the longest that another writer waits for one of ours."""


# Where a guard or a key refuses, SQLite undoes the transaction; undoing the statement alone would cost a journal of it.
_APPEND = insert(entries).prefix_with("OR ROLLBACK", dialect="sqlite")


class Appender:
    """The end of the chain, held under the lock of a transaction."""

    def __init__(self, connection: Connection, seq: int, digest: bytes) -> None:
        self.connection = connection
        self.seq = seq
        self.digest = digest

    def append(self, drafts: Sequence[Draft], moved: Sequence[Moved] = ()) -> None:
        """Number, chain and insert entries, and follow them in the derived tables.

        ``moved`` is what the entries say of findings, one for each, where that is known already.
        """
        if not drafts:
            return
        rows = []
        standing = Standing()
        for place, draft in enumerate(drafts):
            link = numbered(self.seq + 1, draft)
            self.seq, self.digest = link.seq, hash_of(self.digest, link)
            rows.append((*link, self.digest))
            standing.follow(link, moved[place] if moved else None)
        write_many(self.connection, _APPEND, rows)
        self.connection.execute(update(head).values(seq=self.seq, hash=self.digest))
        standing.store(self.connection)


@contextmanager
def appending(database: Database) -> Iterator[Appender]:
    """A transaction that holds the end of the chain. All of it is committed when the block ends, or nothing."""
    with database.writing() as connection:
        row = connection.execute(select(head.c.seq, head.c.hash).with_for_update()).first()
        if row is None:
            raise LedgerError(
                f"the ledger {database.place} has lost its head row; run `stagesync log verify` and restore a backup"
            )
        yield Appender(connection, row.seq, row.hash)
