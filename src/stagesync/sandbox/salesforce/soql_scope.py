"""Names of a query resolved against the schema: fields, parents, functions, as SQL expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from zoneinfo import ZoneInfo

from stagesync.sandbox.salesforce import moments
from stagesync.sandbox.salesforce.errors import SoqlError
from stagesync.sandbox.salesforce.fields import Field, SObject
from stagesync.sandbox.salesforce.schema import SOBJECTS, find
from stagesync.sandbox.salesforce.soql_tree import Call, Operand, Path

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
DATE_PARTS = {
    "CALENDAR_YEAR": "CAST(substr({x}, 1, 4) AS INTEGER)",
    "CALENDAR_QUARTER": "(CAST(substr({x}, 6, 2) AS INTEGER) + 2) / 3",
    "CALENDAR_MONTH": "CAST(substr({x}, 6, 2) AS INTEGER)",
    "DAY_IN_MONTH": "CAST(substr({x}, 9, 2) AS INTEGER)",
    "HOUR_IN_DAY": "CAST(substr({x}, 12, 2) AS INTEGER)",
    "DAY_IN_WEEK": "CAST(strftime('%w', {x}) AS INTEGER) + 1",
    "DAY_ONLY": "substr({x}, 1, 10)",
}
NAMED = " Please reference your WSDL or the describe call for the appropriate names."
# What a lookup to several objects offers besides Type: the fields of Salesforce's Name object.
NAME_FIELDS = frozenset(
    {"id", "name", "firstname", "lastname", "email", "isactive", "username", "title", "phone", "alias"}
)


@dataclass(frozen=True)
class World:
    """What a query may see: the time, the user's time zone, and what is hidden from the user."""

    now: datetime
    zone: ZoneInfo
    hides_field: Callable[[SObject, Field], bool]
    hidden_objects: frozenset[str] = frozenset()
    hidden_records: frozenset[str] = frozenset()

    def shows(self, item: SObject, table: str, *, everything: bool = True) -> list[str]:
        """SQL conditions for the rows of a table alias that the user sees; all but the deleted and archived ones
        unless ``everything``."""
        found = []
        if self.hidden_records:
            hidden = ", ".join(f"'{record}'" for record in sorted(self.hidden_records) if record.isalnum())
            found.append(f'{table}."Id" NOT IN ({hidden})')
        if not everything:
            found += [f'{table}."{name}" = 0' for name in ("IsDeleted", "IsArchived") if item.field(name)]
        return found

    def expression(self, item: Field, table: str) -> str:
        """SQL for a field of a table alias."""
        if item.computed is None:
            return f'{table}."{item.name}"'
        stamp = moments.stored(self.now)
        return item.computed.format(t=table, now=f"'{stamp}'", today=f"'{stamp[:10]}'")


@dataclass(frozen=True)
class Resolved:
    """An operand as SQL. ``field`` carries the type that it compares and renders as.

    ``keys`` is its place in the JSON record.
    """

    sql: str
    field: Field
    keys: tuple[str, ...]
    aggregate: bool = False


def no_column(name: str, entity: str, position: int) -> SoqlError:
    """The refusal of an unknown or hidden field."""
    hint = " If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."
    return SoqlError("INVALID_FIELD", f"No such column '{name}' on entity '{entity}'.{hint}{NAMED}", position)


def no_object(name: str, position: int) -> SoqlError:
    """The refusal of an unknown or hidden object."""
    hint = " If you are attempting to use a custom object, be sure to append the '__c' after the entity name."
    return SoqlError("INVALID_TYPE", f"sObject type '{name}' is not supported.{hint}{NAMED}", position)


@dataclass
class Scope:
    """The FROM clause of one query: its object, its table alias, and the parents joined so far."""

    world: World
    sobject: SObject
    alias: str | None
    serial: Iterator[int] = field(default_factory=count)
    table: str = ""
    joins: list[str] = field(default_factory=list)
    _parents: dict[tuple[str, ...], tuple[str, SObject]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = self.table or f"t{next(self.serial)}"

    @property
    def from_sql(self) -> str:
        """``"Lead" AS t0`` and the joins of its parents."""
        return " ".join([f'"{self.sobject.name}" AS {self.table}', *self.joins])

    def resolve(self, what: Operand) -> Resolved:
        """A field or function of this query.

        Raises:
            SoqlError: INVALID_FIELD or MALFORMED_QUERY.
        """
        return self._path(what) if isinstance(what, Path) else self._call(what)

    def _call(self, call: Call) -> Resolved:
        if call.name in DATE_PARTS and call.path is not None:
            inner = self._path(call.path)
            kind = "date" if call.name == "DAY_ONLY" else "int"
            sql = f"({DATE_PARTS[call.name].format(x=inner.sql)})"
            return Resolved(sql, Field(inner.field.name, kind), (call.name,))
        if call.name not in AGGREGATES or (call.path is None and call.name != "COUNT"):
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{call.name}'", call.position)
        if call.path is None:
            return Resolved("COUNT(*)", Field("count", "int"), (), aggregate=True)
        inner = self._path(call.path)
        return self._aggregate(call, inner)

    def _aggregate(self, call: Call, inner: Resolved) -> Resolved:
        name, sql = inner.field.name, inner.sql
        numeric = inner.field.type in {"currency", "double", "percent", "int"}
        if (call.name in {"SUM", "AVG"} and not numeric) or inner.field.type == "boolean":
            message = f"field {name} does not support aggregate operator {call.name}"
            raise SoqlError("MALFORMED_QUERY", message, call.position)
        if call.name == "COUNT_DISTINCT":
            return Resolved(f"COUNT(DISTINCT {sql})", Field(name, "int"), (), aggregate=True)
        if call.name == "COUNT":
            return Resolved(f"COUNT({sql})", Field(name, "int"), (), aggregate=True)
        kind = "double" if call.name == "AVG" else inner.field.type
        return Resolved(f"{call.name}({sql})", replace(inner.field, type=kind), (), aggregate=True)

    def _path(self, path: Path) -> Resolved:
        parts = path.parts
        own = {self.sobject.name.lower(), (self.alias or "").lower()}
        if len(parts) > 1 and parts[0].lower() in own and parts[0].lower() not in self.sobject.by_relationship:
            parts = parts[1:]
        *parents, name = parts
        table, item = self.table, self.sobject
        keys: tuple[str, ...] = ()
        for depth, parent in enumerate(parents):
            link = item.by_relationship.get(parent.lower())
            if link is None or self.world.hides_field(item, link):
                raise self._no_relationship(parent, path.position)
            keys = (*keys, link.relationship or "")
            if link.polymorphic:
                if depth + 1 < len(parents):
                    raise self._no_relationship(parents[depth + 1], path.position)
                return self._of_any(table, link, name, keys, path.position)
            table, item = self._join(table, link, keys)
        found = item.field(name)
        if found is None or self.world.hides_field(item, found):
            raise no_column(name, item.name, path.position)
        return Resolved(self.world.expression(found, table), found, (*keys, found.name))

    def _no_relationship(self, name: str, position: int) -> SoqlError:
        hint = (
            f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
            "relationship, be sure to append the '__r' after the custom relationship name."
        )
        return SoqlError("INVALID_FIELD", hint + NAMED, position)

    def _join(self, table: str, link: Field, keys: tuple[str, ...]) -> tuple[str, SObject]:
        if keys not in self._parents:
            parent = SOBJECTS[link.reference_to[0]]
            alias = f"t{next(self.serial)}"
            on = [f'{alias}."Id" = {table}."{link.name}"', *self.world.shows(parent, alias)]
            self.joins.append(f'LEFT JOIN "{parent.name}" AS {alias} ON {" AND ".join(on)}')
            self._parents[keys] = (alias, parent)
        return self._parents[keys]

    def _of_any(self, table: str, link: Field, name: str, keys: tuple[str, ...], position: int) -> Resolved:
        """A field of a parent that may be of several objects, such as ``What.Type`` or ``Owner.Name``."""
        pointer = f'{table}."{link.name}"'
        targets = [SOBJECTS[target] for target in link.reference_to]
        if name.lower() == "type":
            cases = "".join(f" WHEN '{target.key_prefix}' THEN '{target.name}'" for target in targets)
            sql = f"(CASE substr({pointer}, 1, 3){cases} END)"
            return Resolved(sql, Field("Type", "picklist"), (*keys, "Type"))
        if name.lower() not in NAME_FIELDS:
            raise no_column(name, "Name", position)
        return self.of_targets(pointer, targets, name, keys, position)

    def of_targets(
        self, pointer: str, targets: list[SObject], name: str, keys: tuple[str, ...], position: int
    ) -> Resolved:
        """The field of whichever of these objects the pointer names; null for the others."""
        cases, kind = "", None
        for target in targets:
            found = target.field(name)
            if found is not None and not self.world.hides_field(target, found):
                kind = kind or found
                alias = f"t{next(self.serial)}"
                cases += (
                    f" WHEN '{target.key_prefix}' THEN (SELECT {self.world.expression(found, alias)} "
                    f'FROM "{target.name}" AS {alias} WHERE {alias}."Id" = {pointer})'
                )
        if kind is None:
            raise no_column(name, "Name" if len(targets) > 1 else targets[0].name, position)
        return Resolved(f"(CASE substr({pointer}, 1, 3){cases} END)", kind, (*keys, kind.name))


def source(world: World, name: str, position: int) -> SObject:
    """The object of a FROM clause.

    Raises:
        SoqlError: INVALID_TYPE.
    """
    item = find(name)
    if item is None or item.name in world.hidden_objects:
        raise no_object(name, position)
    return item
