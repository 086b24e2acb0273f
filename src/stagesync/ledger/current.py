"""What is open now, derived from entries: findings, intents without a final outcome, tasks.

The same function follows new entries and rebuilds the tables from old ones, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite

from stagesync.ledger import codec
from stagesync.ledger.chain import Link
from stagesync.ledger.entry import EntryKind
from stagesync.ledger.tables import open_findings, open_intents, open_tasks
from stagesync.model.changes import ChangeKind, Result

Row = Mapping[str, Any]
Place = tuple[str, str]
"""Connection and key."""

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
    _opened_by: dict[Place, Place] = field(default_factory=dict)

    def follow(self, link: Link) -> None:
        """Take in the next entry."""
        if link.connection is None or link.key is None:
            return
        place = (link.connection, link.key)
        match link.kind:
            case EntryKind.FINDING_OPENED | EntryKind.FINDING_CHANGED:
                self.findings[place] = _row(place, link.seq, body=link.body)
            case EntryKind.FINDING_RESOLVED:
                self.findings[place] = None
            case EntryKind.INTENT:
                self.intents[place] = _row(place, link.seq)
            case EntryKind.OUTCOME:
                self._follow_outcome(place, codec.OUTCOME.decode(link.body))

    def _follow_outcome(self, place: Place, body: codec.OutcomeBody) -> None:
        result = body.outcome.result
        if result is not Result.UNKNOWN:
            self.intents[place] = None
        task = codec.column_text(body.task)
        if body.change_kind == ChangeKind.OPEN_TASK and result in _DONE:
            self.tasks[place] = _row(place, body.intent, crm_id=task)
            self._opened_by[place[0], task or ""] = place
        elif body.change_kind == ChangeKind.CLOSE_TASK and result in _CLOSED and task is not None:
            self._close_task((place[0], task))

    def _close_task(self, task: Place) -> None:
        self.closed.add(task)
        opened_by = self._opened_by.pop(task, None)
        if opened_by is not None:
            self.tasks[opened_by] = None

    def store(self, connection: Connection) -> None:
        """Write it to the tables, in the transaction of the entries."""
        if self.closed:
            closing = delete(open_tasks).where(
                open_tasks.c.connection == bindparam("of"), open_tasks.c.crm_id == bindparam("id")
            )
            connection.execute(closing, [{"of": of, "id": crm_id} for of, crm_id in sorted(self.closed)])
        for table, places in self._by_table():
            _store(connection, table, {place: _with_digest(row) for place, row in places.items()})

    def open_rows(self) -> dict[str, set[tuple[str, str, int]]]:
        """Table name to the (connection, key, seq) that stand open, to compare with what the tables say."""
        return {
            table.name: {(*place, row["seq"]) for place, row in places.items() if row is not None}
            for table, places in self._by_table()
        }

    def _by_table(self) -> Iterable[tuple[Table, dict[Place, Row | None]]]:
        return ((open_findings, self.findings), (open_intents, self.intents), (open_tasks, self.tasks))


def _row(place: Place, seq: int, **more: object) -> Row:
    return {"connection": place[0], "key": place[1], "seq": seq, **more}


def _with_digest(row: Row | None) -> Row | None:
    # Here and not while following: of a long history only what is still open need be decoded.
    if row is None or "body" not in row:
        return row
    digest = codec.essence(codec.FINDING.decode(row["body"]).finding)
    return _row((row["connection"], row["key"]), row["seq"], digest=digest)


def _store(connection: Connection, table: Table, places: Mapping[Place, Row | None]) -> None:
    gone = [{"of": of, "at": key} for (of, key), row in places.items() if row is None]
    if gone:
        closing = delete(table).where(table.c.connection == bindparam("of"), table.c.key == bindparam("at"))
        connection.execute(closing, gone)
    standing = [row for row in places.values() if row is not None]
    if standing:
        insert = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
        values = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
        connection.execute(insert.on_conflict_do_update(index_elements=["connection", "key"], set_=values), standing)
