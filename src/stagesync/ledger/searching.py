"""Which entries there are about something: listed newest or oldest first, and counted.

Two kinds of entries are looked for apart, because their answers lie in other places: those about one thing, by the
indexes of ``entries``, and those that tell many findings, by ``finding_lives`` and ``finding_owners``. The body of a
row, and what SQLite keeps behind it, is read of entries that are given alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, not_, select

from stagesync.ledger import codec
from stagesync.ledger.database import Database
from stagesync.ledger.entry import FINDING_KINDS, Entry, Where
from stagesync.ledger.failures import explained
from stagesync.ledger.reading import KEYS, in_batches
from stagesync.ledger.tables import entries, finding_owners
from stagesync.ledger.unfolding import Places, owned_by, places_of, unfolded

_PAGE = 1_000
_OF_ONE = ("record", "owner", "key")
"""What an entry that tells many findings says of each of them, and not of itself."""
_COARSE = ("connection", "object", "rule")
# Not by ``findings``: SQLite keeps it behind the body. And so that the index of kinds is taken, not that of records.
_MANY = and_(entries.c.kind.in_(FINDING_KINDS), func.coalesce(entries.c.record, "") == "")
_WITHOUT_BODY = [entries.c[name] for name in ("seq", "at", "run", "kind", "connection", "object", "rule")]

Found = Row[*tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class _Search:
    """What is asked for. ``shared`` concerns entries of both kinds, ``of_one`` those about one thing; ``filtered`` is
    ``shared`` for a few entries that were found otherwise. ``places`` is where the findings of a record or a key are
    told, None when neither is asked for."""

    shared: list[ColumnElement[bool]]
    filtered: list[ColumnElement[bool]]
    of_one: list[ColumnElement[bool]]
    owner: str | None
    places: Places | None

    @property
    def alone(self) -> list[ColumnElement[bool]]:
        """The conditions for entries about one thing."""
        return [*self.shared, *(self.of_one or [not_(_MANY)])]

    @property
    def many(self) -> list[ColumnElement[bool]]:
        """The conditions for entries that tell many findings, but for those of the places."""
        if self.owner is None:
            return [*self.filtered, _MANY]
        owned = select(finding_owners.c.seq).where(finding_owners.c.owner == self.owner)
        return [*self.filtered, entries.c.seq.in_(owned)]

    def places_in(self, seq: int, body: str) -> list[int] | None:
        """Which findings of an entry are asked for; None for all."""
        known = None if self.places is None else self.places[seq]
        if self.owner is None:
            return None if known is None else [*known]
        of_owner = owned_by(body, self.owner)
        return of_owner if known is None else sorted({*known} & {*of_owner})


def list_entries(database: Database, where: Where, *, limit: int | None, newest_first: bool) -> Iterator[Entry]:
    """Entries page by page; each page is its own transaction, so a slow reader never holds the ledger up."""
    with database.reading() as connection:
        search = _search(connection, where)
    return _listed(database, search, limit=limit, newest_first=newest_first)


def count_entries(database: Database, where: Where) -> int:
    """How many entries there are, each finding counted as one."""
    with database.reading() as connection:
        return _counted(connection, _search(connection, where))


def page_of(database: Database, where: Where, *, limit: int | None) -> tuple[list[Entry], int]:
    """The newest entries and how many there are: a record's findings are looked up once for both."""
    with database.reading() as connection:
        search = _search(connection, where)
        total = _counted(connection, search)
    return list(_listed(database, search, limit=limit, newest_first=True)), total


def _search(connection: Connection, where: Where) -> _Search:
    shared: list[ColumnElement[bool]] = []
    filtered: list[ColumnElement[bool]] = []
    of_one: list[ColumnElement[bool]] = []
    for name, value in cast(Mapping[str, Any], where).items():
        if value is None:
            continue
        if name == "since":
            shared.append(entries.c.at >= codec.time_text(value))
            filtered.append(shared[-1])
        elif name == "until":
            shared.append(entries.c.at < codec.time_text(value))
            filtered.append(shared[-1])
        elif name in _OF_ONE:
            of_one.append(entries.c[name] == codec.column_text(value))
        else:
            shared.append(entries.c[name] == codec.column_text(value))
            # In an expression a column is compared without its index, which would lead to most entries.
            column = func.coalesce(entries.c[name], "") if name in _COARSE else entries.c[name]
            filtered.append(column == codec.column_text(value))
    asked = where.get("record") is not None or where.get("key") is not None
    places: Places | None = None
    if asked:
        places = places_of(connection, where) if _of_findings(where) else {}
    return _Search(
        shared=shared,
        filtered=filtered,
        of_one=of_one,
        owner=codec.column_text(where.get("owner")),
        places=places,
    )


def _of_findings(where: Where) -> bool:
    """Whether an entry that tells findings can be what is asked for: to look for their places takes a while."""
    kind = where.get("kind")
    return kind is None or kind in FINDING_KINDS


def _counted(connection: Connection, search: _Search) -> int:
    count = select(func.count())
    if search.of_one:
        alone = connection.scalar(count.where(*search.alone)) or 0
    else:
        # The difference is quicker than the condition: few entries tell many findings, and an index knows them.
        alone = connection.scalar(count.select_from(entries).where(*search.shared)) or 0
        alone -= connection.scalar(count.where(*search.many)) or 0
    return alone + _findings(connection, search)


def _findings(connection: Connection, search: _Search) -> int:
    """How many findings there are in entries that tell many."""
    if search.places is not None:
        rows = _of_places(connection, search)
        if search.owner is None:
            return sum(len(search.places[row.seq]) for row in rows)
        return sum(len(search.places_in(row.seq, _body(connection, row.seq)) or ()) for row in rows)
    if search.owner is None:
        return connection.scalar(select(func.sum(entries.c.findings)).where(*search.many)) or 0
    owned = select(func.sum(finding_owners.c.findings)).where(finding_owners.c.owner == search.owner)
    if search.shared:
        owned = owned.join(entries, entries.c.seq == finding_owners.c.seq).where(*search.filtered)
    return connection.scalar(owned) or 0


def _listed(database: Database, search: _Search, *, limit: int | None, newest_first: bool) -> Iterator[Entry]:
    page = _PAGE if limit is None else max(1, min(limit, _PAGE))
    alone = _rows(database, select(entries).where(*search.alone), page, newest_first=newest_first)
    many = _many(database, search, page, newest_first=newest_first)
    found = merge(alone, many, key=lambda row: row.seq, reverse=newest_first)
    return islice(_entries(database, search, found, backwards=newest_first), limit)


def _entries(database: Database, search: _Search, found: Iterator[Found], *, backwards: bool) -> Iterator[Entry]:
    for row in found:
        with explained(database.place):
            told = [_entry(row)] if "body" in row._fields else _told(database, search, row.seq)
        yield from told[::-1] if backwards else told


def _told(database: Database, search: _Search, seq: int) -> list[Entry]:
    """The findings that an entry tells, as far as they are asked for."""
    columns = select(*_WITHOUT_BODY, entries.c.body, entries.c.findings, entries.c.hash)
    with database.reading() as connection:
        row = connection.execute(columns.where(entries.c.seq == seq)).first()
    if row is None:  # it was dropped since
        return []
    places = search.places_in(seq, row.body)
    return list(unfolded(row, row.body, range(row.findings) if places is None else places))


def _many(database: Database, search: _Search, page: int, *, newest_first: bool) -> Iterator[Found]:
    if search.places is None:
        yield from _rows(database, select(*_WITHOUT_BODY).where(*search.many), page, newest_first=newest_first)
        return
    with database.reading() as connection:
        rows = _of_places(connection, search)
    yield from reversed(rows) if newest_first else rows


def _of_places(connection: Connection, search: _Search) -> list[Found]:
    """The entries that tell what is asked for, oldest first."""
    rows: list[Found] = []
    for some in in_batches(sorted(search.places or ()), KEYS):
        query = select(*_WITHOUT_BODY).where(*search.shared, entries.c.seq.in_(some))
        rows += connection.execute(query.order_by(entries.c.seq)).all()
    return rows


def _rows(database: Database, query: Select[*tuple[Any, ...]], page: int, *, newest_first: bool) -> Iterator[Found]:
    """The rows of a query by number, page by page."""
    ordered = query.order_by(entries.c.seq.desc() if newest_first else entries.c.seq.asc()).limit(page)
    last: int | None = None
    while True:
        beyond = () if last is None else (entries.c.seq < last if newest_first else entries.c.seq > last,)
        with database.reading() as connection:
            rows = connection.execute(ordered.where(*beyond)).all()
        yield from rows
        if len(rows) < page:
            return
        last = rows[-1].seq


def _body(connection: Connection, seq: int) -> str:
    body: str = connection.execute(select(entries.c.body).where(entries.c.seq == seq)).scalar_one()
    return body


def _entry(row: Found) -> Entry:
    plain = {name: value for name, value in row._asdict().items() if name != "findings"}
    return Entry(**{**plain, "at": codec.time_of(row.at), "body": codec.ANY.decode(row.body), "hash": row.hash.hex()})
