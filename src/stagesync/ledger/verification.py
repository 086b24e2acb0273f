"""Checks the chain from its first entry to its head, and makes the derived tables again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from stagesync.errors import LedgerError
from stagesync.ledger.chain import GENESIS, Link, hash_of
from stagesync.ledger.current import DERIVED, Standing
from stagesync.ledger.database import Database
from stagesync.ledger.entry import Verification
from stagesync.ledger.tables import entries, head

_PAGE = 5_000
_LINK = [entries.c[name] for name in Link._fields]


def verify(database: Database, known_head: str | None) -> Verification:
    """See :meth:`stagesync.ledger.Ledger.verify`."""
    known = _parse_head(known_head)
    with database.reading() as connection:
        standing = Standing()
        seq, digest, problem = _walk(connection, known, standing)
        problem = problem or _check_head(connection, seq, digest, known)
        if problem is None:
            text = _check_derived(connection, standing)
            problem = (text, None) if text else None
    text, at_seq = problem or (None, None)
    return Verification(ok=problem is None, entries=seq, head=f"{seq}:{digest.hex()}", problem=text, at_seq=at_seq)


Problem = tuple[str, int | None]
Head = tuple[int, bytes]


def _walk(connection: Connection, known: Head | None, standing: Standing) -> tuple[int, bytes, Problem | None]:
    """Number and hash of the last entry that holds, and what is wrong with the next."""
    seq, digest = 0, GENESIS
    for row in _rows(connection):
        problem = _check_entry(seq, digest, row, known)
        if problem is not None:
            return seq, digest, problem
        seq, digest = row.seq, row.hash
        standing.follow(Link(*row[:-1]))
    return seq, digest, None


def _check_entry(seq: int, digest: bytes, row: Row[*tuple[Any, ...]], known: Head | None) -> Problem | None:
    if row.seq != seq + 1:
        gap = f"entry {seq + 1} is" if row.seq == seq + 2 else f"entries {seq + 1} to {row.seq - 1} are"
        return f"{gap} missing", seq + 1
    if row.hash != hash_of(digest, Link(*row[:-1])):
        return f"entry {row.seq} ({row.kind}, {row.at}) was edited or stands in another one's place", row.seq
    if known is not None and known[0] == row.seq and known[1] != row.hash:
        return f"entry {row.seq} is not the one that was known: the ledger was rewritten up to it", row.seq
    return None


def _check_head(connection: Connection, seq: int, digest: bytes, known: Head | None) -> Problem | None:
    row = connection.execute(select(head.c.seq, head.c.hash)).first()
    if row is None:
        return "the head row is missing, so entries may be missing at the end", None
    newest = max(row.seq, known[0] if known else 0)
    if newest > seq:
        return f"the end is missing: entries {seq + 1} to {newest}", seq + 1
    if row.seq < seq:
        return f"entries {row.seq + 1} to {seq} were added by something other than StageSync", row.seq + 1
    if row.hash != digest:
        return "the head row was edited: its hash is not that of the last entry", seq
    return None


def _check_derived(connection: Connection, standing: Standing) -> str | None:
    expected = standing.rows()
    for table, columns in DERIVED.items():
        wrong = {(*row,) for row in connection.execute(select(*columns))} ^ expected[table.name]
        if wrong:
            first = min(wrong, key=str)
            names = " ".join(str(value) for value in first[: len(table.primary_key)])
            return f"the chain holds, but the table {table.name} does not agree with it (first: {names}); rebuild it"
    return None


def _parse_head(text: str | None) -> Head | None:
    if text is None:
        return None
    seq, _, digest = text.strip().partition(":")
    try:
        return int(seq), bytes.fromhex(digest)
    except ValueError as error:
        raise LedgerError(f"a known head is written as <number>:<hash>, not {text!r}") from error


def rebuild(database: Database) -> None:
    """See :meth:`stagesync.ledger.Ledger.rebuild`."""
    with database.writing() as connection:
        connection.execute(select(head.c.seq).with_for_update())
        standing = Standing()
        for row in _rows(connection):
            standing.follow(Link(*row[:-1]))
        for table in DERIVED:
            connection.execute(delete(table))
        standing.store(connection)


def _rows(connection: Connection) -> Iterator[Row[*tuple[Any, ...]]]:
    """All entries in order, as a ``Link`` and the hash; in pages, for memory must not grow with the ledger."""
    last: int | None = None
    while True:
        query = select(*_LINK, entries.c.hash).order_by(entries.c.seq).limit(_PAGE)
        rows = connection.execute(query if last is None else query.where(entries.c.seq > last)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq
