"""What stands now, derived from entries: findings, intents without a final outcome, tasks.

The same function follows new entries and rebuilds the tables from old ones, so the two cannot differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import count, repeat
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Insert, Table, bindparam, delete, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from stagesync.ledger import codec
from stagesync.ledger.chain import Link
from stagesync.ledger.database import write_many
from stagesync.ledger.entry import FINDING_KINDS, EntryKind
from stagesync.ledger.tables import finding_lives, finding_owners, open_intents, open_tasks, stage_moves
from stagesync.model.changes import ChangeKind, Result
from stagesync.model.findings import Coded, Findings, essence_of

Place = tuple[str, str]
"""Connection and key."""


class Row(NamedTuple):
    """What stands open: the number of its entry, and the CRM's id of a task."""

    seq: int
    crm_id: str | None = None


Life = tuple[int, int | None, bytes | str | None]
"""The newest of a finding: the number of its entry and its place there, and while it is open the digest of its essence,
or what to make it of: the body of its entry."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The findings that an entry tells, in columns as a table can hold them; ``owners`` as they stand in its body.
    ``digests`` is None for resolved ones."""

    records: Sequence[str]
    owners: Coded[str | None]
    digests: Sequence[bytes] | None


FindingPlace = tuple[str, str, str, str]
"""Connection, object, rule and record."""

_DONE = frozenset({Result.APPLIED, Result.ALREADY_SO})
_CLOSED = _DONE | {Result.SUPERSEDED}  # a rep closed or deleted it first: it is not ours to follow any more


@dataclass
class Standing:
    """What a stretch of entries leaves open (a row) or closes (None), by table."""

    findings: dict[FindingPlace, Life] = field(default_factory=dict)
    moved: list[tuple[Link, Moved]] = field(default_factory=list)
    """Entries of which all is known that the table of findings needs."""
    owners: list[tuple[str, int, int]] = field(default_factory=list)
    """Owner, number of an entry that tells many findings, and how many of them are of records of this owner."""
    stages: list[tuple[str, str, str, int, int, bool]] = field(default_factory=list)
    """Connection, object and record of stages that were written; numbers of outcome and intent; whether it was not so
    already."""
    intents: dict[Place, Row | None] = field(default_factory=dict)
    tasks: dict[Place, Row | None] = field(default_factory=dict)
    closed: set[Place] = field(default_factory=set)
    """Connection and CRM id of tasks that were closed; they may have been opened before this stretch."""
    retold: dict[Place, int] = field(default_factory=dict)
    """Connection and CRM id of tasks whose text was written anew, before this stretch opened them, to that entry."""
    _opened_by: dict[Place, Place] = field(default_factory=dict)

    def follow(self, link: Link, moved: Moved | None = None) -> None:
        """Take in the next entry; ``moved`` is what it says of findings, where that is known."""
        match link.kind:
            case kind if kind in FINDING_KINDS:
                self._follow_findings(link, moved)
            case _ if link.connection is None or link.key is None:
                return
            case EntryKind.INTENT:
                self.intents[link.connection, link.key] = Row(link.seq)
            case EntryKind.OUTCOME:
                body = codec.OUTCOME.decode(link.body)
                self._follow_outcome((link.connection, link.key), body)
                if body.change_kind == ChangeKind.SET_STAGE and body.outcome.result in _DONE:
                    applied = body.outcome.result is Result.APPLIED
                    place = (link.connection, link.object or "", link.record or "")
                    self.stages.append((*place, link.seq, body.intent, applied))

    def _follow_findings(self, link: Link, moved: Moved | None) -> None:
        open_ = link.kind != EntryKind.FINDING_RESOLVED
        of = (link.connection or "", link.object or "", link.rule or "")
        if link.findings is None:
            place = (*of, link.record or "")
            self.findings[place] = (link.seq, None, link.body if open_ else None)
            return
        told = moved or codec.SAID.decode(link.body).told
        owned: Counter[str] = Counter()
        for number, times in Counter(told.owners.of).items():
            owner = codec.column_text(told.owners.values[number])
            if owner is not None:
                owned[owner] += times
        self.owners += [(owner, link.seq, times) for owner, times in owned.items()]
        if moved is not None:
            self.moved.append((link, moved))
            return
        places = zip(*map(repeat, of), codec.column_texts([*told.records]), strict=False)
        lives = zip(repeat(link.seq), count(), repeat(link.body if open_ else None), strict=False)
        self.findings.update(zip(places, lives, strict=False))

    def _follow_outcome(self, place: Place, body: codec.OutcomeBody) -> None:
        result = body.outcome.result
        if result is not Result.UNKNOWN:
            self.intents[place] = None
        task = codec.column_text(body.task)
        if body.change_kind == ChangeKind.OPEN_TASK and result in _DONE:
            self.tasks[place] = Row(body.intent, task)
            self._opened_by[place[0], task or ""] = place
        elif body.change_kind == ChangeKind.UPDATE_TASK and result in _CLOSED and task is not None:
            # One that a rep has edited keeps its text and is about the new findings all the same.
            self._retell((place[0], task), body.intent)
        elif body.change_kind == ChangeKind.CLOSE_TASK and result in _CLOSED and task is not None:
            self._close_task((place[0], task))

    def _retell(self, task: Place, intent: int) -> None:
        opened_by = self._opened_by.get(task)
        if opened_by is None:
            self.retold[task] = intent
        else:
            self.tasks[opened_by] = Row(intent, task[1])

    def _close_task(self, task: Place) -> None:
        self.closed.add(task)
        opened_by = self._opened_by.pop(task, None)
        if opened_by is not None:
            self.tasks[opened_by] = None

    def store(self, connection: Connection) -> None:
        """Write it to the tables, in the transaction of the entries."""
        if self.retold:
            telling = (
                update(open_tasks)
                .where(open_tasks.c.connection == bindparam("of"), open_tasks.c.crm_id == bindparam("id"))
                .values(seq=bindparam("at"))
            )
            rows = [{"of": of, "id": crm_id, "at": at} for (of, crm_id), at in sorted(self.retold.items())]
            connection.execute(telling, rows)
        if self.closed:
            closing = delete(open_tasks).where(
                open_tasks.c.connection == bindparam("of"), open_tasks.c.crm_id == bindparam("id")
            )
            connection.execute(closing, [{"of": of, "id": crm_id} for of, crm_id in sorted(self.closed)])
        if self.moved:
            _move(connection, self.moved)
        lives = [(*place, *_with_digest(life)) for place, life in self.findings.items()]
        if lives:
            write_many(connection, _upsert(finding_lives, connection.dialect.name), lives)
        if self.owners:
            _own(connection, sorted(self.owners))
        if self.stages:
            write_many(connection, _STAGES, self.stages)
        for table, places in self._open():
            _store(connection, table, places)

    def rows(self) -> dict[str, set[tuple[object, ...]]]:
        """What the tables must say, by table: places and what stands there, but for digests and ids of tasks."""
        lives: set[tuple[object, ...]] = {
            (*place, seq, number, digest is not None) for place, (seq, number, digest) in self.findings.items()
        }
        told: dict[str, set[tuple[object, ...]]] = {
            finding_lives.name: lives,
            finding_owners.name: {*self.owners},
            stage_moves.name: {*self.stages},
        }
        return told | {
            table.name: {(*place, row.seq) for place, row in places.items() if row is not None}
            for table, places in self._open()
        }

    def _open(self) -> Iterable[tuple[Table, dict[Place, Row | None]]]:
        return ((open_intents, self.intents), (open_tasks, self.tasks))


DERIVED: Mapping[Table, Sequence[ColumnElement[Any]]] = {
    finding_lives: (
        *finding_lives.primary_key,
        finding_lives.c.seq,
        finding_lives.c.place,
        finding_lives.c.digest.is_not(None),
    ),
    finding_owners: (*finding_owners.c,),
    stage_moves: (*stage_moves.c,),
    open_intents: (open_intents.c.connection, open_intents.c.key, open_intents.c.seq),
    open_tasks: (open_tasks.c.connection, open_tasks.c.key, open_tasks.c.seq),
}
"""The derived tables, and what of them ``Standing.rows`` tells."""


_STAGES = insert(stage_moves)


def _findings(body: str) -> Findings:
    return codec.FINDINGS.decode(body).findings


def _with_digest(life: Life) -> tuple[int, int | None, bytes | None]:
    # Here and not while following: of a long history only what is still open need be made.
    seq, place, digest = life
    if isinstance(digest, str):
        digest = _digests(digest)[place] if place is not None else _digest(digest)
    return seq, place, digest


def _digest(body: str) -> bytes:
    return essence_of(codec.FINDING.decode(body).finding)


@lru_cache(maxsize=16)
def _digests(body: str) -> Sequence[bytes]:
    return [essence_of(finding) for finding in _findings(body).objects()]


# The rows are made inside the database: handing over each costs three times its place in the table.
_MOVE = """INSERT INTO finding_lives (connection, object, rule, record, seq, place, digest)
    SELECT {rows}
    ON CONFLICT (connection, object, rule, record)
    DO UPDATE SET seq = excluded.seq, place = excluded.place, digest = excluded.digest"""
_MOVES = {
    "sqlite": _MOVE.format(rows="?, ?, ?, value, ?, key, substr(?, 1 + key * 32, 32) FROM json_each(?) WHERE true"),
    "postgresql": _MOVE.format(
        rows="""%s, %s, %s, told.record, %s, told.place - 1, told.digest
        FROM unnest(%s::bytea[], %s::text[]) WITH ORDINALITY AS told(digest, record, place)"""
    ),
}


def _move(connection: Connection, told: Iterable[tuple[Link, Moved]]) -> None:
    """Follow the findings of entries."""
    dialect = connection.dialect.name
    rows = []
    for link, moved in told:
        digests: object = None if moved.digests is None else b"".join(moved.digests)
        records: object = _json(moved.records)
        if dialect == "postgresql":
            digests = list(moved.digests or repeat(None, len(moved.records)))
            records = list(moved.records)
        rows.append((link.connection or "", link.object or "", link.rule or "", link.seq, digests, records))
    connection.exec_driver_sql(_MOVES[dialect], rows)


_OWNED = {
    "sqlite": """INSERT INTO finding_owners (owner, seq, findings)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)""",
    "postgresql": """INSERT INTO finding_owners (owner, seq, findings)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::integer[])""",
}


def _own(connection: Connection, owned: Sequence[tuple[str, int, int]]) -> None:
    """Note whose records' findings entries tell: owner, number of the entry, and how many."""
    dialect = connection.dialect.name
    rows = tuple(map(list, zip(*owned, strict=True))) if dialect == "postgresql" else (_json(owned),)
    connection.exec_driver_sql(_OWNED[dialect], rows)


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()


def _store(connection: Connection, table: Table, places: Mapping[Place, Row | None]) -> None:
    gone = [{"of": of, "at": key} for (of, key), row in places.items() if row is None]
    if gone:
        closing = delete(table).where(table.c.connection == bindparam("of"), table.c.key == bindparam("at"))
        connection.execute(closing, gone)
    width = len(table.c) - 2
    standing = [(*place, *row[:width]) for place, row in places.items() if row is not None]
    if standing:
        write_many(connection, _upsert(table, connection.dialect.name), standing)


@cache
def _upsert(table: Table, dialect: str) -> Insert:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    values = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
