"""POST …/search: HubSpot's filters as one SQL condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import ObjectType, object_type
from stagesync.sandbox.hubspot.definitions import PropertyDefinition
from stagesync.sandbox.hubspot.errors import ApiError, validation
from stagesync.sandbox.hubspot.records import Record, expression
from stagesync.sandbox.hubspot.schema import stored

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.portal import Portal

MOST_RESULTS = 10_000
MOST_PER_PAGE = 200
MOST_GROUPS, MOST_FILTERS, MOST_FILTERS_IN_ALL = 5, 6, 18
LONGEST_QUERY = 3_000

_COMPARISONS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page: how many match in all, the page's records, and the offset of the next page."""

    total: int
    records: Sequence[Record]
    after: int | None


@dataclass(slots=True)
class _Condition:
    """SQL text under construction with its parameters, in order."""

    parameters: list[Any] = field(default_factory=list)

    def mark(self, value: Any) -> str:
        self.parameters.append(value)
        return "?"

    def marks(self, values: Sequence[Any]) -> str:
        return ", ".join(self.mark(value) for value in values)


def run(portal: Portal, kind: ObjectType, request: Mapping[str, Any], names: Sequence[str]) -> Found:
    """Search as the request's body says; ``names`` are the properties the answer will show.

    Raises the 400s: unknown property or operator, too many filters, more than 10,000 results deep.
    """
    limit, after = _page(request)
    condition = _Condition()
    parts = ["archived = 0", *_groups(portal, kind, request.get("filterGroups"), condition)]
    parts.extend(_query(kind, request.get("query"), condition))
    where = " AND ".join(parts)
    source = f'"{kind.name}"'
    if portal.faults.search_lag_seconds > 0:
        source = portal.records.indexed(kind, portal.now())
    total = portal.database.value(f"SELECT COUNT(*) FROM {source} WHERE {where}", condition.parameters)
    clause = f"WHERE {where} ORDER BY {_order(portal, kind, request.get('sorts'))} LIMIT ? OFFSET ?"
    records = portal.records.select(kind, names, clause, [*condition.parameters, limit, after], source=source)
    reached = after + len(records)
    return Found(total=total, records=records, after=reached if reached < total else None)


def _page(request: Mapping[str, Any]) -> tuple[int, int]:
    limit, after = request.get("limit"), request.get("after")
    try:
        size, start = int(limit or 10), int(after or 0)
    except (TypeError, ValueError):
        raise _problem("limit and after must be numbers") from None
    if not 0 < size <= MOST_PER_PAGE:
        raise _problem(f"limit must be between 1 and {MOST_PER_PAGE}, not {size}")
    if start < 0 or start + size > MOST_RESULTS:
        raise _problem(f"paging past {MOST_RESULTS} results is not possible: after={start}, limit={size}")
    return size, start


def _groups(portal: Portal, kind: ObjectType, raw: object, condition: _Condition) -> list[str]:
    groups = raw or []
    if not isinstance(groups, list) or not all(isinstance(group, Mapping) for group in groups):
        raise _problem("filterGroups must be a list of objects")
    if len(groups) > MOST_GROUPS:
        raise _problem(f"at most {MOST_GROUPS} filterGroups are allowed, not {len(groups)}")
    lists = [group.get("filters") or [] for group in groups]
    if any(len(filters) > MOST_FILTERS for filters in lists) or sum(map(len, lists)) > MOST_FILTERS_IN_ALL:
        raise _problem(f"at most {MOST_FILTERS} filters in a group and {MOST_FILTERS_IN_ALL} in all are allowed")
    alternatives = [
        " AND ".join(f"({_filter(portal, kind, each, condition)})" for each in filters) for filters in lists if filters
    ]
    return [f"({' OR '.join(f'({one})' for one in alternatives)})"] if alternatives else []


def _filter(portal: Portal, kind: ObjectType, raw: Mapping[str, Any], condition: _Condition) -> str:
    name, operator = str(raw.get("propertyName")), str(raw.get("operator"))
    if name.startswith("associations."):
        return _associated(kind, name.removeprefix("associations."), operator, raw, condition)
    definition = portal.metadata.properties(kind.name).get(name)
    if definition is None:
        raise _problem(f'Property "{name}" does not exist', name, "PROPERTY_DOESNT_EXIST")
    subject = _subject(kind, definition)
    if operator in _COMPARISONS:
        value = _operand(definition, raw.get("value"))
        return f"{subject} {_COMPARISONS[operator]} {condition.mark(value)}"
    special = _SPECIAL.get(operator)
    if special is None:
        raise _problem(f"{operator} is not a valid operator", name, "INVALID_OPERATOR")
    return special(kind, definition, raw, condition)


def _between(kind: ObjectType, definition: PropertyDefinition, raw: Mapping[str, Any], c: _Condition) -> str:
    low, high = _operand(definition, raw.get("value")), _operand(definition, raw.get("highValue"))
    return f"{_subject(kind, definition)} BETWEEN {c.mark(low)} AND {c.mark(high)}"


def _any_of(kind: ObjectType, definition: PropertyDefinition, raw: Mapping[str, Any], c: _Condition) -> str:
    values = raw.get("values")
    if not isinstance(values, list) or not values:
        raise _problem(f"{raw['operator']} needs a list of values", definition.name, "INVALID_VALUES")
    # Strings are indexed in lower case and, unlike EQ, this operator does not lower what it is given.
    operands = [str(v) if _is_string(definition) else _operand(definition, v) for v in values]
    word = "NOT IN" if raw["operator"] == "NOT_IN" else "IN"
    return f"{_subject(kind, definition)} {word} ({c.marks(operands)})"


def _token(kind: ObjectType, definition: PropertyDefinition, raw: Mapping[str, Any], c: _Condition) -> str:
    text = f"hs_token({_plain(kind, definition.name)}, {c.mark(str(raw.get('value', '')))})"
    return f"NOT {text}" if raw["operator"] == "NOT_CONTAINS_TOKEN" else text


def _has(kind: ObjectType, definition: PropertyDefinition, _: Mapping[str, Any], __: _Condition) -> str:
    return f"{_plain(kind, definition.name)} IS NOT NULL"


def _has_not(kind: ObjectType, definition: PropertyDefinition, _: Mapping[str, Any], __: _Condition) -> str:
    return f"{_plain(kind, definition.name)} IS NULL"


_SPECIAL: Mapping[str, Callable[[ObjectType, PropertyDefinition, Mapping[str, Any], _Condition], str]] = {
    "BETWEEN": _between,
    "IN": _any_of,
    "NOT_IN": _any_of,
    "CONTAINS_TOKEN": _token,
    "NOT_CONTAINS_TOKEN": _token,
    "HAS_PROPERTY": _has,
    "NOT_HAS_PROPERTY": _has_not,
}


def _is_string(definition: PropertyDefinition) -> bool:
    return definition.type in {"string", "phone_number"}


def _plain(kind: ObjectType, name: str) -> str:
    return expression(kind, name)


def _subject(kind: ObjectType, definition: PropertyDefinition) -> str:
    """The property in the form in which it compares: a number, milliseconds, or lower-case text."""
    plain = expression(kind, definition.name)
    if plain in {"id", "created", "updated"}:
        return plain
    if definition.type == "number":
        return f"CAST({plain} AS REAL)"
    if definition.type in {"date", "datetime"}:
        return f"hs_millis({plain})"
    return f"LOWER({plain})" if _is_string(definition) else plain


def _operand(definition: PropertyDefinition, value: object) -> Any:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if value is None:
        raise _problem("a value is missing", definition.name, "INVALID_VALUE")
    if definition.type == "number" or definition.name == "hs_object_id":
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            raise _problem(f"{text} is not a number", definition.name, "INVALID_FLOAT") from None
    if definition.type in {"date", "datetime"}:
        moment = moments.parse(text)
        if moment is None:
            raise _problem(f"{text} is not a time", definition.name, "INVALID_LONG")
        return moment
    return text.lower() if _is_string(definition) else text


def _associated(kind: ObjectType, other: str, operator: str, raw: Mapping[str, Any], condition: _Condition) -> str:
    target = object_type(other)
    if target is None or operator not in {"EQ", "IN"}:
        raise _problem(f"associations.{other} {operator} is not supported", f"associations.{other}")
    values = raw.get("values") if operator == "IN" else [raw.get("value")]
    ids = [int(str(value)) for value in values or [] if str(value).isdigit()]
    return (
        "id IN (SELECT to_id FROM associations"
        f" WHERE from_code = {target.code} AND to_code = {kind.code} AND from_id IN ({condition.marks(ids)}))"
    )


def _query(kind: ObjectType, raw: object, condition: _Condition) -> list[str]:
    if not raw:
        return []
    if len(str(raw)) > LONGEST_QUERY:
        raise _problem(f"query is longer than {LONGEST_QUERY} characters")
    return [
        "(" + " OR ".join(f"INSTR(LOWER({stored(name)}), {condition.mark(word)})" for name in kind.searched) + ")"
        for word in str(raw).lower().split()
    ]


def _order(portal: Portal, kind: ObjectType, raw: object) -> str:
    """HubSpot orders by creation unless asked; ties are broken by id so that pages do not overlap."""
    sorts = raw or []
    if not isinstance(sorts, list) or len(sorts) > 1:
        raise _problem("only one sort is supported")
    if not sorts:
        return "created, id"
    first = sorts[0]
    name = str(first.get("propertyName")) if isinstance(first, Mapping) else str(first).lstrip("-")
    definition = portal.metadata.properties(kind.name).get(name)
    if definition is None:
        raise _problem(f'Property "{name}" does not exist', name, "PROPERTY_DOESNT_EXIST")
    down = first.get("direction") == "DESCENDING" if isinstance(first, Mapping) else str(first)[:1] == "-"
    return f"{_subject(kind, definition)} {'DESC' if down else 'ASC'}, id"


def _problem(detail: str, name: str | None = None, code: str | None = None) -> ApiError:
    error: dict[str, Any] = {"message": detail}
    if code:
        error["code"] = code
    if name:
        error["context"] = {"propertyName": [name]}
    return validation(f"There was a problem with the request. {detail}", errors=[error])
