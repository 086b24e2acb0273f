"""From the typed tree to polars expressions: what is met, and what could be met if the unknown were known.

A leaf has four values: true, false, blank (a mapped value that is not there; it never makes anything met) and
unknown (a gap, a column that may not be read, an unreadable value; it might be either). ``met`` treats unknown as
blank, which is SQL's three-valued logic. ``possible`` asks whether some answer to the unknowns makes the whole
true: for each node it carries "can be true" and "can be false", as Kleene's logic does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.policy.expressions.tree import (
    And,
    Arithmetic,
    Compare,
    Constant,
    Expression,
    IsBlank,
    IsIn,
    Leaf,
    Like,
    Moment,
    Name,
    Not,
    Or,
    Stated,
    Truth,
    Value,
    names,
)

SPECIAL = str.maketrans({character: f"\\{character}" for character in r"\.+*?()|[]{}^$#&-~"})
SAYS = r"(?s)[\p{L}\p{N}].*\S|\S.*[\p{L}\p{N}]"
"""A letter or a digit, and something else than space beside it."""
GROWS = 3
"""So many times the bytes of its lower case can a text have at most: the sign of Kelvin has three and is a k."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Pasted(NamedTuple):
    """A text, as it stands in an evidence item, that says nothing because it stands on so many records."""

    item: str
    text: str
    records: int


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What masks are compiled for: the moment of the audit, and which names are unknown.

    ``now`` is UTC; ``time_zone`` decides what day ``today()`` is. ``unknown`` are names without a column;
    ``unreadable`` are names whose column has an ``?unreadable`` companion. ``pasted`` are texts of some items that
    say nothing.
    """

    now: datetime
    time_zone: ZoneInfo
    placeholders: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    pasted: frozenset[Pasted] = frozenset()

    @property
    def today(self) -> date:
        """The date at ``now`` in the time zone."""
        return self.now.astimezone(self.time_zone).date()

    def pasted_in(self, item: str) -> Mapping[str, int]:
        """The texts that were pasted into an item, each with the number of records on which it stands."""
        return {one.text: one.records for one in self.pasted if one.item == item}


def met(expression: Expression, frame: Frame) -> pl.Expr:
    """Boolean, never null: the condition is surely met."""
    return _three_valued(expression, frame).fill_null(value=False)


def possible(expression: Expression, frame: Frame) -> pl.Expr:
    """Boolean, never null: the condition is met, or could be if the unknown were known."""
    involved = {name.name for name in names(expression)}
    if not involved & (frame.unknown | frame.unreadable):
        return met(expression, frame)
    return _can_be(expression, frame, wanted=True)


def stated(column: pl.Expr, placeholders: frozenset[str], pasted: Collection[str] = ()) -> pl.Expr:
    """Boolean, never null: the text says something. Blank, one character, no letter or digit, a listed placeholder
    (case and surrounding space do not matter) or one of the pasted texts, letter for letter, do not."""
    text = column.str.strip_chars()
    says = column.str.contains(SAYS)
    if placeholders:
        words = sorted(word.lower() for word in placeholders)
        # Only what is short enough is put into lower case, which costs as much as all the rest.
        longest = GROWS * max(len(word.encode()) for word in words)
        short = pl.when(text.str.len_bytes() <= longest).then(text).str.to_lowercase()
        says = says & ~short.is_in(words).fill_null(value=False)
    if pasted:
        says = says & ~column.is_in(sorted(pasted))
    return says.fill_null(value=False)


def day_of(column: str, frame: Frame) -> pl.Expr:
    """The day on which a moment (UTC) was where the audit is made, in text."""
    return pl.col(column).dt.convert_time_zone(str(frame.time_zone)).dt.strftime("%Y-%m-%d")


def moment(at: datetime) -> pl.Expr:
    """A moment as a constant. From a number, since polars makes a table of one row to hold a datetime (0.2 ms)."""
    return pl.lit((at - EPOCH) // timedelta(microseconds=1), dtype=pl.Int64).cast(POLARS[ColumnType.DATETIME])


def _three_valued(expression: Expression, frame: Frame) -> pl.Expr:
    match expression:
        case And(conditions=conditions):
            return reduce(and_, (_three_valued(part, frame) for part in conditions), pl.lit(value=True))
        case Or(conditions=conditions):
            return reduce(or_, (_three_valued(part, frame) for part in conditions), pl.lit(value=False))
        case Not(condition=condition):
            return ~_three_valued(condition, frame)
    involved = {name.name for name in names(expression)}
    if involved & frame.unknown:
        return pl.lit(None, dtype=pl.Boolean)
    flags = sorted(involved & frame.unreadable)
    leaf = _leaf(expression, frame)
    if flags and isinstance(expression, IsBlank | Stated):
        return pl.when(~_any_unreadable(flags)).then(leaf)
    return leaf


def _can_be(expression: Expression, frame: Frame, *, wanted: bool) -> pl.Expr:
    match expression:
        case Not(condition=condition):
            return _can_be(condition, frame, wanted=not wanted)
        case And(conditions=conditions) | Or(conditions=conditions):
            every = isinstance(expression, And) is wanted
            parts = (_can_be(part, frame, wanted=wanted) for part in conditions)
            return reduce(and_ if every else or_, parts, pl.lit(value=every))
    involved = {name.name for name in names(expression)}
    if involved & frame.unknown:
        return pl.lit(value=True)
    leaf = _leaf(expression, frame)
    answer = (leaf if wanted else ~leaf).fill_null(value=False)
    flags = sorted(involved & frame.unreadable)
    return answer | _any_unreadable(flags) if flags else answer


def _any_unreadable(flags: list[str]) -> pl.Expr:
    return pl.any_horizontal([pl.col(name + UNREADABLE).fill_null(value=False) for name in flags])


def _leaf(leaf: Leaf, frame: Frame) -> pl.Expr:
    match leaf:
        case Compare(operator=operator, left=left, right=right):
            return _compare(operator, _value(left, frame), _value(right, frame))
        case IsIn(value=value, options=options):
            return _is_in(value, options, frame)
        case Like(value=name, pattern=pattern):
            return pl.col(name.name).str.contains(_regular(pattern))
        case IsBlank(value=name):
            return pl.col(name.name).is_null()
        case Stated(value=name):
            return stated(pl.col(name.name), frame.placeholders, frame.pasted_in(name.name))
        case Truth(value=name):
            return pl.col(name.name)


def _is_in(value: Value, options: tuple[Constant, ...], frame: Frame) -> pl.Expr:
    column = _value(value, frame)
    if not any(names(value)):
        # polars takes a constant looked up in a list for a column of one row; a comparison stays a constant.
        return reduce(or_, (column == _value(option, frame) for option in options))
    if value.type in (ColumnType.INTEGER, ColumnType.NUMBER):
        # polars compares members of one type only, so that numbers meet as Float64.
        numbers = [float(option.value) for option in options if isinstance(option.value, int | float)]
        return column.cast(pl.Float64).is_in(pl.Series(numbers, dtype=pl.Float64).implode())
    return column.is_in(pl.Series([option.value for option in options], dtype=POLARS[value.type]).implode())


def _compare(operator: str, left: pl.Expr, right: pl.Expr) -> pl.Expr:
    comparisons: Mapping[str, pl.Expr] = {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    return comparisons[operator]


def _value(value: Value, frame: Frame) -> pl.Expr:
    match value:
        case Name(name=name):
            return pl.col(name)
        case Constant(value=datetime() as constant):
            return moment(constant)
        case Constant(value=constant):
            return pl.lit(constant)
        case Moment(type=kind, shift=shift, unit=unit):
            delta = timedelta(hours=shift) if unit == "hour" else timedelta(days=shift)
            if kind is ColumnType.DATE:
                return pl.lit(frame.today + delta)
            return moment(frame.now.astimezone(UTC) + delta)
        case Arithmetic(operation=operation, left=left, right=right):
            return _calculate(operation, _value(left, frame), _value(right, frame))


def _calculate(operation: str, left: pl.Expr, right: pl.Expr) -> pl.Expr:
    # In Float64, where nothing wraps around; what is too large or divided by zero is blank and not infinite.
    left, right = left.cast(pl.Float64), right.cast(pl.Float64)
    operations = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}
    result = operations[operation]
    return pl.when(result.is_finite()).then(result)


def _regular(pattern: str) -> str:
    body = pattern.translate(SPECIAL).replace("%", ".*").replace("_", ".")
    return f"(?s)^{body}$"
