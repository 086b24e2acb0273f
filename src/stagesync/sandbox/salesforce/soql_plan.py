"""A parsed query into SQL and a shape: which result column goes where in the JSON record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stagesync.sandbox.salesforce.errors import SoqlError
from stagesync.sandbox.salesforce.fields import SObject
from stagesync.sandbox.salesforce.schema import CHILDREN, SOBJECTS, find
from stagesync.sandbox.salesforce.soql_filter import Filter
from stagesync.sandbox.salesforce.soql_scope import Resolved, Scope, World, no_column, no_object, source
from stagesync.sandbox.salesforce.soql_tree import (
    Call,
    Column,
    Fields,
    Nested,
    Order,
    Path,
    Query,
    TypeOf,
)

GROUPS = 2000
OFFSETS = 2000
_UNGROUPABLE = frozenset({"datetime", "textarea", "currency", "double", "percent"})


@dataclass
class Shape:
    """A record in the making: column of its id, and by key a (column, type), a parent shape or a child plan.

    ``sobject`` is None for a parent that may be of several objects: the id's prefix tells.
    """

    sobject: str | None
    id_column: int
    entries: dict[str, tuple[int, str] | Shape | ChildPlan] = field(default_factory=dict)
    by_type: dict[str, set[str]] | None = None


@dataclass
class Plan:
    """A query ready to run. ``shape`` is None for ``SELECT COUNT()``, aggregates have ``aggregate``."""

    sobject: SObject
    columns: list[str]
    from_sql: str
    where: str
    parameters: list[Any]
    group_by: str = ""
    having: str = ""
    having_parameters: list[Any] = field(default_factory=list)
    order_by: str = ""
    limit: int | None = None
    offset: int | None = None
    shape: Shape | None = None
    aggregate: bool = False
    table: str = "t0"

    def select(self, *, limit: int | None = None) -> tuple[str, list[Any]]:
        """SQL and parameters; ``limit`` caps the rows below the query's own LIMIT."""
        names = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(self.columns))
        sql = f"SELECT {names} FROM {self.from_sql} WHERE {self.where}{self.group_by}{self.having}{self.order_by}"
        caps = [cap for cap in (limit, self.limit) if cap is not None]
        if caps or self.offset is not None:
            sql += f" LIMIT {min(caps) if caps else -1} OFFSET {self.offset or 0}"
        return sql, [*self.parameters, *self.having_parameters]


@dataclass
class ChildPlan:
    """A child sub-query: its plan selects, as last column, the id of the parent."""

    plan: Plan
    link: str


def plan(world: World, query: Query, *, everything: bool = False) -> Plan:
    """Check a query against the schema and turn it into SQL; ``everything`` includes deleted rows.

    Raises:
        SoqlError: as Salesforce refuses it.
    """
    item = source(world, query.source, query.source_position)
    return _Planner(world, query, item, everything=everything).build()


class _Planner:
    def __init__(self, world: World, query: Query, item: SObject, *, everything: bool) -> None:
        self.world, self.query, self.item, self.everything = world, query, item, everything
        self.scope = Scope(world, item, query.alias)
        self.columns: list[str] = []

    def build(self) -> Plan:
        if self._counts_rows():
            return self._finish(shape=None, columns=[f'{self.scope.table}."Id"'])
        resolved = [self.scope.resolve(column.what) for column in self.query.columns if isinstance(column, Column)]
        if self.query.group_by or any(one.aggregate for one in resolved):
            return self._aggregate()
        return self._finish(shape=self._shape(), columns=self.columns)

    def _counts_rows(self) -> bool:
        """Whether this is ``SELECT COUNT()``, which gives a total and no rows."""
        first = self.query.columns[0]
        if not isinstance(first, Column) or not isinstance(first.what, Call) or first.what.path is not None:
            return False
        if first.what.name != "COUNT":
            return False
        if len(self.query.columns) > 1 or self.query.group_by:
            raise SoqlError("MALFORMED_QUERY", "unexpected token: 'COUNT()'", first.what.position)
        return True

    def _finish(self, *, shape: Shape | None, columns: list[str], **more: Any) -> Plan:
        query = self.query
        within = Filter(self.scope)
        conditions = self.world.shows(self.item, self.scope.table, everything=self.everything)
        if query.where is not None:
            conditions.append(within.sql(query.where))
        order_by = self._order_by(query.order_by, aggregates=bool(more.get("aggregate")))
        if query.offset is not None and query.offset > OFFSETS:
            message = f"Maximum SOQL offset allowed is {OFFSETS}"
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", message, query.offset_position)
        return Plan(
            sobject=self.item,
            columns=columns,
            from_sql=self.scope.from_sql,
            where=" AND ".join(conditions) or "1",
            parameters=within.parameters,
            order_by=order_by,
            limit=query.limit,
            offset=query.offset,
            shape=shape,
            table=self.scope.table,
            **more,
        )

    def _add(self, sql: str) -> int:
        if sql in self.columns:
            return self.columns.index(sql)
        self.columns.append(sql)
        return len(self.columns) - 1

    def _shape(self) -> Shape:
        root = Shape(self.item.name, self._add(f'{self.scope.table}."Id"'))
        for selected in self.query.columns:
            if isinstance(selected, Nested):
                self._nest(root, selected.query)
            elif isinstance(selected, Fields):
                self._fields(root, selected)
            elif isinstance(selected, TypeOf):
                self._typeof(root, selected)
            else:
                if selected.alias:
                    message = "only aggregate expressions use field aliasing"
                    raise SoqlError("MALFORMED_QUERY", message, selected.what.position)
                self._place(root, self.scope.resolve(selected.what), selected.what.position)
        return root

    def _place(self, root: Shape, found: Resolved, position: int) -> None:
        shape, item = root, self.item
        for depth, key in enumerate(found.keys[:-1]):
            link = item.by_relationship[key.lower()]
            item = SOBJECTS[link.reference_to[0]]
            if key not in shape.entries:
                pointer = self.scope.resolve(Path((*found.keys[:depth], link.name), position)).sql
                target = None if link.polymorphic else item.name
                shape.entries[key] = Shape(target, self._add(pointer))
            inner = shape.entries[key]
            if not isinstance(inner, Shape):
                raise SoqlError("MALFORMED_QUERY", f"duplicate alias: {key}", position)
            shape = inner
        if found.keys[-1] in shape.entries:
            raise SoqlError("INVALID_FIELD", f"duplicate field selected: {'.'.join(found.keys)}", position)
        shape.entries[found.keys[-1]] = (self._add(found.sql), found.field.type)

    def _fields(self, root: Shape, selected: Fields) -> None:
        if selected.group not in {"ALL", "STANDARD", "CUSTOM"}:
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{selected.group}'", selected.position)
        if selected.group != "STANDARD" and (self.query.limit is None or self.query.limit > 200):
            message = "The SOQL FIELDS function must have a LIMIT of at most 200"
            raise SoqlError("MALFORMED_QUERY", message, selected.position)
        for item in self.item.fields:
            wanted = selected.group == "ALL" or item.custom == (selected.group == "CUSTOM")
            if wanted and not self.world.hides_field(self.item, item) and item.name not in root.entries:
                self._place(root, self.scope.resolve(Path((item.name,), selected.position)), selected.position)

    def _typeof(self, root: Shape, selected: TypeOf) -> None:
        name = selected.path.parts[-1]
        link = self.item.by_relationship.get(name.lower())
        if link is None or not link.polymorphic or len(selected.path.parts) > 1:
            raise no_column(selected.path.text, self.item.name, selected.path.position)
        pointer = f'{self.scope.table}."{link.name}"'
        by_type: dict[str, set[str]] = {}
        shape = Shape(None, self._add(pointer), by_type=by_type)
        root.entries[link.relationship or name] = shape
        branches = dict(selected.branches)
        for target in link.reference_to:
            stated = next((paths for name, paths in branches.items() if name.lower() == target.lower()), None)
            wanted = set()
            for path in selected.otherwise if stated is None else stated:
                found = self.scope.of_targets(pointer, [SOBJECTS[target]], path.text, (), path.position)
                shape.entries[f"{target}.{found.keys[-1]}"] = (self._add(found.sql), found.field.type)
                wanted.add(found.keys[-1])
            by_type[target] = wanted
        for stated_name in branches:
            if find(stated_name) is None:
                raise no_object(stated_name, selected.path.position)

    def _nest(self, root: Shape, query: Query) -> None:
        child = CHILDREN[self.item.name].get(query.source.lower())
        if child is None or child.sobject in self.world.hidden_objects:
            message = (
                f"Didn't understand relationship '{query.source}' in FROM part of query call. If you are attempting "
                "to use a custom relationship, be sure to append the '__r' after the custom relationship name."
                " Please reference your WSDL or the describe call for the appropriate names."
            )
            raise SoqlError("INVALID_TYPE", message, query.source_position)
        planner = _Planner(self.world, query, SOBJECTS[child.sobject], everything=self.everything)
        inner = planner.build()
        if inner.aggregate or inner.shape is None:
            raise SoqlError(
                "MALFORMED_QUERY", "Grouped or aggregate queries are not allowed here", query.source_position
            )
        link = f'{inner.table}."{child.field}"'
        inner.columns.append(link)
        root.entries[child.relationship] = ChildPlan(inner, link)

    def _aggregate(self) -> Plan:
        keys = [self.scope.resolve(key) for key in self.query.group_by]
        for key, what in zip(keys, self.query.group_by, strict=True):
            if key.field.type in _UNGROUPABLE:
                message = f"field '{key.field.name}' can not be grouped in a query call"
                raise SoqlError("MALFORMED_QUERY", message, what.position)
        grouped = {key.sql for key in keys}
        shape, unnamed = Shape("AggregateResult", -1), 0
        for selected in self.query.columns:
            if not isinstance(selected, Column):
                raise SoqlError("MALFORMED_QUERY", "Grouped query cannot have a sub-select", self.query.source_position)
            found = self.scope.resolve(selected.what)
            if not found.aggregate and found.sql not in grouped:
                text = selected.what.text if isinstance(selected.what, Path) else selected.what.name
                message = f"Field must be grouped or aggregated: {text}"
                raise SoqlError("MALFORMED_QUERY", message, selected.what.position)
            name = selected.alias or (found.keys[-1] if isinstance(selected.what, Path) else "")
            if not name:
                name, unnamed = f"expr{unnamed}", unnamed + 1
            if name in shape.entries:
                raise SoqlError("MALFORMED_QUERY", f"duplicate alias: {name}", selected.what.position)
            self.columns.append(found.sql)
            shape.entries[name] = (len(self.columns) - 1, found.field.type)
        self._check_order(grouped)
        having = Filter(self.scope, allow_aggregates=True)
        having_sql = f" HAVING {having.sql(self.query.having)}" if self.query.having is not None else ""
        return self._finish(
            shape=shape,
            columns=self.columns,
            aggregate=True,
            group_by=f" GROUP BY {', '.join(key.sql for key in keys)}" if keys else "",
            having=having_sql,
            having_parameters=having.parameters,
        )

    def _check_order(self, grouped: set[str]) -> None:
        for key in self.query.order_by:
            found = self.scope.resolve(key.what)
            if not found.aggregate and found.sql not in grouped:
                text = key.what.text if isinstance(key.what, Path) else key.what.name
                message = f"Ordered field must be grouped or aggregated: {text}"
                raise SoqlError("MALFORMED_QUERY", message, key.what.position)

    def _order_by(self, keys: tuple[Order, ...], *, aggregates: bool) -> str:
        found = []
        for key in keys:
            resolved = self.scope.resolve(key.what)
            if resolved.aggregate and not aggregates:
                message = "Aggregate functions can only order a grouped query"
                raise SoqlError("MALFORMED_QUERY", message, key.what.position)
            if not resolved.field.filterable:
                message = f"field '{resolved.field.name}' can not be sorted in a query call"
                raise SoqlError("MALFORMED_QUERY", message, key.what.position)
            # SQLite keeps nulls first when rising and last when falling; saying so again would hide the index.
            usual = key.nulls_last == key.descending
            nulls = "" if usual else f" NULLS {'LAST' if key.nulls_last else 'FIRST'}"
            found.append(f"{resolved.sql}{' DESC' if key.descending else ''}{nulls}")
        return f" ORDER BY {', '.join(found)}" if found else ""
