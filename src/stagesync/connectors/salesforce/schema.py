"""What this user can see of the org: objects and fields by describe, and where a wanted column is found in them.

A field that field-level security hides makes a whole query fail with INVALID_FIELD, so nothing is selected that
describe does not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stagesync.connectors.salesforce.describes import described, described_together
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.sobjects import SObject
from stagesync.connectors.salesforce.soql import is_id
from stagesync.model.tables import ColumnType, Table

# What SOQL answers through a relationship with several targets (Owner, Who, What): the fields of the Name object.
# developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta, sforce_api_calls_soql_relationships_and_polymorph_keys.htm
NAME_FIELDS = {
    name.lower(): (name, kind)
    for name, kind in {
        "Id": "id",
        "Name": "string",
        "Type": "picklist",
        "FirstName": "string",
        "LastName": "string",
        "Username": "string",
        "Email": "email",
        "Phone": "phone",
        "Title": "string",
        "Alias": "string",
        "IsActive": "boolean",
    }.items()
}
# Standard fields that follow the calendar or the user who looks, whatever describe says of them.
DRIFTING = frozenset({"HasOpenActivity", "HasOverdueTask", "LastReferencedDate", "LastViewedDate"})
LISTS = ("User", "Group", "OpportunityStage", "LeadStatus")
"""Objects that every run asks for their rows."""
NUMERIC = frozenset({"int", "double", "currency", "percent", "long"})
COMPOUND = frozenset({"address", "location"})


@dataclass(frozen=True, kw_only=True)
class Column:
    """A wanted column and where it is found: ``path`` in the org's own spelling, ``kind`` the type in describe."""

    name: str
    type: ColumnType
    path: tuple[str, ...]
    kind: str
    label: str = ""
    """What people see: ``Next Step``, and for a field of a parent ``Account: Employees``."""
    drifts: bool = False
    """Whether the value changes without a write to its record: a formula, or what depends on the day or the user."""

    @property
    def native(self) -> bool:
        """Whether the wire type is the wanted one, so that no value needs to be turned into another type."""
        if self.kind in COMPOUND:
            return False
        if self.type in {ColumnType.INTEGER, ColumnType.NUMBER}:
            return self.kind in NUMERIC
        return (self.type is ColumnType.BOOLEAN) == (self.kind == "boolean") and self.kind not in NUMERIC


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The columns of a table that can be read, the key first, and the reasons for the others."""

    table: Table
    columns: tuple[Column, ...]
    missing: Mapping[str, str]


class Schema:
    """Describes objects once; ``forget`` before a run that must see the org as it is now."""

    def __init__(self, session: OrgSession) -> None:
        self._session = session
        self._known: dict[str, SObject | None] = {}

    def forget(self) -> None:
        """Describe everything anew."""
        self._known.clear()

    def describe(self, name: str) -> SObject | None:
        """An object as this user sees it; None when it is not there for this user."""
        if name not in self._known:
            self._known[name] = described(self._session, name) if _is_name(name) else None
        return self._known[name]

    def expect(self, tables: Sequence[Table]) -> None:
        """Describe what these tables, their parents and the lists of every run need, together: mostly in one call."""
        self._together([*self._session.described.seen, *LISTS, *(table.name for table in tables)])
        self._together(parent for table in tables for parent in self._parents(table))

    def renewed(self, name: str) -> SObject | None:
        """An object as it is described now, whatever was seen before."""
        self._known.pop(name, None)
        return self.describe(name)

    def is_id_of(self, name: str, record_id: str) -> bool:
        """Whether a text is the id of a record of this object: by its shape, and by its first three characters."""
        sobject = self.describe(name) if is_id(record_id) else None
        prefix = sobject.keyPrefix if sobject else None
        return is_id(record_id) and (prefix is None or record_id.startswith(prefix))

    def resolve(self, table: Table) -> Resolved:
        """Where each column of a table is found, or why it cannot be read."""
        root = self.describe(table.name)
        if root is None or not root.queryable:
            reason = f"the object {table.name} does not exist, or this user may not see it"
            return Resolved(table=table, columns=(), missing=dict.fromkeys(table.columns, reason))
        key = Column(name=table.key, type=ColumnType.TEXT, path=("Id",), kind="id")
        found, missing = [key], {}
        for name, kind in table.columns.items():
            if name == table.key:
                continue
            column = self._find(root, name, kind)
            if isinstance(column, Column):
                found.append(column)
            else:
                missing[name] = column
        return Resolved(table=table, columns=tuple(found), missing=missing)

    def _together(self, names: Iterable[str]) -> None:
        unknown = [name for name in dict.fromkeys(names) if name not in self._known and _is_name(name)]
        if unknown:
            self._known |= described_together(self._session, unknown)

    def _parents(self, table: Table) -> Iterator[str]:
        """The objects that the first steps of a table's columns lead to."""
        root = self.describe(table.name)
        for step in dict.fromkeys(name.partition(".")[0] for name in table.columns if "." in name):
            link = root.relationship(step) if root else None
            if link is not None and len(link.referenceTo) == 1:
                yield link.referenceTo[0]

    def _find(self, root: SObject, name: str, kind: ColumnType) -> Column | str:
        """The column at a dotted path, or the reason why it is missing."""
        *parents, leaf = name.split(".")
        here, path = root, []
        for position, parent in enumerate(parents):
            link = here.relationship(parent)
            if link is None or link.relationshipName is None:
                return f"{here.name} has no parent {parent}, or this user may not see it"
            path.append(link.relationshipName)
            if len(link.referenceTo) != 1:
                named = NAME_FIELDS.get(leaf.lower()) if position == len(parents) - 1 else None
                if named is None:
                    return f"{parent} may be one of {', '.join(link.referenceTo)}; {leaf} cannot be read through it"
                return Column(name=name, type=kind, path=(*path, named[0]), kind=named[1])
            target = self.describe(link.referenceTo[0])
            if target is None:
                return f"the object {link.referenceTo[0]} does not exist, or this user may not see it"
            here = target
        field = here.field(leaf)
        if field is None:
            return f"{here.name} has no field {leaf}, or this user may not read it"
        drifts = field.calculated or field.name in DRIFTING
        label = f"{here.label or here.name}: {field.label}" if path and field.label else field.label
        return Column(name=name, type=kind, path=(*path, field.name), kind=field.type, label=label, drifts=drifts)


def _is_name(name: str) -> bool:
    return name.replace("_", "").isalnum()
