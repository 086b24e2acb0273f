"""Reads an org."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import polars as pl
import structlog

from stagesync.connectors.salesforce.bulk import NotByBulk, TooSlow, bulk_pages
from stagesync.connectors.salesforce.failures import TOO_HEAVY, Refusal
from stagesync.connectors.salesforce.increments import SalesforceIncrements
from stagesync.connectors.salesforce.metadata import native_stages, org_owners, organization
from stagesync.connectors.salesforce.paging import Walk, fields, opened
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Resolved, Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.soql import quoted, select
from stagesync.connectors.salesforce.task_states import task_states
from stagesync.errors import ConnectionFailed
from stagesync.model.crm import Calls, Identity, NativeStage, Owner
from stagesync.model.frames import Page
from stagesync.model.tables import Missing, Table
from stagesync.model.tasks import TaskState

log = structlog.get_logger(__name__)


class SalesforceReader:
    """The :class:`~stagesync.connectors.base.Reader` of one org. It holds nothing that can write."""

    crm = "salesforce"

    def __init__(self, session: OrgSession, schema: Schema, records: Records) -> None:
        self._session = session
        self._schema = schema
        self._records = records
        self._too_slow: TooSlow | None = None
        self.increments = SalesforceIncrements(session, schema, records)

    def identity(self) -> Identity:
        """The organisation's id and name."""
        return organization(self._records, self._session.instance)

    def stages(self, object_name: str, stage_field: str) -> Sequence[NativeStage]:
        """The values of a stage field with what the org says about each, in its order."""
        return native_stages(self._records, self._schema, object_name, stage_field)

    def owners(self) -> Sequence[Owner]:
        """All users, inactive ones too, and all queues."""
        return org_owners(self._records, self._schema, self._session.connection.owner_country)

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """What describe does not show, asked anew at each call: once for all tables, and for their parents."""
        self._schema.forget()
        self._too_slow = None
        self._schema.expect(tables)
        resolved = [self._schema.resolve(table) for table in tables]
        return [Missing(table=one.table.name, columns=one.missing) for one in resolved if one.missing]

    def labels(self, table: Table) -> Mapping[str, str]:
        """Those that describe shows to this user, in the user's language."""
        return {column.name: column.label for column in self._schema.resolve(table).columns if column.label}

    def pull(self, table: Table) -> Generator[Page, None, None]:
        """All rows, page by page; an empty table gives one empty page, an unreadable one none.

        The first page of the query says how many there are. Up to ``bulk_above`` they come by REST, by ascending id.
        More come by Bulk API 2.0 in any order, with empty pages while its job runs, or by REST where that fails. After
        a job that took too long all tables come by REST until :meth:`missing` is asked again. A query that takes the
        org too long ends its table's reading by REST: a job has more time, and may be split.
        """
        resolved = self._schema.resolve(table)
        if not resolved.columns:
            return
        try:
            yield from self._pages(table, resolved)
        except Refusal as error:
            if error.error.code not in TOO_HEAVY:
                raise
            yield from self._however_heavy(table, resolved, error)

    def _however_heavy(self, table: Table, resolved: Resolved, error: Refusal) -> Generator[Page, None, None]:
        log.warning("salesforce.query.too_heavy", connection=self._session.connection.connection, table=table.name)
        try:
            with closing(bulk_pages(self._session, table.name, resolved.columns)) as bulk:
                for number, page in enumerate(bulk):
                    yield replace(page, anew=page.anew or number == 0)
        except NotByBulk as reason:
            raise ConnectionFailed(f"{error} (all {table.name} were asked for; by Bulk API 2.0: {reason})") from error

    def _pages(self, table: Table, resolved: Resolved) -> Generator[Page, None, None]:
        def soql(last: dict[str, Any] | None, _came: int) -> str:
            where = f"Id > {quoted(last[table.key])}" if last else ""
            return select(fields(resolved.columns), table.name, where, "Id")

        total, pages = opened(self._session, Walk(table=table.name, columns=resolved.columns, soql=soql))
        anew = False
        if total > self._session.connection.bulk_above:
            try:
                if self._too_slow:
                    raise self._too_slow
                with closing(bulk_pages(self._session, table.name, resolved.columns)) as bulk:
                    for page in bulk:
                        anew = True
                        yield page
                return
            except NotByBulk as reason:
                self._too_slow = reason if isinstance(reason, TooSlow) else None
                name = self._session.connection.connection
                log.warning("salesforce.bulk.not_used", connection=name, table=table.name, reason=str(reason))
        for rows in pages:
            yield Page(table=table.name, rows=rows, anew=anew)
            anew = False

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as they are now, without the fields of their parents."""
        return self._records.current(table, ids)

    def merged_into(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        """As far as the recycle bin still holds them; one call for each 200. Only leads, contacts and accounts can be
        merged, and only those say so."""
        return self._records.merged(table.name, ids)

    def own_tasks(self, keys: Sequence[str], records: Sequence[str] = ()) -> Mapping[str, str]:
        """The tasks that carry these change keys, completed and deleted ones too."""
        return self._records.own_tasks(keys, records)

    def task_states(self, ids: Sequence[str]) -> Mapping[str, TaskState]:
        """Deleted tasks too, as long as they lie in the recycle bin."""
        return task_states(self._records, self._schema, self._session.connection.task_table, ids)

    def calls(self) -> Calls:
        """The calls of the session, which the writer shares, and the org's pool of a day."""
        return self._session.meter.calls()

    def close(self) -> None:
        """Give connections back."""
        self._session.close()
