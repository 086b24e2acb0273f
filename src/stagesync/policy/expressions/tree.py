"""The typed tree of an expression. Every engine (columns, a single record, later SQL) compiles from it.

Conditions have three values as in SQL: a comparison with a blank is neither true nor false. Only ``is null`` and
``stated`` look at blanks and always answer true or false.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Literal as OneOf

from msgspec import Struct

from stagesync.model.tables import ColumnType

Comparison = OneOf["=", "!=", "<", "<=", ">", ">="]
Operation = OneOf["+", "-", "*", "/"]
IntervalUnit = OneOf["hour", "day", "week"]


class Name(Struct, frozen=True):
    """The value of an evidence item or a column."""

    name: str
    type: ColumnType


class Constant(Struct, frozen=True):
    """A value written in the expression; a datetime is UTC."""

    value: str | float | int | bool | date | datetime
    type: ColumnType


class Moment(Struct, frozen=True):
    """``today()`` (a date in the run's time zone) or ``now()`` (UTC), shifted by a number of hours or days."""

    type: ColumnType
    shift: int = 0
    unit: IntervalUnit = "day"


class Arithmetic(Struct, frozen=True):
    """A number computed from two numbers, in floating point. What is not finite (division by zero) is blank."""

    operation: Operation
    left: Value
    right: Value
    type: ColumnType


class Compare(Struct, frozen=True):
    """A comparison of two values of the same type."""

    operator: Comparison
    left: Value
    right: Value


class IsIn(Struct, frozen=True):
    """The value is one of the constants."""

    value: Value
    options: tuple[Constant, ...]


class Like(Struct, frozen=True):
    """The text matches the pattern: ``%`` stands for any text, ``_`` for one character; case matters."""

    value: Name
    pattern: str


class IsBlank(Struct, frozen=True):
    """``is null``: there is no value. True or false, never blank."""

    value: Name


class Stated(Struct, frozen=True):
    """The text says something: not blank and not a placeholder. True or false, never blank."""

    value: Name


class Truth(Struct, frozen=True):
    """A boolean value standing as a condition of its own."""

    value: Name


class Not(Struct, frozen=True):
    """The opposite; of a blank, blank."""

    condition: Expression


class And(Struct, frozen=True):
    """All of them."""

    conditions: tuple[Expression, ...]


class Or(Struct, frozen=True):
    """Any of them."""

    conditions: tuple[Expression, ...]


Value = Name | Constant | Moment | Arithmetic
Leaf = Compare | IsIn | Like | IsBlank | Stated | Truth
Expression = Leaf | Not | And | Or


def names(node: Expression | Value) -> Iterator[Name]:
    """All names in the expression, in order of appearance, with repetitions."""
    match node:
        case Name():
            yield node
        case Constant() | Moment():
            return
        case Arithmetic(left=left, right=right) | Compare(left=left, right=right):
            yield from names(left)
            yield from names(right)
        case IsIn(value=value) | Like(value=value) | IsBlank(value=value) | Stated(value=value) | Truth(value=value):
            yield from names(value)
        case Not(condition=condition):
            yield from names(condition)
        case And(conditions=conditions) | Or(conditions=conditions):
            for condition in conditions:
                yield from names(condition)


def leaves(node: Expression) -> Iterator[Leaf]:
    """The conditions at the ends of the tree, in order of appearance."""
    match node:
        case Not(condition=condition):
            yield from leaves(condition)
        case And(conditions=conditions) | Or(conditions=conditions):
            for condition in conditions:
                yield from leaves(condition)
        case _:
            yield node
