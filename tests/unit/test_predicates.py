"""The functions of one record against the masks of the engine: the same expressions, the same records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.audit import masks, predicates
from stagesync.audit.masks import Frame
from stagesync.audit.verdicts import truths
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE, ColumnType
from stagesync.policy.expressions import parse
from stagesync.policy.expressions.tree import Compare, Constant, Expression, IsIn, Like, Name
from tests.thorough import tries
from tests.unit import oracle
from tests.unit.oracle import Node
from tests.unit.test_masks import FRAME, MOMENT_UTC, ROW, TRUTHS, many_rows, table
from tests.unit.trees import EXPRESSIONS, VOCABULARY, unknowns

KNOWN = st.characters(exclude_categories=["Cs", "Cn"])
"""Characters that Python's Unicode knows, so that both libraries call the same ones letters."""


def by_mask(rows: pl.DataFrame, frame: Frame, *expressions: Expression) -> list[list[bool]]:
    """Met and possible of every expression, each for all rows, in columns."""
    asked = [judge(expression, frame) for expression in expressions for judge in (masks.met, masks.possible)]
    found = truths(rows, {f"truth {number}": mask for number, mask in enumerate(asked)})
    return [column.to_list() for column in found.iter_columns()]


def by_predicate(rows: pl.DataFrame, frame: Frame, *expressions: Expression) -> list[list[bool]]:
    """The same, record by record."""
    records = rows.to_dicts()
    asked = [judge(expression, frame) for expression in expressions for judge in (predicates.met, predicates.possible)]
    return [[predicate(record) for record in records] for predicate in asked]


@settings(max_examples=tries(ordinary=150, soak=2_000))
@given(EXPRESSIONS, many_rows, unknowns)
def test_a_record_alone_is_judged_as_among_many(
    node: Node, drawn: list[tuple[dict[str, Any], set[str]]], gaps: set[str]
) -> None:
    rows, unreadable = table(drawn, gaps)
    expression = parse(oracle.written(node), VOCABULARY)
    frame = replace(FRAME, unknown=frozenset(gaps), unreadable=unreadable)
    assert by_predicate(rows, frame, expression) == by_mask(rows, frame, expression)


@pytest.mark.parametrize(("text", "truth"), TRUTHS, ids=[text for text, _ in TRUTHS])
def test_expressions_mean_what_sql_says(text: str, truth: bool | None) -> None:
    yes, no = (predicates.met(parse(words, VOCABULARY), MOMENT_UTC)(ROW) for words in (text, f"not ({text})"))
    assert (yes, no) == (truth is True, truth is False)


# Values that the tables may hold but that are drawn too seldom, or that only a broken table holds (NaN).
EDGES: dict[ColumnType, Sequence[Any]] = {
    ColumnType.INTEGER: (2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 0),
    ColumnType.NUMBER: (float(2**53), 1e308, -1e308, 5e-324, 0.0, -0.0, 0.1 + 0.2, float("nan")),
    ColumnType.TEXT: (
        "\x1cab\x1f",
        "\u2003ab\u2028",
        "ΑΣ",
        "İx",
        "\x00",
        "ab\u200b",
        "\U0001f600\U0001f600",
        "\uffff",
        "ſt",
    ),
    ColumnType.BOOLEAN: (True, False),
    ColumnType.DATE: (date.min, date.max),
}


def constants(kind: ColumnType) -> Iterator[Constant]:
    for value in EDGES[kind]:
        # What the language can say.
        if repr(value) != "nan" and (kind is not ColumnType.INTEGER or abs(value) < 10**18):
            yield Constant(value, kind)


def comparisons(kind: ColumnType, other: ColumnType) -> Iterator[Expression]:
    for operator in predicates.COMPARISONS:
        yield Compare(operator, Name("a", kind), Name("b", other))
        yield from (Compare(operator, Name("a", kind), constant) for constant in constants(other))
    yield IsIn(Name("a", kind), tuple(constants(other)))


NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
PAIRS = [(kind, other) for kind in EDGES for other in EDGES if kind is other or {kind, other} <= set(NUMERIC)]


@pytest.mark.parametrize(("kind", "other"), PAIRS)
def test_at_the_edges_of_a_type_both_compare_alike(kind: ColumnType, other: ColumnType) -> None:
    pairs = [(a, b) for a in (*EDGES[kind], None) for b in (*EDGES[other], None)]
    rows = pl.DataFrame(pairs, schema={"a": POLARS[kind], "b": POLARS[other]}, orient="row")
    asked = list(comparisons(kind, other))
    one_by_one, in_columns = by_predicate(rows, FRAME, *asked), by_mask(rows, FRAME, *asked)
    for number, expression in enumerate(asked):
        assert one_by_one[2 * number] == in_columns[2 * number], expression


@given(st.lists(st.text(KNOWN) | st.text("ab \x1c\u2003Σİ-", max_size=4), min_size=1, max_size=50))
def test_both_agree_on_what_a_text_states(texts: list[str]) -> None:
    stated = pl.DataFrame({"text": texts}).select(masks.stated(pl.col("text"), FRAME.placeholders)).to_series()
    assert [predicates.stated(text, FRAME.placeholders) for text in texts] == stated.to_list()


@given(st.text("ab%_\n.*é", max_size=8), st.lists(st.text("ab%_\n.*é\U0001f600", max_size=8), min_size=1, max_size=20))
def test_both_find_the_same_patterns(pattern: str, texts: list[str]) -> None:
    rows = pl.DataFrame({"text": texts})
    expression = Like(Name("text", ColumnType.TEXT), pattern)
    found = by_predicate(rows, FRAME, expression)
    assert found == by_mask(rows, FRAME, expression)
    assert found[0] == [oracle.matches(text, pattern) for text in texts]


def test_a_pattern_of_many_gaps_ends_soon_on_a_long_text() -> None:
    # Backtracking through all ways to place twenty gaps would outlast the universe.
    like = predicates.met(Like(Name("text", ColumnType.TEXT), "%a" * 20 + "%b"), FRAME)
    assert not like({"text": "a" * 2_000})
    assert like({"text": "a" * 2_000 + "b"})


def test_a_value_that_cannot_be_read_is_unknown_and_not_blank() -> None:
    frame = replace(FRAME, unreadable=frozenset({"pain"}))
    record = {"pain": None, "pain" + UNREADABLE: True}
    for text in ("pain is null", "not pain is null", "stated(pain)", "pain = 'x'", "pain <> 'x'"):
        expression = parse(text, VOCABULARY)
        assert not predicates.met(expression, frame)(record), text
        assert predicates.possible(expression, frame)(record), text
