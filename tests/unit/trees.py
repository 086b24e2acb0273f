"""What hypothesis draws: typed expressions, rows full of blanks, and the vocabulary that both use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from stagesync.model.tables import ColumnType
from tests.unit.oracle import NOW, Node

VOCABULARY: Mapping[str, ColumnType] = {
    "replies": ColumnType.INTEGER,
    "calls": ColumnType.INTEGER,
    "amount": ColumnType.NUMBER,
    "share": ColumnType.NUMBER,
    "pain": ColumnType.TEXT,
    "step": ColumnType.TEXT,
    "won": ColumnType.BOOLEAN,
    "closed": ColumnType.BOOLEAN,
    "close_date": ColumnType.DATE,
    "start_date": ColumnType.DATE,
    "last_activity": ColumnType.DATETIME,
    "booked": ColumnType.DATETIME,
}
PLACEHOLDERS = ("tbd", "N/A", "große Frage")
COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
TEXTS = (
    "tbd",
    "TBD ",
    "n/a",
    "x",
    "--",
    "it's slow",
    "slow",
    " It's\u00a0 SLOW",
    "Slow ",
    "a_b",
    "axb",
    "50% off",
    "GROSSE FRAGE",
    "Große Frage",
    "é",
    "日本",
    "a\nb",
    "  ",
)

days = st.integers(-30, 30)
integers = st.integers(-3, 6)
numbers = st.sampled_from([0.0, 0.5, 1.0, 2.5, -1.5, 1000.0, 1e300])
texts = st.sampled_from(TEXTS)
dates = days.map(lambda n: NOW.date() + timedelta(days=n))
datetimes = st.integers(-30 * 24, 30 * 24).map(lambda n: NOW + timedelta(hours=n))
VALUES: Mapping[ColumnType, SearchStrategy[Any]] = {
    ColumnType.INTEGER: integers,
    ColumnType.NUMBER: numbers,
    ColumnType.TEXT: texts,
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.DATE: dates,
    ColumnType.DATETIME: datetimes,
}


def named(*kinds: ColumnType) -> SearchStrategy[str]:
    """The name of an item of one of these types."""
    return st.sampled_from([name for name, kind in VOCABULARY.items() if kind in kinds])


def _constant(value: Any) -> Node:
    return ("constant", value)


def _numeric() -> SearchStrategy[Node]:
    numeric = named(ColumnType.INTEGER, ColumnType.NUMBER).map(lambda name: ("name", name))
    simple = st.one_of(numeric, integers.map(_constant), numbers.map(_constant))
    operation = st.sampled_from("+-*/")
    calculated = st.tuples(st.just("arithmetic"), operation, simple, simple)
    twice = st.tuples(st.just("arithmetic"), operation, calculated, simple)
    # A minus before a constant is part of the constant in the language, so that only names get one here.
    minus = numeric.map(lambda value: ("minus", value))
    return st.one_of(numeric, numeric, simple, calculated, twice, minus)


def _moments(kind: ColumnType) -> SearchStrategy[Node]:
    if kind is ColumnType.DATE:
        shift = st.tuples(st.just("today"), days, st.sampled_from(["day", "week"]))
    else:
        shift = st.tuples(st.just("now"), days, st.sampled_from(["hour", "day", "week"]))
    names = named(kind).map(lambda name: ("name", name))
    return st.one_of(names, names, VALUES[kind].map(_constant), shift)


def _values(kind: ColumnType) -> SearchStrategy[Node]:
    if kind in (ColumnType.INTEGER, ColumnType.NUMBER):
        return _numeric()
    if kind in (ColumnType.DATE, ColumnType.DATETIME):
        return _moments(kind)
    return st.one_of(named(kind).map(lambda name: ("name", name)), VALUES[kind].map(_constant))


def _comparison(kind: ColumnType) -> SearchStrategy[Node]:
    return st.tuples(st.just("compare"), st.sampled_from(COMPARISONS), _values(kind), _values(kind))


def _between(kind: ColumnType) -> SearchStrategy[Node]:
    return st.tuples(st.just("between"), _values(kind), _values(kind), _values(kind), st.booleans())


def _in(kind: ColumnType) -> SearchStrategy[Node]:
    members = st.one_of(integers, numbers) if kind in (ColumnType.INTEGER, ColumnType.NUMBER) else VALUES[kind]
    return st.tuples(st.just("in"), _values(kind), st.lists(members, min_size=1, max_size=3), st.booleans())


KINDS = tuple(ColumnType)
patterns = st.lists(st.sampled_from(["%", "_", "a", "x", "slow", "it's", ".", "%", "b", "é", "\n", "["]), max_size=4)
LEAVES: SearchStrategy[Node] = st.one_of(
    *(_comparison(kind) for kind in KINDS),
    *(_in(kind) for kind in KINDS),
    *(_between(kind) for kind in KINDS),
    st.tuples(st.just("like"), named(ColumnType.TEXT), patterns.map("".join), st.booleans()),
    st.tuples(st.just("null"), named(*KINDS), st.booleans()),
    named(ColumnType.TEXT).map(lambda name: ("stated", name)),
    named(ColumnType.BOOLEAN).map(lambda name: ("truth", name)),
)


def _joined(parts: SearchStrategy[Node]) -> SearchStrategy[Node]:
    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(
        parts.map(lambda part: ("not", part)),
        several.map(lambda them: ("and", them)),
        several.map(lambda them: ("or", them)),
    )


EXPRESSIONS: SearchStrategy[Node] = st.recursive(LEAVES, _joined, max_leaves=6)


def rows(vocabulary: Mapping[str, ColumnType] = VOCABULARY) -> SearchStrategy[dict[str, Any]]:
    """A row in which about every third value is blank."""
    return st.fixed_dictionaries(
        {name: st.one_of(st.none(), VALUES[kind], VALUES[kind]) for name, kind in vocabulary.items()}
    )


unknowns = st.sets(st.sampled_from(sorted(VOCABULARY)), max_size=4)
