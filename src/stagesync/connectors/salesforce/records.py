"""Records and small lists as they are now: what both faces of the connector look up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl
import structlog

from stagesync.connectors.salesforce.decode import decode_rows
from stagesync.connectors.salesforce.failures import EXPIRED_LOCATOR, Refusal
from stagesync.connectors.salesforce.schema import Column, Schema
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.shapes import next_path
from stagesync.connectors.salesforce.soql import is_id, is_one_of, portions, same, select
from stagesync.errors import UsageError
from stagesync.model.changes import OWN_MARK, mark
from stagesync.model.tables import ColumnType, Table

log = structlog.get_logger(__name__)

# POST composite/sobjects/X takes 2,000 ids:
# developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections-retrieve-post.html
RETRIEVE_IDS = 2_000
MARKS = re.compile(re.escape(OWN_MARK) + r"[^\]\s]+\]")
# A task of a lead or contact names it as Who and may have no What.
PERSON_PREFIXES = ("003", "00Q")
MASTER = "MasterRecordId"
"""What a merged record has become."""
Row = Mapping[str, Any]


def parent_field(record: str) -> str:
    """The field of a task that names a record."""
    return "WhoId" if record.startswith(PERSON_PREFIXES) else "WhatId"


def _last(became: Mapping[str, str], record: str) -> str:
    while record in became:
        record = became[record]
    return record


class Listing(msgspec.Struct):
    """A page of a small query."""

    done: bool
    records: list[dict[str, Any]]
    nextRecordsUrl: str | None = None


READINGS = 3
"""How often a small query is asked from its beginning because a locator ended."""
LISTING = msgspec.json.Decoder(Listing)
ROWS = msgspec.json.Decoder(list[dict[str, Any] | None])


def _listing(body: bytes) -> Listing:
    page = LISTING.decode(body)
    if not page.done and next_path(page.nextRecordsUrl) is None:
        raise ValueError("a page that is not the last names no next one")
    return page


class Records:
    """Looks things up in one org."""

    def __init__(self, session: OrgSession, schema: Schema) -> None:
        self._session = session
        self._schema = schema

    def rows(self, soql: str, *, deleted: bool = False) -> Iterator[Row]:
        """The rows of a query with few of them. ``deleted`` also brings deleted and archived ones.

        A locator may end between two pages. The query is then asked anew, and what came before is passed over.
        """
        came: set[str] = set()
        for reading in range(1, READINGS + 1):
            try:
                for row in self._listed(soql, deleted=deleted):
                    if row.get("Id") not in came:
                        came.update([row["Id"]] if "Id" in row else ())
                        yield row
            except Refusal as error:
                if error.error.code != EXPIRED_LOCATOR or reading == READINGS:
                    raise
            else:
                return

    def _listed(self, soql: str, *, deleted: bool) -> Iterator[Row]:
        params = {"q": soql}
        path: str | None = "queryAll/" if deleted else "query/"
        while path:
            call = Call(method="GET", path=path, reads=True, params=params)
            listing = self._session.call(call, _listing)
            yield from listing.records
            path, params = (None if listing.done else next_path(listing.nextRecordsUrl)), {}

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as they are now; gone and hidden ones are left out, and so are the fields of parents.

        Errors: :class:`~stagesync.errors.UsageError` for what is no record id.
        """
        columns = self._own(table)
        return decode_rows(self._retrieved(table.name, ids, columns), columns)

    def held(self, name: str, fields: Iterable[str], ids: Sequence[str]) -> dict[str, Row]:
        """What these records hold now, by the first 15 characters of the id: a value for each field as JSON has it, for
        few records and a comparison. Gone and hidden records are left out, and so are fields that are not there.

        Errors: as :meth:`current`.
        """
        columns = self._own(Table(name=name, key="Id", columns=dict.fromkeys(fields, ColumnType.TEXT)))
        places = [(column.name, column.path[0]) for column in columns]
        return {
            same(row["Id"]): {field: row.get(place) for field, place in places}
            for row in self._retrieved(name, ids, columns)
        }

    def _own(self, table: Table) -> list[Column]:
        """The columns that can be read, but for the fields of parents."""
        return [column for column in self._schema.resolve(table).columns if len(column.path) == 1]

    def _retrieved(self, name: str, ids: Sequence[str], columns: Sequence[Column]) -> Iterator[Row]:
        """POST /composite/sobjects/X: an array in the order of the ids, null for what is gone or hidden."""
        for record_id in ids:
            if not is_id(record_id):
                raise UsageError(f"{record_id!r} is no Salesforce record id (15 or 18 letters and digits)")
        if not columns:
            return
        fields = list(dict.fromkeys(column.path[0] for column in columns))
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), RETRIEVE_IDS):
            body = {"ids": wanted[start : start + RETRIEVE_IDS], "fields": fields}
            call = Call(method="POST", path=f"composite/sobjects/{name}", reads=True, body=body)
            found = self._session.call(call, ROWS.decode)
            yield from (row for row in found if row is not None)

    def merged(self, name: str, ids: Sequence[str]) -> dict[str, str]:
        """Of these records those that were merged into another one: their ids to its id. It may have been merged in its
        turn."""
        sobject = self._schema.describe(name)
        if sobject is None or sobject.field(MASTER) is None:
            return {}
        became: dict[str, str] = {}
        wanted = list(ids)
        while wanted:
            found: dict[str, str] = {}
            for portion in portions([one for one in wanted if is_id(one)]):
                where = f"{is_one_of('Id', portion)} AND {MASTER} != null"
                rows = self.rows(select(["Id", MASTER], sobject.name, where), deleted=True)
                found |= {row["Id"]: row[MASTER] for row in rows}
            became |= found
            wanted = [one for one in found.values() if one not in became]
        return {one: _last(became, one) for one in ids if one in became}

    def own_tasks(self, keys: Sequence[str], records: Sequence[str] = ()) -> dict[str, str]:
        """Change key to task id; deleted tasks count, so that none is made again, but a live one goes first.

        Where the key is a line in a long text, which no query can filter, all tasks of the ``records`` are read.
        """
        if not keys:
            return {}
        connection = self._session.connection
        task = self._schema.describe(connection.task_table)
        field = task.field(connection.task_key) if task else None
        if task is None or field is None:
            log.warning("salesforce.task_key.missing", connection=connection.connection)
            return {}
        if field.marked:
            return self._marked(task.name, field.name, keys, records)
        found: dict[str, str] = {}
        for portion in portions(keys):
            soql = select([field.name, "Id", "IsDeleted"], task.name, is_one_of(field.name, portion))
            rows = list(self.rows(soql, deleted=True))
            rows.sort(key=lambda row: bool(row["IsDeleted"]), reverse=True)
            found.update((row[field.name], row["Id"]) for row in rows)
        return found

    def _marked(self, task: str, text: str, keys: Sequence[str], records: Sequence[str]) -> dict[str, str]:
        rows: list[Row] = []
        for link in ("WhatId", "WhoId"):
            named = [record for record in records if is_id(record) and parent_field(record) == link]
            for portion in portions(named):
                soql = select(["Id", "IsDeleted", text], task, is_one_of(link, portion))
                rows += self.rows(soql, deleted=True)
        rows.sort(key=lambda row: bool(row["IsDeleted"]), reverse=True)
        wanted = {mark(key): key for key in keys}
        return {wanted[found]: row["Id"] for row in rows for found in MARKS.findall(row[text] or "") if found in wanted}
