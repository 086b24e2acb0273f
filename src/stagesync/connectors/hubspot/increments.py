"""What changed in a portal since the last look, by the date that HubSpot moves with each write.

A search says which records changed, and reading them by id says how they are now: the index that searches look into
lags behind the records by seconds, sometimes by more. So each look begins well below the end of the last one. A search
never says what is deleted; and new associations, restored records and what was hidden or shown move no date. That is
found by ``portion``, a little at a time.

Merging makes one record of two. It is found as a changed record, and names those that it was made of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice

import polars as pl
import structlog

from stagesync.connectors.base import ChangedRows, Changes
from stagesync.connectors.hubspot.answers import AskedRow, PropertyAnswer
from stagesync.connectors.hubspot.definitions import Definitions, asked, object_of
from stagesync.connectors.hubspot.faults import OutcomeUnknown, Refusal, refusals_told
from stagesync.connectors.hubspot.frames import ID, history_frame, link_frame, record_frame
from stagesync.connectors.hubspot.records import (
    MERGED,
    former_ids,
    is_listable,
    list_records,
    pieces,
    read_associations,
    read_records,
    search_ids,
)
from stagesync.connectors.hubspot.transport import ReadTransport
from stagesync.model.tables import Table

log = structlog.get_logger(__name__)

LAG = timedelta(minutes=1)
"""How far the clocks of HubSpot's servers may differ."""
OVERLAP = timedelta(minutes=10)
"""How long a write is taken to be on its way into the index."""
READ_AT_ONCE = 2_000
MODIFIED = {"contacts": "lastmodifieddate", "0-1": "lastmodifieddate"}
"""The date that HubSpot moves with each write; ``hs_lastmodifieddate`` of all other objects."""

ACTIVITIES = frozenset({"calls", "communications", "emails", "meetings", "notes", "tasks"})

_DRIFTING = ("hs_v2_time_in_", "hs_v2_cumulative_time_in_", "hs_v2_latest_time_in_", "hs_time_in_", "num_associated_")
_DRIFTING_TOO = frozenset({"associatedcompanyid", "hs_primary_associated_company", "hs_primary_contact_id"})


class OtherOrder(Exception):
    """A list that does not go on from an id by ascending ids."""


@dataclass(kw_only=True)
class Found:
    """The ids that a search for changes since a moment found; ``whole`` once all pages came."""

    since: datetime
    cursor: str
    ids: list[str] = field(default_factory=list)
    whole: bool = False


class HubSpotIncrements:
    """The :class:`~stagesync.connectors.base.Increments` of one portal, with its associations."""

    def __init__(self, transport: ReadTransport, definitions: Definitions) -> None:
        self._transport = transport
        self._definitions = definitions
        self._found: dict[str, Found] = {}
        self._included: Mapping[str, Collection[str]] = {}

    def include(self, records: Mapping[str, Collection[str]]) -> None:
        """Read by id with what the index tells, which may not know of a write yet."""
        self._included = records

    def forget(self) -> None:
        """Search anew, where records and their past values otherwise share one search."""
        self._found.clear()

    def cursor(self, table: Table) -> str | None:
        """The portal's clock, a little back; None for a table whose rows change without a date that says so."""
        now = self._transport.server_time
        return _text(now - LAG) if now and self._is_dated(table) else None

    def changes(self, table: Table, cursor: str) -> Changes | None:
        """The records whose date is at or above the cursor, less the overlap.

        None when the cursor lies ahead, or the object cannot be searched.
        """
        now, since = self._transport.server_time, datetime.fromisoformat(cursor)
        if now is None or since > now or not self._is_dated(table):
            return None
        found = self._found.get(object_of(table))
        if found is None or not found.whole or found.since > since:
            found = Found(since=since, cursor=_text(now - LAG))
            self._found[object_of(table)] = found
        ids = self._ids(table, found)
        try:
            first = list(islice(ids, 1))
        except Refusal as refusal:
            log.warning("hubspot.changes.refused", table=table.name, status=refusal.status)
            return None
        return Changes(pages=self._changed(table, chain(first, ids)), cursor=found.cursor)

    def portion(self, table: Table, after: str, rows: int) -> Iterator[ChangedRows]:
        """Records by ascending id: by the list, and by searches where the list does not go on from an id."""
        with refusals_told(self._transport.place, f"read {table.name}"):
            try:
                for listed in pieces(islice(self._listed(table, after), rows), READ_AT_ONCE):
                    yield self._told(table, listed)
                    after, rows = str(listed[-1].id), rows - len(listed)
            except (Refusal, OtherOrder, OutcomeUnknown) as reason:
                log.info("hubspot.portion.searched", table=table.name, reason=str(reason))
                pages = search_ids(self._transport, object_of(table), (), after)
                for ids in pieces(islice(chain.from_iterable(pages), rows), READ_AT_ONCE):
                    yield self._read(table, ids, found_only=ids)

    def _listed(self, table: Table, after: str) -> Iterator[AskedRow]:
        """The records above an id, as the list has them. Its marks are said to be opaque; they are ids, of a page's
        last record or of the next one, and where they are not, what comes shows it."""
        names, history = self._wanted(table)
        if not is_listable(names, history):
            raise OtherOrder("more properties than a list may be asked for")
        begin = last = int(after or 0)
        shown = not begin
        for page in list_records(self._transport, object_of(table), names, history, mark=after):
            for row in page:
                number = int(row.id)
                if number <= last and number != begin:
                    raise OtherOrder(f"{number} comes after {last}")
                shown = True
                if number != begin:
                    last = number
                    yield row
        if not shown and begin not in self._above(table, begin - 1):
            raise OtherOrder(f"nothing comes after {begin}")

    def _above(self, table: Table, mark: int) -> set[int]:
        """The ids of a page from a mark on: where nothing comes after a record, they tell the end from no answer."""
        return {int(row.id) for row in next(list_records(self._transport, object_of(table), [ID], mark=str(mark)))}

    def present(self, table: Table, ids: Sequence[str]) -> set[str]:
        """Asked by id; a merged record is not there under its old one."""
        with refusals_told(self._transport.place, f"read {table.name}"):
            found = read_records(self._transport, object_of(table), ids, [ID])
        return {str(row.id) for row in found} & set(ids)

    def undated(self, table: Table) -> Sequence[str]:
        """All but those of activities: these count in properties of the record that they are about."""
        return () if table.history_of is not None or table.name in ACTIVITIES else table.links

    def links_from(self, table: Table, link: str, ids: Sequence[str]) -> pl.DataFrame:
        """A call for each 1,000 records."""
        return self._links(table.name, link, ids)

    def links_to(self, table: Table, link: str, ids: Sequence[str]) -> pl.DataFrame:
        """A call for each 1,000 records."""
        return self._links(link, table.name, ids).select(pl.col("to").alias("from"), pl.col("from").alias("to"))

    def _links(self, source: str, target: str, ids: Sequence[str]) -> pl.DataFrame:
        with refusals_told(self._transport.place, f"read associations of {source} with {target}"):
            return link_frame(read_associations(self._transport, source, target, ids))

    def _is_dated(self, table: Table) -> bool:
        known = self._definitions.properties(object_of(table))
        columns = [known[name] for name in table.columns if name in known] if table.history_of is None else []
        return modified(object_of(table)) in known and not any(_drifts(column) for column in columns)

    def _ids(self, table: Table, found: Found) -> Iterator[str]:
        if found.whole:
            yield from found.ids
            return
        since = int((found.since - OVERLAP).timestamp() * 1000)
        new = {"propertyName": modified(object_of(table)), "operator": "GTE", "value": str(since)}
        for page in search_ids(self._transport, object_of(table), [new]):
            found.ids += page
            yield from page
        unseen = sorted(set(self._included.get(object_of(table), ())) - set(found.ids))
        found.ids += unseen
        yield from unseen
        found.whole = True

    def _changed(self, table: Table, ids: Iterator[str]) -> Iterator[ChangedRows]:
        with refusals_told(self._transport.place, f"read {table.name}"):
            for piece in pieces(ids, READ_AT_ONCE):
                yield self._read(table, piece)

    def _read(self, table: Table, ids: Sequence[str], found_only: Sequence[str] | None = None) -> ChangedRows:
        """Records as they are now. With ``found_only`` what they were merged into is left for its own turn."""
        names, history = self._wanted(table)
        rows = read_records(self._transport, object_of(table), ids, names, history=history)
        if found_only is not None:
            rows = [row for row in rows if str(row.id) in set(found_only)]
        return self._told(table, rows, ids, found_only)

    def _wanted(self, table: Table) -> tuple[list[str], list[str]]:
        """The properties to ask for, and those whose past values are wanted."""
        table = self._definitions.present(table)
        merged = [one for one in MERGED if one in self._definitions.properties(object_of(table))]
        if table.history_of is None:
            return [*asked(table), *merged], []
        return [ID, *merged], [table.history_of]

    def _told(
        self,
        table: Table,
        rows: Sequence[AskedRow],
        ids: Sequence[str] = (),
        of: Sequence[str] | None = None,
    ) -> ChangedRows:
        """Rows that came, and which of the ``ids`` that were asked for are gone."""
        table = self._definitions.present(table)
        there = [str(row.id) for row in rows]
        frame = record_frame(table, [rows]) if table.history_of is None else history_frame(table, rows)
        return ChangedRows(
            rows=frame,
            gone=sorted({*ids, *(old for row in rows for old in former_ids(row))} - set(there)),
            links={link: self.links_from(table, link, there) for link in table.links},
            of=there if of is None else list(of),
        )


def modified(object_name: str) -> str:
    """The property with the date of the last write to a record of an object."""
    return MODIFIED.get(object_name, "hs_lastmodifieddate")


def _drifts(known: PropertyAnswer) -> bool:
    """Whether a value changes without a write to its record: with time, or with what the record is associated with.

    Calculations of HubSpot itself follow the record's own values, but for the ones named here; what a portal calculates
    for itself may follow anything.
    """
    if known.name.startswith(_DRIFTING) or known.name in _DRIFTING_TOO:
        return True
    return known.calculated and not known.hubspot_defined


def _text(moment: datetime) -> str:
    return moment.isoformat()
