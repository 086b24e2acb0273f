"""Reads an org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import polars as pl
import structlog

from stagesync.connectors.salesforce.decode import Decoded, decode_page
from stagesync.connectors.salesforce.failures import EXPIRED_LOCATOR, Refusal
from stagesync.connectors.salesforce.metadata import native_stages, org_owners, organization
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Column, Resolved, Schema
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.soql import quoted, select
from stagesync.model.crm import Calls, Identity, NativeStage, Owner
from stagesync.model.frames import Page
from stagesync.model.tables import Missing, Table

log = structlog.get_logger(__name__)

# A hint, 200 to 2,000: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_queryoptions.htm
PAGE_ROWS = {"Sforce-Query-Options": "batchSize=2000"}


class SalesforceReader:
    """The :class:`~stagesync.connectors.base.Reader` of one org. It holds nothing that can write."""

    crm = "salesforce"

    def __init__(self, session: OrgSession, schema: Schema, records: Records) -> None:
        self._session = session
        self._schema = schema
        self._records = records

    def identity(self) -> Identity:
        """The organisation's id and name."""
        return organization(self._records, self._session.instance)

    def stages(self, object_name: str, stage_field: str) -> Sequence[NativeStage]:
        """The values of a stage field with what the org says about each, in its order."""
        return native_stages(self._records, self._schema, object_name, stage_field)

    def owners(self) -> Sequence[Owner]:
        """All users, inactive ones too, and all queues."""
        return org_owners(self._records, self._schema)

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """What describe does not show, asked anew at each call."""
        self._schema.forget()
        resolved = [self._schema.resolve(table) for table in tables]
        return [Missing(table=one.table.name, columns=one.missing) for one in resolved if one.missing]

    def pull(self, table: Table) -> Iterator[Page]:
        """All rows by ascending id, page by page; an empty table gives one empty page, an unreadable one none.

        A query locator may expire between two pages (15 minutes or 2 days, the documentation says both). The pull
        then goes on after the last id that was handed out: no row is lost or comes twice.
        """
        resolved = self._schema.resolve(table)
        if not resolved.columns:
            return
        last: str | None = None
        page = self._first_page(resolved, last)
        while True:
            if page.rows.height or last is None:
                yield Page(table=table.name, rows=page.rows)
            if page.rows.height:
                last = page.rows.get_column(table.key)[-1]
            if page.next_path is None:
                return
            try:
                page = self._page(Call(method="GET", path=page.next_path, reads=True), resolved.columns)
            except Refusal as error:
                if error.error.code != EXPIRED_LOCATOR:
                    raise
                log.info("salesforce.locator.expired", connection=self._session.connection.connection, table=table.name)
                page = self._first_page(resolved, last)

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as they are now, without the fields of their parents."""
        return self._records.current(table, ids)

    def own_tasks(self, keys: Sequence[str], records: Sequence[str] = ()) -> Mapping[str, str]:
        """The tasks that carry these change keys, completed and deleted ones too."""
        return self._records.own_tasks(keys, records)

    def calls(self) -> Calls:
        """The calls of the session, which the writer shares, and the org's pool of a day."""
        return self._session.meter.calls()

    def close(self) -> None:
        """Give connections back."""
        self._session.close()

    def _first_page(self, resolved: Resolved, after: str | None) -> Decoded:
        fields = list(dict.fromkeys(".".join(column.path) for column in resolved.columns))
        where = f"Id > {quoted(after)}" if after else ""
        soql = select(fields, resolved.table.name, where, "Id")
        call = Call(method="GET", path="query/", reads=True, params={"q": soql}, headers=PAGE_ROWS)
        return self._page(call, resolved.columns)

    def _page(self, call: Call, columns: Sequence[Column]) -> Decoded:
        page = self._session.call(call, partial(decode_page, columns=columns))
        if not page.fast and page.rows.height:
            log.debug("salesforce.page.exact", connection=self._session.connection.connection, rows=page.rows.height)
        return page
