"""Queries answered page by page: totals, locators kept in the org's file, rows as Salesforce's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stagesync.sandbox.salesforce import moments
from stagesync.sandbox.salesforce.errors import ApiError, SoqlError
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import object_of
from stagesync.sandbox.salesforce.soql import parse
from stagesync.sandbox.salesforce.soql_plan import GROUPS, ChildPlan, Plan, Shape, plan
from stagesync.sandbox.salesforce.soql_scope import World

SMALLEST_PAGE, PAGE = 200, 2000
OPEN_CURSORS = 50
CURSOR_LIFE = timedelta(days=2)
TOO_LONG = "Your query request was running for too long."
Record = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """Who asks, and by which API version (``"67.0"``), for the addresses inside the answer."""

    org: Org
    user_id: str
    version: str

    @property
    def world(self) -> World:
        """What this user's queries may see, at this moment."""
        faults = self.org.faults
        return World(
            self.org.now(),
            self._zone(),
            self.org.hides,
            frozenset(faults.hidden_objects),
            frozenset(faults.hidden_records),
        )

    def _zone(self) -> ZoneInfo:
        sql = 'SELECT "TimeZoneSidKey" FROM "User" WHERE "Id" = ?'
        try:
            return ZoneInfo(self.org.database.value(sql, (self.user_id,)) or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")

    def prepare(self, soql: str, *, everything: bool) -> Plan:
        """Parse and plan.

        Raises:
            SoqlError: 400, with the excerpt and the place in the message.
        """
        try:
            return plan(self.world, parse(soql), everything=everything)
        except SoqlError as error:
            raise error.located(soql) from None

    def first_page(self, soql: str, *, everything: bool = False, batch: int | None = None) -> Record:
        """The answer of ``/query``: ``totalSize``, ``done``, ``records`` and, if more, ``nextRecordsUrl``."""
        ready = self.prepare(soql, everything=everything)
        if ready.sobject.name in self.org.faults.heavy_queries:
            raise ApiError(400, "QUERY_TIMEOUT", TOO_LONG)
        if ready.shape is None:
            sql, parameters = ready.select()
            total = self.org.database.value(f"SELECT COUNT(*) FROM ({sql})", parameters)
            return {"totalSize": total, "done": True, "records": []}
        if ready.aggregate:
            return self._aggregates(ready)
        size = self.org.page_size or min(max(batch or PAGE, SMALLEST_PAGE), PAGE)
        sql, parameters = ready.select(limit=size + 1)
        with self.org.database.transaction():
            rows = self.org.database.rows(sql, parameters)
            if len(rows) <= size:
                return {"totalSize": len(rows), "done": True, "records": self._records(ready, rows)}
            cursor = self._open(soql, ready, size, everything=everything)
        return self.page(f"{cursor}-0")

    def _aggregates(self, ready: Plan) -> Record:
        sql, parameters = ready.select(limit=GROUPS + 1)
        rows = self.org.database.rows(sql, parameters)
        if len(rows) > GROUPS:
            message = (
                "aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            )
            raise ApiError(400, "EXCEEDED_ID_LIMIT", message)
        return {"totalSize": len(rows), "done": True, "records": self._records(ready, rows)}

    def _open(self, soql: str, ready: Plan, size: int, *, everything: bool) -> str:
        """Keep the ids of a result, in its order, for later pages; the oldest results give way."""
        database = self.org.database
        cursor = self.org.next_id("01g")
        total = self._keep_ids(cursor, ready)
        stamp = moments.stored(self.org.now())
        database.execute(
            "INSERT INTO _cursor VALUES (?, ?, ?, ?, ?, ?, ?)",
            (cursor, soql, int(everything), size, total, stamp, self.user_id),
        )
        old = database.rows("SELECT id FROM _cursor ORDER BY id DESC LIMIT -1 OFFSET ?", (OPEN_CURSORS,))
        for row in old:
            database.execute("DELETE FROM _cursor WHERE id = ?", (row["id"],))
            database.execute("DELETE FROM _cursor_row WHERE cursor = ?", (row["id"],))
        return cursor

    def _keep_ids(self, cursor: str, ready: Plan) -> int:
        order = ready.order_by.strip()
        sql = (
            f'INSERT INTO _cursor_row SELECT ?, row_number() OVER ({order}) - 1 AS n, {ready.table}."Id" '
            f"FROM {ready.from_sql} WHERE {ready.where} ORDER BY n LIMIT {-1 if ready.limit is None else ready.limit} "
            f"OFFSET {ready.offset or 0}"
        )
        database = self.org.database
        total = database.execute(sql, [cursor, *ready.parameters])
        if ready.offset:
            shift = "UPDATE _cursor_row SET position = position - ? WHERE cursor = ?"
            database.execute(shift, (ready.offset, cursor))
        return total

    def keep(self, key: str, ready: Plan) -> int:
        """Keep the ids of a whole result under a key, for a bulk job; return how many."""
        with self.org.database.transaction():
            return self._keep_ids(key, ready)

    def page(self, locator: str) -> Record:
        """A later page, by the opaque end of ``nextRecordsUrl``.

        Raises:
            ApiError: 400 INVALID_QUERY_LOCATOR for a locator that is unknown or too old.
        """
        cursor, _, start_text = locator.partition("-")
        found = self.org.database.row("SELECT * FROM _cursor WHERE id = ?", (cursor,))
        oldest = moments.stored(self.org.now() - CURSOR_LIFE)
        if found is None or not start_text.isdigit() or found["used"] < oldest:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        start = int(start_text)
        if start >= found["total"]:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        self.org.database.execute("UPDATE _cursor SET used = ? WHERE id = ?", (moments.stored(self.org.now()), cursor))
        ready = self.prepare(found["soql"], everything=bool(found["everything"]))
        if start and ready.sobject.name in self.org.faults.heavy_pages:
            raise ApiError(400, "QUERY_TIMEOUT", TOO_LONG)
        end = min(start + found["batch"], found["total"])
        records = self._records(ready, self.kept(cursor, ready, start, end))
        body: Record = {"totalSize": found["total"], "done": end >= found["total"]}
        if end < found["total"]:
            body["nextRecordsUrl"] = f"/services/data/v{self.version}/query/{cursor}-{end}"
        body["records"] = records
        return body

    def kept(self, key: str, ready: Plan, start: int, end: int) -> list[Record]:
        """Result rows of kept ids, positions ``start`` to ``end - 1``, with the values of now."""
        names = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(ready.columns))
        joined = ready.from_sql.replace(f"AS {ready.table}", f'AS {ready.table} ON {ready.table}."Id" = kept.id', 1)
        sql = (
            f"SELECT {names} FROM _cursor_row AS kept CROSS JOIN {joined} "
            "WHERE kept.cursor = ? AND kept.position >= ? AND kept.position < ? ORDER BY kept.position"
        )
        return self.org.database.rows(sql, (key, start, end))

    def _records(self, ready: Plan, rows: list[Record]) -> list[Record]:
        shape = ready.shape
        if shape is None:
            return []
        children = {
            name: self._children(entry, [row[f"c{shape.id_column}"] for row in rows])
            for name, entry in shape.entries.items()
            if isinstance(entry, ChildPlan)
        }
        return [self._record(shape, row, children) for row in rows if row]  # type: ignore[misc]

    def _record(self, shape: Shape, row: Record, children: dict[str, dict[str, Record]]) -> Record | None:
        record: Record = {}
        if shape.id_column < 0:
            record["attributes"] = {"type": "AggregateResult"}
        else:
            record_id = row[f"c{shape.id_column}"]
            if record_id is None:
                return None
            kind = shape.sobject or getattr(object_of(record_id), "name", "Name")
            record["attributes"] = {"type": kind, "url": f"/services/data/v{self.version}/sobjects/{kind}/{record_id}"}
        for key, entry in shape.entries.items():
            if isinstance(entry, tuple):
                name = key if shape.by_type is None else self._branch(shape, record, key)
                if name:
                    record[name] = render(row[f"c{entry[0]}"], entry[1])
            elif isinstance(entry, Shape):
                record[key] = self._record(entry, row, {})
            else:
                record[key] = children[key].get(row[f"c{shape.id_column}"])
        return record

    def _branch(self, shape: Shape, record: Record, key: str) -> str | None:
        target, _, name = key.partition(".")
        return name if record["attributes"]["type"] == target and name in (shape.by_type or {})[target] else None

    def _children(self, child: ChildPlan, parent_ids: list[str]) -> dict[str, Record]:
        """Each parent's children as a nested result; a parent without any is left out (null on the wire)."""
        ready = child.plan
        last = len(ready.columns) - 1
        names = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(ready.columns))
        order = ready.order_by.strip()
        sql = (
            f"SELECT * FROM (SELECT {names}, row_number() OVER (PARTITION BY {child.link} {order}) AS n "
            f"FROM {ready.from_sql} WHERE {child.link} IN (SELECT value FROM json_each(?)) AND {ready.where}) "
            f"WHERE n > {ready.offset or 0} AND n <= ? ORDER BY c{last}, n"
        )
        most = (ready.offset or 0) + ready.limit if ready.limit is not None else 1 << 60
        rows = self.org.database.rows(sql, [json.dumps(parent_ids), *ready.parameters, most])
        grouped: dict[str, list[Record]] = {}
        for row in rows:
            grouped.setdefault(row[f"c{last}"], []).append(row)
        return {
            parent: {"totalSize": len(found), "done": True, "records": self._records(ready, found)}
            for parent, found in grouped.items()
        }


def render(value: Any, kind: str) -> Any:
    """A stored value as JSON: ``kind`` is the field's type."""
    if value is None:
        return None
    if kind == "datetime":
        return moments.spoken(value)
    if kind == "boolean":
        return bool(value)
    return int(value) if kind == "int" else value


def flat(ready: Plan, rows: Iterable[Record]) -> Iterator[list[Any]]:
    """Rows as lists in the order of the query's columns, for CSV."""
    leaves = list(_leaves(ready.shape)) if ready.shape else []
    for row in rows:
        yield [render(row[f"c{column}"], kind) for _, column, kind in leaves]


def heads(ready: Plan) -> list[str]:
    """The column names of :func:`flat`, parents with dots."""
    return [name for name, _, _ in _leaves(ready.shape)] if ready.shape else []


def kinds(ready: Plan) -> list[str]:
    """The field types of :func:`flat`."""
    return [kind for _, _, kind in _leaves(ready.shape)] if ready.shape else []


def _leaves(shape: Shape, prefix: str = "") -> Iterator[tuple[str, int, str]]:
    for key, entry in shape.entries.items():
        if isinstance(entry, tuple):
            yield prefix + key, entry[0], entry[1]
        elif isinstance(entry, Shape):
            yield from _leaves(entry, f"{prefix}{key}.")
