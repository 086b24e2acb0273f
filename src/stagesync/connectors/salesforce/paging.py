"""Long results page by page. A query locator is trusted within one result and never after it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl
import structlog

from stagesync.connectors.salesforce.decode import Decoded, decode_page
from stagesync.connectors.salesforce.failures import EXPIRED_LOCATOR, Refusal
from stagesync.connectors.salesforce.schema import Column
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.errors import ConnectionFailed

log = structlog.get_logger(__name__)

# A hint, 200 to 2,000: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_queryoptions.htm
PAGE_ROWS = {"Sforce-Query-Options": "batchSize=2000"}


@dataclass(frozen=True, kw_only=True)
class Walk:
    """An ordered query. ``soql(last, came)`` is what comes after the last row (None: all) when so many rows came.

    ``deleted`` also brings deleted and archived rows.
    """

    table: str
    columns: Sequence[Column]
    soql: Callable[[dict[str, Any] | None, int], str]
    deleted: bool = False


def fields(columns: Sequence[Column]) -> list[str]:
    """What to select, each field once."""
    return list(dict.fromkeys(".".join(column.path) for column in columns))


def opened(session: OrgSession, way: Walk) -> tuple[int, Iterator[pl.DataFrame]]:
    """How many rows a query has, by its first page, and all of its pages as :func:`walk` gives them."""
    first = _page(session, way, None, None, 0)
    return first.total, _pages(session, way, first)


def walk(session: OrgSession, way: Walk) -> Iterator[pl.DataFrame]:
    """The pages of a query, typed as its columns say; at least one, which may be empty.

    A locator may expire between two pages (15 minutes or 2 days, the documentation says both). The query is then
    asked anew from the last row that was handed out: no row is lost.
    """
    yield from opened(session, way)[1]


def _pages(session: OrgSession, way: Walk, page: Decoded) -> Iterator[pl.DataFrame]:
    last: dict[str, Any] | None = None
    came = 0
    asked: set[str] = set()
    while True:
        if page.rows.height or last is None:
            yield page.rows
        if page.rows.height:
            last, came = page.rows.row(-1, named=True), came + page.rows.height
        if page.next_path is None:
            return
        if page.next_path in asked:
            where = f"Salesforce at {session.instance}{page.next_path}"
            raise ConnectionFailed(f"{where}: the pages of {way.table} run in a circle; try again later")
        asked.add(page.next_path)
        try:
            page = _page(session, way, page.next_path, last, came)
        except Refusal as error:
            if error.error.code != EXPIRED_LOCATOR:
                raise
            log.info("salesforce.locator.expired", connection=session.connection.connection, table=way.table)
            page = _page(session, way, None, last, came)


def _page(session: OrgSession, way: Walk, path: str | None, last: dict[str, Any] | None, came: int) -> Decoded:
    if path is not None:
        call = Call(method="GET", path=path, reads=True)
    else:
        params = {"q": way.soql(last, came)}
        resource = "queryAll/" if way.deleted else "query/"
        call = Call(method="GET", path=resource, reads=True, params=params, headers=PAGE_ROWS)
    page = session.call(call, partial(decode_page, columns=way.columns))
    if not page.fast and page.rows.height:
        log.debug("salesforce.page.exact", connection=session.connection.connection, rows=page.rows.height)
    return page
