"""What changed in an org since the last look, by the stamp that Salesforce sets on each write.

The stamp is set when a row is saved, in whole seconds, and the row is seen when its transaction commits. So each look
begins well below the end of the last one, rows with equal stamps are told apart by their ids, and the end is the
org's own clock before the look began. What leaves no stamp (a row that is deleted past the recycle bin, hidden or
shown by sharing) is found by ``portion``, a little at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import polars as pl
import structlog

from stagesync.connectors.base import ChangedRows, Changes
from stagesync.connectors.salesforce.failures import TOO_HEAVY, Refusal
from stagesync.connectors.salesforce.paging import Walk, fields, walk
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Column, Resolved, Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.sobjects import SObject
from stagesync.connectors.salesforce.soql import is_one_of, portions, quoted, select
from stagesync.model.tables import UNREADABLE, ColumnType, Table

log = structlog.get_logger(__name__)

STAMP = "SystemModstamp"
LAG = timedelta(minutes=1)
"""How far the clocks of an org's servers may differ."""
OVERLAP = timedelta(minutes=10)
"""How long a transaction is taken to last from saving a row to its commit."""
OLDEST = timedelta(days=14)
"""Deleted rows leave the recycle bin, and with it the answers of queryAll, after 15 days."""
STAMPED, DELETED, ARCHIVED = "?stamp", "?deleted", "?archived"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How changes of a table are found: the row's own stamp, and those of the parents whose fields are read."""

    resolved: Resolved
    own: str
    parents: tuple[str, ...]
    binned: bool
    archived: bool

    @property
    def columns(self) -> tuple[Column, ...]:
        """The wanted columns, and those that tell what became of a row."""
        extra = [Column(name=STAMPED, type=ColumnType.DATETIME, path=(self.own,), kind="datetime")]
        flags = {DELETED: ("IsDeleted", self.binned), ARCHIVED: ("IsArchived", self.archived)}
        extra += [
            Column(name=name, type=ColumnType.BOOLEAN, path=(path,), kind="boolean")
            for name, (path, there) in flags.items()
            if there
        ]
        return (*self.resolved.columns, *extra)


class SalesforceIncrements:
    """The :class:`~stagesync.connectors.base.Increments` of one org."""

    def __init__(self, session: OrgSession, schema: Schema, records: Records) -> None:
        self._session = session
        self._schema = schema
        self._records = records

    def cursor(self, table: Table) -> str | None:
        """The org's clock, a little back; None for a table whose rows carry no stamp or change without it."""
        traced = self._trace(table)
        now = self._session.server_time
        return _text(now - LAG) if traced and now else None

    def changes(self, table: Table, cursor: str) -> Changes | None:
        """The rows stamped since a cursor or whose parents were, and those in the recycle bin; one query in all.

        None when the cursor is older than the recycle bin keeps rows, or ahead of the org's clock.
        """
        traced = self._trace(table)
        now, since = self._session.server_time, datetime.fromisoformat(cursor)
        if traced is None or now is None or since > now or now - since > OLDEST:
            return None
        pages = walk(self._session, _way(traced, _text(since - OVERLAP)))
        try:
            first = next(pages)
        except Refusal as error:
            if error.error.code not in TOO_HEAVY:
                raise
            log.warning(
                "salesforce.changes.too_heavy", connection=self._session.connection.connection, table=table.name
            )
            return None
        return Changes(pages=(_changed(page, table.key) for page in chain([first], pages)), cursor=_text(now - LAG))

    def portion(self, table: Table, after: str, rows: int) -> Iterator[ChangedRows]:
        """Rows by ascending id, as a whole pull would bring them."""
        resolved = self._schema.resolve(table)

        def soql(last: dict[str, Any] | None, came: int) -> str:
            above = last[table.key] if last else after
            where = f"Id > {quoted(above)}" if above else ""
            return select(fields(resolved.columns), table.name, where, "Id", max(rows - came, 1))

        for page in walk(self._session, Walk(table=table.name, columns=resolved.columns, soql=soql)):
            yield ChangedRows(rows=page)

    def present(self, table: Table, ids: Sequence[str]) -> set[str]:
        """Asked by query, which any object answers; a collections retrieve is not offered for all."""
        found: set[str] = set()
        for portion in portions(ids):
            found.update(row["Id"] for row in self._records.rows(select(["Id"], table.name, is_one_of("Id", portion))))
        return found

    def _trace(self, table: Table) -> Trace | None:
        resolved = self._schema.resolve(table)
        root = self._schema.describe(table.name)
        own = _stamp(root) if root else None
        if root is None or own is None or any(column.drifts for column in resolved.columns):
            return None
        parents: dict[str, None] = {}
        for column in resolved.columns:
            here = root
            for depth, name in enumerate(column.path[:-1], start=1):
                link = here.relationship(name)
                target = self._schema.describe(link.referenceTo[0]) if link and len(link.referenceTo) == 1 else None
                if target is None or target.field(STAMP) is None:
                    return None
                here = target
                parents[".".join((*column.path[:depth], STAMP))] = None
        return Trace(
            resolved=resolved,
            own=own,
            parents=tuple(parents),
            binned=root.field("IsDeleted") is not None,
            archived=root.field("IsArchived") is not None,
        )


def _stamp(root: SObject) -> str | None:
    """The field that moves with each write. Rows of a history are written once, so their creation is as good."""
    if root.field(STAMP):
        return STAMP
    return "CreatedDate" if root.field("CreatedDate") and not root.field("LastModifiedDate") else None


def _way(traced: Trace, since: str) -> Walk:
    own, table, columns = traced.own, traced.resolved.table, traced.columns
    new = " OR ".join(f"{stamp} >= {since}" for stamp in (own, *traced.parents))

    def soql(last: dict[str, Any] | None, _came: int) -> str:
        where = new
        if last is not None and last[STAMPED] is not None:
            at = _text(last[STAMPED])
            after = f"{own} > {at} OR ({own} = {at} AND Id > {quoted(last[table.key])})"
            where = f"({after}) AND ({new})"
        return select(fields(columns), table.name, where, f"{own}, Id")

    return Walk(table=table.name, columns=columns, soql=soql, deleted=traced.binned or traced.archived)


def _changed(page: pl.DataFrame, key: str) -> ChangedRows:
    """A page without our own columns; what a query would not show is gone."""
    hidden = pl.any_horizontal(
        pl.lit(value=False),
        *(pl.col(name).fill_null(value=False) for name in (DELETED, ARCHIVED) if name in page.columns),
    )
    ours = [name for name in page.columns if name.removesuffix(UNREADABLE) in {STAMPED, DELETED, ARCHIVED}]
    return ChangedRows(rows=page.filter(~hidden).drop(ours), gone=page.filter(hidden)[key].to_list())


def _text(moment: datetime) -> str:
    """A moment as SOQL reads it, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
