"""Checks the chain from its first entry to its head, and makes the derived tables again."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, select

from stagesync.errors import LedgerError
from stagesync.ledger import codec
from stagesync.ledger.chain import GENESIS, DroppedDigest, Link, hash_of
from stagesync.ledger.current import DERIVED, Standing
from stagesync.ledger.database import Database
from stagesync.ledger.entry import EntryKind, Verification
from stagesync.ledger.tables import dropped, entries, head
from stagesync.model.counting import counted

_PAGE = 200
"""Of entries that tell many findings that is up to 80 MB."""
_LINK = [entries.c[name] for name in Link._fields]


def verify(database: Database, known_head: str | None) -> Verification:
    """See :meth:`stagesync.ledger.Ledger.verify`."""
    walk = _Walk(_parse_head(known_head))
    with database.reading() as connection:
        problem = walk.go(connection) or _check_head(connection, walk.seq, walk.digest, walk.known)
        derived = _check_derived(connection, walk.standing) if problem is None else None
    text, at_seq = problem or (derived, None)
    return Verification(
        ok=text is None,
        entries=walk.seq,
        head=f"{walk.seq}:{walk.digest.hex()}",
        problem=text,
        at_seq=at_seq,
        dropped=walk.dropped,
        derived=derived is not None,
    )


Problem = tuple[str, int | None]
Head = tuple[int, bytes]


class _Walk:
    """From the first entry on, over what was dropped; ``seq`` and ``digest`` are those of the last that holds."""

    def __init__(self, known: Head | None) -> None:
        self.known = known
        self.standing = Standing()
        self.seq, self.digest, self.dropped = 0, GENESIS, 0
        self._gaps: dict[int, DroppedDigest] = {}
        """By the number of their checkpoint, what was dropped."""

    def go(self, connection: Connection) -> Problem | None:
        """What is wrong first."""
        gone = _pages(connection, select(*dropped.c), dropped.c.seq)
        for row in merge(_rows(connection), gone, key=lambda row: row.seq):
            problem = self._check_dropped(row) if "checkpoint" in row._fields else self._check_entry(row)
            problem = problem or self._check_known(row)
            if problem is not None:
                return problem
            self.seq, self.digest = row.seq, row.hash
        if self._gaps:
            first = min(self._gaps)
            return f"entries were dropped by something other than StageSync (there is no checkpoint {first})", None
        return None

    def _check_known(self, row: Row[*tuple[Any, ...]]) -> Problem | None:
        if self.known is not None and self.known[0] == row.seq and self.known[1] != row.hash:
            return f"entry {row.seq} is not the one that was known: the ledger was rewritten up to it", row.seq
        return None

    def _check_dropped(self, row: Row[*tuple[Any, ...]]) -> Problem | None:
        """Of what was dropped the hash is taken as it stands: the checkpoint proves all of them together."""
        problem = _check_place(self.seq, row.seq)
        if problem is None:
            self.dropped += 1
            self._gaps.setdefault(row.checkpoint, DroppedDigest()).take(row.seq, row.hash)
        return problem

    def _check_entry(self, row: Row[*tuple[Any, ...]]) -> Problem | None:
        problem = _check_place(self.seq, row.seq)
        if problem is not None:
            return problem
        if row.hash != hash_of(self.digest, Link(*row[:-1])):
            return f"entry {row.seq} ({row.kind}, {row.at}) was edited or stands in another one's place", row.seq
        if row.kind == EntryKind.LEDGER_PRUNED:
            facts: Any = codec.ANY.decode(row.body)["facts"]
            gap = self._gaps.pop(row.seq, DroppedDigest())
            if (gap.count, gap.hexdigest()) != (facts["entries"], facts["sha256"]):
                said = counted(facts["entries"], "entry", "entries")
                return (
                    f"entry {row.seq} says that {said} up to {facts['upto']} were dropped, and the list of them "
                    f"({gap.count:,}) is another: it was edited, or more was removed",
                    row.seq,
                )
        self.standing.follow(Link(*row[:-1]))
        return None


def _check_place(seq: int, found: int) -> Problem | None:
    if found == seq + 1:
        return None
    if found <= seq:
        return f"entry {found} is there twice, as an entry and as a dropped one", found
    gap = f"entry {seq + 1} is" if found == seq + 2 else f"entries {seq + 1} to {found - 1} are"
    return f"{gap} missing", seq + 1


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
            return f"the chain holds, but the table {table.name} does not agree with it (first: {names})"
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
    """All entries in order, as a ``Link`` and the hash."""
    return _pages(connection, select(*_LINK, entries.c.hash), entries.c.seq)


def _pages(
    connection: Connection, query: Select[*tuple[Any, ...]], seq: ColumnElement[int]
) -> Iterator[Row[*tuple[Any, ...]]]:
    """Rows by their number, in pages, for memory must not grow with the ledger."""
    last: int | None = None
    while True:
        ordered = query.order_by(seq).limit(_PAGE)
        rows = connection.execute(ordered if last is None else ordered.where(seq > last)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq
