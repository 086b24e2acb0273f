"""Reads a portal: its definitions, and its records as typed frames."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import chain, islice

import polars as pl

from stagesync.connectors.hubspot.answers import (
    Account,
    AskedRow,
    OwnerAnswer,
    OwnerPage,
    Pipelines,
    TokenInfo,
)
from stagesync.connectors.hubspot.definitions import Definitions, Known, asked, object_of
from stagesync.connectors.hubspot.faults import Refusal, ScopeMissing, refusals_told
from stagesync.connectors.hubspot.frames import ID, history_frame, link_frame, record_frame
from stagesync.connectors.hubspot.increments import HubSpotIncrements
from stagesync.connectors.hubspot.records import (
    is_listable,
    list_records,
    pieces,
    read_associations,
    read_followed,
    read_records,
)
from stagesync.connectors.hubspot.stages import PIPELINE_FIELDS, option_stages, pipeline_stages
from stagesync.connectors.hubspot.task_states import task_states
from stagesync.connectors.hubspot.tasks import find_by_key, find_by_marker, has_unique_key
from stagesync.connectors.hubspot.transport import ReadTransport, Request
from stagesync.errors import ConnectionFailed, CredentialsRefused
from stagesync.model.crm import Calls, Identity, NativeStage, Owner
from stagesync.model.frames import Page
from stagesync.model.tables import Missing, Table
from stagesync.model.tasks import TaskState

PAGE = 100
WITH_TASKS = ("contacts", "companies", "deals", "leads")
"""The objects with stages whose records people have tasks about."""
VALUES_GATHERED = 100_000
"""So many values become columns at once, as far as between 5 and 50 pages have them: each column has its price."""


class HubSpotReader:
    """A :class:`~stagesync.connectors.base.Reader` of one portal.

    Property definitions and what searches found are remembered until :meth:`missing` is called again.
    """

    crm: str = "hubspot"

    def __init__(self, transport: ReadTransport) -> None:
        """Read through ``transport``."""
        self._transport = transport
        self._definitions = Definitions(transport)
        self.increments = HubSpotIncrements(transport, self._definitions)

    def identity(self) -> Identity:
        """The portal that the token belongs to."""
        try:
            account = self._transport.ask(Account, Request(path=self._transport.paths.account))
        except (Refusal, ScopeMissing):
            account = self._account_of_token()
        self._transport.set_time_zone(account.time_zone)
        return Identity(
            crm=self.crm,
            key=str(account.portal_id),
            name=f"HubSpot portal {account.portal_id}",
            url=f"https://{account.ui_domain}/contacts/{account.portal_id}",
        )

    def _account_of_token(self) -> Account:
        body = {"tokenKey": self._transport.access_token()}
        try:
            info = self._transport.ask(TokenInfo, Request(path=self._transport.paths.token_info, body=body))
        except Refusal as refusal:
            raise ConnectionFailed(
                f"{self._transport.place}: HubSpot does not say which portal the access token belongs to: {refusal}"
            ) from refusal
        return Account(portal_id=info.hub_id)

    def scopes(self) -> frozenset[str] | None:
        """What the token may do; None where HubSpot does not say. An app is told when it gets its token; who asks
        afterwards gets an answer for private apps alone."""
        body = {"tokenKey": self._transport.access_token()}
        if granted := self._transport.granted_scopes():
            return granted
        try:
            info = self._transport.ask(TokenInfo, Request(path=self._transport.paths.token_info, body=body))
        except (Refusal, CredentialsRefused):
            return None
        return frozenset(info.scopes) or None

    def stages(self, object_name: str, stage_field: str) -> Sequence[NativeStage]:
        """Stages of all pipelines, or the options of ``stage_field`` where it does not hold one of those."""
        if stage_field not in PIPELINE_FIELDS:
            definition = self.properties(object_name).get(stage_field)
            return option_stages(definition) if definition else ()
        request = Request(path=self._transport.paths.pipelines, names={"object": object_name})
        with refusals_told(self._transport.place, f"read the pipelines of {object_name}"):
            try:
                return pipeline_stages(self._transport.ask(Pipelines, request).results)
            except Refusal as refusal:
                if refusal.rejection.wordless:  # something on the way, which is no proof that there are none
                    raise
                return ()

    def owners(self) -> Sequence[Owner]:
        """Active owners, then deactivated ones, which HubSpot lists only when asked for ``archived``."""
        found: dict[str, Owner] = {}
        with refusals_told(self._transport.place, "list the owners"):
            for active in (True, False):
                for answer in self._owner_answers(archived=not active):
                    found.setdefault(str(answer.id), _owner(answer, active=active))
        return tuple(found.values())

    def _owner_answers(self, *, archived: bool) -> Iterator[OwnerAnswer]:
        query: dict[str, str | int] = {"limit": PAGE, "archived": "true" if archived else "false"}
        came: set[str] = set()
        while True:
            page = self._transport.ask(OwnerPage, Request(path=self._transport.paths.owners, query=query))
            yield from page.results
            if page.paging is None or page.paging.next is None or str(page.paging.next.after) in came:
                return
            query["after"] = str(page.paging.next.after)
            came.add(str(page.paging.next.after))

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """Absent properties; all columns of an object that may not be read, and both ends of links to it."""
        self.increments.forget()
        return self._definitions.missing(tables)

    def properties(self, object_name: str) -> Known:
        """The definitions of an object's properties by name; none when it cannot be read."""
        return self._definitions.properties(object_name)

    def labels(self, table: Table) -> Mapping[str, str]:
        """Those of the properties; the past values of one have none."""
        known = {} if table.history_of is not None else self.properties(table.name)
        return {name: known[name].label for name in table.columns if name in known and known[name].label}

    def pull(self, table: Table) -> Generator[Page, None, None]:
        """All records, 500 to 5,000 to a page, each page followed by the associations of its records.

        A table without records gives one empty page, so that its columns are known. An object that may not
        be read gives none: :meth:`missing` says why.
        """
        known = self._definitions.known(object_of(table))
        if isinstance(known, str):
            return
        with refusals_told(self._transport.place, f"list {table.name}"):
            yield from self._pull(table, known)

    def _pull(self, table: Table, known: Known) -> Iterator[Page]:
        if table.history_of is not None:
            yield from self._pull_history(table, known)
            return
        table = self._definitions.present(table)
        pages = self._rows(table)
        for first in pages:
            rows = record_frame(table, chain([first], islice(pages, _at_once(table) - 1)))
            yield Page(table=table.name, rows=rows)
            ids = rows[table.key].to_list() if table.links else []
            for link in table.links:
                pairs = read_associations(self._transport, table.name, link, ids)
                yield Page(table=f"{table.name}~{link}", rows=link_frame(pairs))

    def _pull_history(self, table: Table, known: Known) -> Iterator[Page]:
        if table.history_of not in known:
            return
        pages = list_records(self._transport, object_of(table), [ID], [table.history_of])
        for some in pieces(pages, _at_once(table)):
            yield Page(table=table.name, rows=history_frame(table, [row for rows in some for row in rows]))

    def _rows(self, table: Table) -> Iterator[list[AskedRow]]:
        """Pages of a list; with too many properties for a URL, of ids that are then read by POST."""
        names = asked(table)
        if is_listable(names):
            yield from list_records(self._transport, table.name, names)
            return
        for rows in list_records(self._transport, table.name, [ID]):
            yield read_records(self._transport, table.name, [str(row.id) for row in rows], names)

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as they are now, in no particular order; absent ones are gone or hidden."""
        table = self._definitions.present(table)
        with refusals_told(self._transport.place, f"read {table.name}"):
            return record_frame(table, [read_records(self._transport, object_of(table), ids, asked(table))])

    def merged_into(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        """A call for each 100 records."""
        with refusals_told(self._transport.place, f"read {table.name}"):
            rows = read_followed(self._transport, object_of(table), ids, [ID])
        return {record: str(row.id) for record, row in rows.items() if str(row.id) != record}

    def own_tasks(self, keys: Sequence[str], records: Sequence[str] = ()) -> Mapping[str, str]:
        """Keys that have a task, open or completed, to its id; tasks that were deleted are not found.

        Ids say nothing of the object, so that without a property for the key they are looked up in each that has tasks.
        """
        if not keys:
            return {}
        with refusals_told(self._transport.place, "look for StageSync's tasks"):
            if has_unique_key(self._transport):
                return find_by_key(self._transport, keys)
            readable = (
                [name for name in WITH_TASKS if not isinstance(self._definitions.known(name), str)] if records else []
            )
            return find_by_marker(self._transport, keys, dict.fromkeys(readable, records))

    def task_states(self, ids: Sequence[str]) -> Mapping[str, TaskState]:
        """Deleted tasks too, as long as the portal keeps them."""
        with refusals_told(self._transport.place, "read StageSync's tasks"):
            return task_states(self._transport, ids)

    def calls(self) -> Calls:
        """The calls of the session, which the writer shares, and the portal's pool of a day."""
        return self._transport.calls()

    def close(self) -> None:
        """Give connections back."""
        self._transport.close()


def _owner(answer: OwnerAnswer, *, active: bool) -> Owner:
    name = " ".join(part for part in (answer.first_name, answer.last_name) if part)
    return Owner(
        id=str(answer.id),
        name=name or answer.email or str(answer.id),
        email=answer.email,
        active=active,
        queue=answer.type == "QUEUE",
        author=None if answer.user_id_including_inactive is None else f"userId:{answer.user_id_including_inactive}",
    )


def _at_once(table: Table) -> int:
    """How many pages of a table are gathered."""
    return min(max(VALUES_GATHERED // PAGE // (len(table.columns) + 1), 5), 50)
