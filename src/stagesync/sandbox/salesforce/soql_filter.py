"""WHERE and HAVING as SQL with bound parameters.

SOQL knows no unknown: a comparison with null is false, ``!=`` and ``NOT IN`` also find nulls.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stagesync.sandbox.salesforce import ids, moments, soql_dates
from stagesync.sandbox.salesforce.errors import SoqlError
from stagesync.sandbox.salesforce.fields import ID_TYPES, NUMBER_TYPES, TEXT_TYPES
from stagesync.sandbox.salesforce.soql_lexer import unescape
from stagesync.sandbox.salesforce.soql_scope import Resolved, Scope, source
from stagesync.sandbox.salesforce.soql_tree import (
    Both,
    Column,
    Compare,
    Condition,
    Literal,
    Membership,
    Negation,
    Path,
)

NO_SEMI_JOIN = frozenset({"Task", "Event", "ActivityHistory", "OpenActivity", "Note", "Attachment"})
MANY = 500
_EXPECTED = {"date": "date", "datetime": "dateTime", "boolean": "boolean", "int": "int"}


@dataclass
class Filter:
    """Turns conditions of one scope into SQL; ``parameters`` fill up in the order of the marks."""

    scope: Scope
    parameters: list[Any] = field(default_factory=list)
    allow_aggregates: bool = False
    nested_in_join: bool = False

    def sql(self, condition: Condition, *, top: bool = True) -> str:
        """The condition; never null where a negation surrounds it."""
        if isinstance(condition, Both):
            below = top and condition.op == "AND"
            parts = [self.sql(item, top=below) for item in condition.items]
            joined = _joined(parts, f" {condition.op} ")
            return f"({joined}{self._floors(condition)})" if condition.op == "OR" else joined
        if isinstance(condition, Negation):
            return f"(({self.sql(condition.item, top=False)}) IS NOT TRUE)"
        if isinstance(condition, Membership):
            return self._membership(condition, top=top)
        return self._compare(condition)

    def _floors(self, condition: Both) -> str:
        """A bound that an OR over moments implies, so that keyset paging can use the index from below."""
        bounds = _floor(condition, self._moment_name)
        self.parameters += bounds.values()
        return "".join(f" AND {name} >= ?" for name in bounds)

    def _moment_name(self, item: Compare) -> str | None:
        resolved = self.operand(item)
        return resolved.sql if resolved.field.type == "datetime" and not resolved.aggregate else None

    def operand(self, item: Compare | Membership) -> Resolved:
        """The left side, checked to be something that can be filtered."""
        resolved = self.scope.resolve(item.operand)
        position = item.operand.position
        if resolved.aggregate and not self.allow_aggregates:
            raise SoqlError("MALFORMED_QUERY", f"Aggregate functions are not allowed here: {resolved.sql}", position)
        if not resolved.field.filterable:
            message = f"field '{resolved.field.name}' can not be filtered in a query call"
            raise SoqlError("INVALID_FIELD", message, position)
        return resolved

    def _compare(self, item: Compare) -> str:
        left = self.operand(item)
        kind, value, op = left.field.type, item.value, item.op
        if op == "LIKE":
            return self._like(left, item)
        if kind == "boolean" and op not in {"=", "!="}:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator", item.operand.position)
        if value.kind == "period":
            return self._period(left, item)
        bound = self.value(left, value)
        if bound is None:
            if op not in {"=", "!="}:
                raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator", item.operand.position)
            return f"{left.sql} IS {'NOT ' if op == '!=' else ''}NULL"
        sql = left.sql
        if kind in TEXT_TYPES and not bound.isascii():
            # The column's NOCASE collation folds ASCII only.
            sql, bound = f"fold({sql})", bound.casefold()
        self.parameters.append(bound)
        return f"{sql} {'IS NOT' if op == '!=' else op} ?"

    def _like(self, left: Resolved, item: Compare) -> str:
        if left.field.type not in TEXT_TYPES:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator", item.operand.position)
        if item.value.kind != "string":
            raise self._mistyped(left, item.value)
        pattern = unescape(item.value.text, like=True, position=item.value.position)
        sql = left.sql
        if not pattern.isascii():
            sql, pattern = f"fold({sql})", pattern.casefold()
        self.parameters.append(pattern)
        return f"{sql} LIKE ? ESCAPE '\\'"

    def _period(self, left: Resolved, item: Compare) -> str:
        world, kind = self.scope.world, left.field.type
        if kind not in {"date", "datetime"}:
            raise self._mistyped(left, item.value)
        today = world.now.astimezone(world.zone).date()
        found = soql_dates.span(item.value.text, item.value.count, today)
        if found is None:
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{item.value.text}'", item.value.position)
        first, after = soql_dates.stored_span(found, kind, world.zone)
        if item.op in {"=", "!="}:
            self.parameters += [first, after]
            sql = f"({left.sql} >= ? AND {left.sql} < ?)"
            return sql if item.op == "=" else f"({sql} IS NOT TRUE)"
        op, bound = {"<": ("<", first), "<=": ("<", after), ">": (">=", after), ">=": (">=", first)}[item.op]
        self.parameters.append(bound)
        return f"{left.sql} {op} ?"

    def value(self, left: Resolved, literal: Literal) -> Any:
        """A literal as the column stores it; None for null and for the empty text, which Salesforce keeps as null.

        Raises:
            SoqlError: INVALID_FIELD where the literal does not fit the field.
        """
        kind = left.field.type
        if literal.kind == "null":
            return None
        if kind in TEXT_TYPES and literal.kind == "string":
            return unescape(literal.text, position=literal.position) or None
        if kind in ID_TYPES and literal.kind == "string":
            return self._id(literal)
        if kind in NUMBER_TYPES and literal.kind == "number":
            return float(literal.text)
        if kind == "boolean" and literal.kind == "boolean":
            return 1 if literal.text == "TRUE" else 0
        if kind == literal.kind == "date":
            parsed = moments.parse_date(literal.text)
        elif kind == literal.kind == "datetime":
            parsed = moments.parse_datetime(literal.text)
        else:
            raise self._mistyped(left, literal)
        if parsed is None:
            raise SoqlError("MALFORMED_QUERY", f"invalid date or datetime: {literal.text}", literal.position)
        return parsed

    def _id(self, literal: Literal) -> str | None:
        text = unescape(literal.text, position=literal.position)
        if not text:
            return None
        full = ids.to18(text)
        if full is None:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text}", literal.position)
        return full

    def _mistyped(self, left: Resolved, literal: Literal) -> SoqlError:
        kind = left.field.type
        if kind in TEXT_TYPES or kind in ID_TYPES:
            wanted, quotes = "string", "should be enclosed in quotes"
        else:
            wanted, quotes = _EXPECTED.get(kind, "double"), "should not be enclosed in quotes"
        message = f"value of filter criterion for field '{left.field.name}' must be of type {wanted} and {quotes}"
        return SoqlError("INVALID_FIELD", message, literal.position)

    def _membership(self, item: Membership, *, top: bool) -> str:
        left = self.operand(item)
        if item.op in {"INCLUDES", "EXCLUDES"}:
            # There is no multi-select picklist in this org.
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", "invalid operator", item.operand.position)
        if item.query is not None:
            return self._semi_join(left, item, top=top)
        values = [self.value(left, literal) for literal in item.values]
        known = [value for value in values if value is not None]
        sql = left.sql
        if left.field.type in TEXT_TYPES and not all(value.isascii() for value in known):
            sql, known = f"fold({sql})", [value.casefold() for value in known]
        marks = "SELECT value FROM json_each(?)" if len(known) > MANY else ", ".join("?" * len(known))
        self.parameters += [json.dumps(known)] if len(known) > MANY else known
        with_null = len(known) < len(values)
        if item.op == "IN":
            return f"({sql} IN ({marks}) OR {left.sql} IS NULL)" if with_null else f"{sql} IN ({marks})"
        if with_null:
            return f"({sql} NOT IN ({marks}) AND {left.sql} IS NOT NULL)"
        return f"({sql} NOT IN ({marks}) OR {left.sql} IS NULL)"

    def _semi_join(self, left: Resolved, item: Membership, *, top: bool) -> str:
        inner = item.query
        if inner is None or self.nested_in_join:
            raise SoqlError("MALFORMED_QUERY", "Nesting of semi join sub-selects is not supported", item.position)
        if not top:
            message = (
                "Semi join sub-selects are only allowed at the top level WHERE expressions "
                "and not in nested WHERE expressions."
            )
            raise SoqlError("MALFORMED_QUERY", message, item.position)
        if left.field.type not in ID_TYPES:
            message = (
                "The left operand field in the where expression for outer query should be an id field, "
                f"cannot use: '{left.field.name}'"
            )
            raise SoqlError("MALFORMED_QUERY", message, item.position)
        target = source(self.scope.world, inner.source, inner.source_position)
        if target.name in NO_SEMI_JOIN:
            message = f"Entity '{target.name}' is not supported for semi join inner selects"
            raise SoqlError("MALFORMED_QUERY", message, inner.source_position)
        scope = Scope(self.scope.world, target, inner.alias, self.scope.serial)
        column = inner.columns[0]
        if len(inner.columns) != 1 or not isinstance(column, Column) or not isinstance(column.what, Path):
            raise SoqlError("MALFORMED_QUERY", "sub-select must select exactly one id field", item.position)
        selected = scope.resolve(column.what)
        if selected.field.type not in ID_TYPES:
            message = f"The inner select field '{selected.field.name}' should be an id field"
            raise SoqlError("MALFORMED_QUERY", message, column.what.position)
        within = Filter(scope, self.parameters, nested_in_join=True)
        where = [f"{selected.sql} IS NOT NULL"]
        if target.field("IsDeleted"):
            where.append(f'{scope.table}."IsDeleted" = 0')
        if inner.where is not None:
            where.append(within.sql(inner.where))
        sql = f"SELECT {selected.sql} FROM {scope.from_sql} WHERE {' AND '.join(where)}"
        return f"({left.sql} {item.op} ({sql}){f' OR {left.sql} IS NULL' if item.op == 'NOT IN' else ''})"


def _joined(parts: list[str], op: str) -> str:
    """Parts in parentheses, halved again and again: SQLite refuses trees deeper than a thousand."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(parts[:half], op)}{op}{_joined(parts[half:], op)})"


def _floor(condition: Condition, moment_name: Callable[[Compare], str | None]) -> dict[str, str]:
    """For each moment field, a lower bound that every row fulfilling the condition reaches."""
    if isinstance(condition, Compare):
        if condition.op not in {"=", ">", ">="} or condition.value.kind != "datetime":
            return {}
        name, bound = moment_name(condition), moments.parse_datetime(condition.value.text)
        return {name: bound} if name and bound else {}
    if not isinstance(condition, Both):
        return {}
    below = [_floor(item, moment_name) for item in condition.items]
    if condition.op == "AND":
        merged: dict[str, str] = {}
        for bounds in below:
            for name, bound in bounds.items():
                merged[name] = max(bound, merged.get(name, bound))
        return merged
    shared = set(below[0]).intersection(*below[1:])
    return {name: min(bounds[name] for bounds in below) for name in shared}
