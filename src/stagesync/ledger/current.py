"""What is open now, derived from entries: findings, intents without a final outcome, tasks.

The same function follows new entries and rebuilds the tables from old ones, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection, Insert, Table, bindparam, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from stagesync.ledger import codec
from stagesync.ledger.chain import Link
from stagesync.ledger.database import write_many
from stagesync.ledger.entry import EntryKind
from stagesync.ledger.tables import open_findings, open_intents, open_tasks
from stagesync.model.changes import ChangeKind, Result
from stagesync.model.findings import essence_of

Place = tuple[str, str]
"""Connection and key."""


class Row(NamedTuple):
    """What stands open: the number of its entry, and what else its table holds.

    That is the CRM's id of a task; of a finding its digest, or the body of its entry to make it from.
    """

    seq: int
    more: str | bytes | None = None


_DONE = frozenset({Result.APPLIED, Result.ALREADY_SO})
_CLOSED = _DONE | {Result.SUPERSEDED}  # a rep closed or deleted it first: it is not ours to follow any more


@dataclass
class Standing:
    """What a stretch of entries leaves open (a row) or closes (None), by table."""

    findings: dict[Place, Row | None] = field(default_factory=dict)
    intents: dict[Place, Row | None] = field(default_factory=dict)
    tasks: dict[Place, Row | None] = field(default_factory=dict)
    closed: set[Place] = field(default_factory=set)
    """Connection and CRM id of tasks that were closed; they may have been opened before this stretch."""
    retold: dict[Place, int] = field(default_factory=dict)
    """Connection and CRM id of tasks whose text was written anew, before this stretch opened them, to that entry."""
    _opened_by: dict[Place, Place] = field(default_factory=dict)

    def follow(self, link: Link, digest: bytes | None = None) -> None:
        """Take in the next entry; ``digest`` is its finding's, where that is known."""
        if link.connection is None or link.key is None:
            return
        place = (link.connection, link.key)
        match link.kind:
            case EntryKind.FINDING_OPENED | EntryKind.FINDING_CHANGED:
                self.findings[place] = Row(link.seq, digest or link.body)
            case EntryKind.FINDING_RESOLVED:
                self.findings[place] = None
            case EntryKind.INTENT:
                self.intents[place] = Row(link.seq)
            case EntryKind.OUTCOME:
                self._follow_outcome(place, codec.OUTCOME.decode(link.body))

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
        for table, places in self._by_table():
            _store(connection, table, places)

    def open_rows(self) -> dict[str, set[tuple[str, str, int]]]:
        """Table name to the (connection, key, seq) that stand open, to compare with what the tables say."""
        return {
            table.name: {(*place, row.seq) for place, row in places.items() if row is not None}
            for table, places in self._by_table()
        }

    def _by_table(self) -> Iterable[tuple[Table, dict[Place, Row | None]]]:
        return ((open_findings, self.findings), (open_intents, self.intents), (open_tasks, self.tasks))


def _store(connection: Connection, table: Table, places: Mapping[Place, Row | None]) -> None:
    gone = [{"of": of, "at": key} for (of, key), row in places.items() if row is None]
    if gone:
        closing = delete(table).where(table.c.connection == bindparam("of"), table.c.key == bindparam("at"))
        connection.execute(closing, gone)
    standing = [(*place, *_values(table, row)) for place, row in places.items() if row is not None]
    if standing:
        write_many(connection, _upsert(table, connection.dialect.name), standing)


def _values(table: Table, row: Row) -> tuple[object, ...]:
    if table is open_intents:
        return (row.seq,)
    if isinstance(row.more, str) and table is open_findings:
        # Here and not while following: of a long history only what is still open need be decoded.
        return (row.seq, essence_of(codec.FINDING.decode(row.more).finding))
    return (row.seq, row.more)


@cache
def _upsert(table: Table, dialect: str) -> Insert:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    values = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=["connection", "key"], set_=values)
