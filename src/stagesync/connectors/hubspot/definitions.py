"""What a portal has of the tables that are wanted: properties, and objects that may be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from stagesync.connectors.hubspot.answers import PropertyAnswer, RowPage
from stagesync.connectors.hubspot.faults import Refusal, ScopeMissing
from stagesync.connectors.hubspot.frames import ID
from stagesync.connectors.hubspot.records import read_properties
from stagesync.connectors.hubspot.transport import ReadTransport, Request
from stagesync.errors import ConnectionFailed
from stagesync.model.tables import Missing, Table

Known = dict[str, PropertyAnswer]


class Definitions:
    """Properties by object, read once and read again by :meth:`missing`.

    HubSpot leaves out a property that does not exist without a word, so that none is asked for before it is found here.
    """

    def __init__(self, transport: ReadTransport) -> None:
        self._transport = transport
        self._definitions: dict[str, Known | str] = {}
        self._refusals: dict[str, str | None] = {}

    def known(self, object_name: str) -> Known | str:
        """Definitions by name, or why there are none."""
        if object_name not in self._definitions:
            try:
                self._definitions[object_name] = read_properties(self._transport, object_name)
            except ScopeMissing as error:
                self._definitions[object_name] = error.reason
            except Refusal as refusal:
                self._definitions[object_name] = self._no_object(object_name, refusal)
        return self._definitions[object_name]

    def properties(self, object_name: str) -> Known:
        """The definitions of an object's properties by name; none when it cannot be read."""
        known = self.known(object_name)
        return {} if isinstance(known, str) else known

    def present(self, table: Table) -> Table:
        """``table`` with the columns that the portal has, and the links whose other end may be read."""
        known = self.properties(object_of(table))
        columns = {name: kind for name, kind in table.columns.items() if name in known}
        links = tuple(link for link in table.links if self._refusals.get(link) is None)
        return structs.replace(table, columns=columns, links=links)

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """Absent properties; all columns of an object that may not be read, and both ends of links to it."""
        self._definitions.clear()
        self._refusals = {}
        found: list[Missing] = []
        for table in tables:
            for name in (object_of(table), *table.links):
                if name not in self._refusals:
                    self._refusals[name] = self._unreadable(name)
            own = self._refusals[object_of(table)]
            columns = self._missing_columns(table, own)
            if columns:
                found.append(Missing(table=table.name, columns=columns))
            for link in table.links:
                reason = own or self._refusals[link]
                if reason:
                    found.append(Missing(table=f"{table.name}~{link}", columns={"from": reason, "to": reason}))
        return tuple(found)

    def _missing_columns(self, table: Table, reason: str | None) -> Mapping[str, str]:
        known = self._definitions.get(object_of(table))
        everything = dict.fromkeys((table.key, *table.columns))
        if reason or not isinstance(known, dict):
            return dict.fromkeys(everything, reason or str(known))
        if table.history_of is None:
            return {name: _absent(name, table) for name in table.columns if name not in known and name != table.key}
        if table.history_of not in known:
            return dict.fromkeys(everything, _absent(table.history_of, table))
        return {}

    def _unreadable(self, object_name: str) -> str | None:
        """Why records of an object cannot be read; None when they can. Definitions have a scope of their own."""
        known = self.known(object_name)
        if isinstance(known, str):
            return known
        request = Request(
            path=self._transport.paths.list, names={"object": object_name}, query={"limit": 1, "properties": ID}
        )
        try:
            self._transport.ask(RowPage, request)
        except ScopeMissing as error:
            return error.reason
        except Refusal as refusal:
            return self._no_object(object_name, refusal)
        return None

    def _no_object(self, object_name: str, refusal: Refusal) -> str:
        """Why there is no such object. A page of something on the way is no proof of it."""
        if refusal.rejection.wordless:
            raise ConnectionFailed(
                f"{self._transport.place}: something answered for {object_name} in HubSpot's place: {refusal}; try "
                f"again, and look at proxies on the way"
            ) from refusal
        return f"this portal has no {object_name} that can be read: {refusal}"


def object_of(table: Table) -> str:
    """The object whose records or past values a table holds."""
    return table.name.partition(".")[0] if table.history_of is not None else table.name


def asked(table: Table) -> list[str]:
    """The properties to ask for; asking for none would bring HubSpot's default ones."""
    return list(dict.fromkeys((ID, *table.columns)))


def _absent(name: str, table: Table) -> str:
    return f"this portal has no property {name} on {object_of(table)}"
