"""From the typed tree to Python functions of one record: the same four values as in ``masks``, without columns.

A record is a mapping from the names of columns to values: None is blank, a date is a ``date``, a datetime is UTC,
and ``<name>?unreadable`` is there for the names in ``frame.unreadable``. For a page these functions cost less than
it takes to start an engine for columns. Nothing of a definition becomes code: a function is put together from the
ones below. They know the letters of Python's Unicode version, ``masks`` those of the regex library of polars.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any, TypeAlias

from stagesync.audit.masks import Frame
from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.policy.expressions.tree import (
    And,
    Arithmetic,
    Compare,
    Comparison,
    Constant,
    Expression,
    IsBlank,
    IsIn,
    Leaf,
    Like,
    Moment,
    Name,
    Not,
    Operation,
    Or,
    Stated,
    Truth,
    Value,
    names,
)

Record: TypeAlias = Mapping[str, Any]
Predicate: TypeAlias = Callable[[Record], bool]
_Answer: TypeAlias = Callable[[Record], bool | None]
_Reading: TypeAlias = Callable[[Record], Any]

NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
COMPARISONS: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# polars ranks NaN above all numbers and equal to itself.
FLOAT_COMPARISONS: Mapping[Comparison, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b or (math.isnan(a) and math.isnan(b)),
    "!=": lambda a, b: a != b and not (math.isnan(a) and math.isnan(b)),
    "<": lambda a, b: a < b or (math.isnan(b) and not math.isnan(a)),
    "<=": lambda a, b: a <= b or math.isnan(b),
    ">": lambda a, b: a > b or (math.isnan(a) and not math.isnan(b)),
    ">=": lambda a, b: a >= b or math.isnan(a),
}
OPERATIONS: Mapping[Operation, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}

SHORTEST_STATED = 2
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode's white space, which polars strips; ``str.strip`` also takes the separators U+001C to U+001F."""


def met(expression: Expression, frame: Frame) -> Predicate:
    """Whether the condition is surely met."""
    answer = _three_valued(expression, frame)
    return lambda record: answer(record) is True


def possible(expression: Expression, frame: Frame) -> Predicate:
    """Whether the condition is met, or could be if the unknown were known."""
    involved = {name.name for name in names(expression)}
    if not involved & (frame.unknown | frame.unreadable):
        return met(expression, frame)
    return _can_be(expression, frame, wanted=True)


def stated(text: str | None, placeholders: frozenset[str]) -> bool:
    """Whether the text says something; ``placeholders`` are in lower case."""
    if text is None:
        return False
    text = text.strip(SPACE)
    return len(text) >= SHORTEST_STATED and any(map(str.isalnum, text)) and text.lower() not in placeholders


def _three_valued(expression: Expression, frame: Frame) -> _Answer:
    match expression:
        case And(conditions=conditions):
            return _joined([_three_valued(part, frame) for part in conditions], decisive=False)
        case Or(conditions=conditions):
            return _joined([_three_valued(part, frame) for part in conditions], decisive=True)
        case Not(condition=condition):
            return _opposite(_three_valued(condition, frame))
    involved = {name.name for name in names(expression)}
    if involved & frame.unknown:
        return lambda _: None
    leaf, flags = _leaf(expression, frame), _flags(involved, frame)
    if flags and isinstance(expression, IsBlank | Stated):
        return lambda record: None if _any_set(record, flags) else leaf(record)
    return leaf


def _can_be(expression: Expression, frame: Frame, *, wanted: bool) -> Predicate:
    match expression:
        case Not(condition=condition):
            return _can_be(condition, frame, wanted=not wanted)
        case And(conditions=conditions) | Or(conditions=conditions):
            parts = [_can_be(part, frame, wanted=wanted) for part in conditions]
            if isinstance(expression, And) is wanted:
                return lambda record: all(part(record) for part in parts)
            return lambda record: any(part(record) for part in parts)
    involved = {name.name for name in names(expression)}
    if involved & frame.unknown:
        return lambda _: True
    leaf, flags = _leaf(expression, frame), _flags(involved, frame)
    if flags:
        return lambda record: leaf(record) is wanted or _any_set(record, flags)
    return lambda record: leaf(record) is wanted


def _joined(parts: Sequence[_Answer], *, decisive: bool) -> _Answer:
    """Kleene's and (false decides) and or (true decides): without a decision a blank part makes a blank whole."""

    def joined(record: Record) -> bool | None:
        whole: bool | None = not decisive
        for part in parts:
            answer = part(record)
            if answer is decisive:
                return decisive
            if answer is None:
                whole = None
        return whole

    return joined


def _opposite(answer: _Answer) -> _Answer:
    def opposite(record: Record) -> bool | None:
        found = answer(record)
        return None if found is None else not found

    return opposite


def _flags(involved: set[str], frame: Frame) -> tuple[str, ...]:
    return tuple(name + UNREADABLE for name in sorted(involved & frame.unreadable))


def _any_set(record: Record, flags: Sequence[str]) -> bool:
    return any(record[flag] for flag in flags)


def _leaf(leaf: Leaf, frame: Frame) -> _Answer:
    match leaf:
        case Compare(operator=operator, left=left, right=right):
            return _compare(operator, left, right, frame)
        case IsIn(value=value, options=options):
            return _is_in(value, options, frame)
        case Like(value=Name(name=name), pattern=pattern):
            matches = re.compile(_regular(pattern)).match
            return lambda record: None if (text := record[name]) is None else matches(text) is not None
        case IsBlank(value=Name(name=name)):
            return lambda record: record[name] is None
        case Stated(value=Name(name=name)):
            placeholders = frozenset(word.lower() for word in frame.placeholders)
            pasted = frame.pasted_in(name)
            return lambda record: stated(record[name], placeholders) and record[name] not in pasted
        case Truth(value=Name(name=name)):
            return lambda record: record[name]


def _is_in(value: Value, options: tuple[Constant, ...], frame: Frame) -> _Answer:
    numeric = value.type in NUMERIC
    reading = _as_float(value, frame) if numeric else _value(value, frame)
    members = frozenset(_number(option) if numeric else option.value for option in options)
    return lambda record: None if (found := reading(record)) is None else found in members


def _compare(comparison: Comparison, left: Value, right: Value, frame: Frame) -> _Answer:
    # A whole number meets another as it is, and every other number as a Float64.
    floats = _is_float(left) or _is_float(right)
    one, other = (_as_float(value, frame) if floats else _value(value, frame) for value in (left, right))
    holds = (FLOAT_COMPARISONS if floats else COMPARISONS)[comparison]

    def compare(record: Record) -> bool | None:
        a, b = one(record), other(record)
        return None if a is None or b is None else holds(a, b)

    return compare


def _is_float(value: Value) -> bool:
    return value.type is ColumnType.NUMBER or isinstance(value, Arithmetic)


def _as_float(value: Value, frame: Frame) -> _Reading:
    reading = _value(value, frame)
    match value:
        case Constant():
            number = _number(value)
            return lambda _: number
        case Name(type=ColumnType.INTEGER):
            return lambda record: None if (found := reading(record)) is None else float(found)
    return reading


def _number(constant: Constant) -> float:
    assert isinstance(constant.value, int | float)
    return float(constant.value)


def _value(value: Value, frame: Frame) -> _Reading:
    match value:
        case Name(name=name):
            return operator.itemgetter(name)
        case Constant(value=constant):
            return lambda _: constant
        case Moment(type=kind, shift=shift, unit=unit):
            delta = timedelta(hours=shift) if unit == "hour" else timedelta(days=shift)
            moment = frame.today + delta if kind is ColumnType.DATE else frame.now.astimezone(UTC) + delta
            return lambda _: moment
        case Arithmetic(operation=operation, left=left, right=right):
            return _calculate(operation, _as_float(left, frame), _as_float(right, frame))


def _calculate(operation: Operation, left: _Reading, right: _Reading) -> _Reading:
    calculated = OPERATIONS[operation]

    def calculate(record: Record) -> float | None:
        a, b = left(record), right(record)
        if a is None or b is None:
            return None
        try:
            result = calculated(a, b)
        except ZeroDivisionError:
            return None
        return result if math.isfinite(result) else None

    return calculate


def _regular(pattern: str) -> str:
    """The whole text; a part once found stays found (an atomic group), so that no text takes more than its square."""
    first, *rest = ("".join("." if c == "_" else re.escape(c) for c in part) for part in pattern.split("%"))
    if not rest:
        return rf"(?s){first}\Z"
    *middle, last = rest
    return rf"(?s){first}" + "".join(f"(?>.*?{part})" for part in middle) + rf".*{last}\Z"
