"""The masks of the engine against the oracle: one expression, many rows, four values of a leaf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.audit.masks import Frame, met, possible, stated
from stagesync.audit.verdicts import truths
from stagesync.model.frames import POLARS
from stagesync.model.tables import UNREADABLE
from stagesync.policy.expressions import parse
from tests.thorough import tries
from tests.unit import oracle
from tests.unit.oracle import NOW, Moment, Node
from tests.unit.trees import EXPRESSIONS, PLACEHOLDERS, TEXTS, VOCABULARY, rows, unknowns

MOMENT = Moment(NOW, ZoneInfo("Pacific/Auckland"), PLACEHOLDERS)
FRAME = Frame(now=NOW, time_zone=MOMENT.zone, placeholders=frozenset(word.lower() for word in PLACEHOLDERS))
many_rows = st.lists(st.tuples(rows(), unknowns), min_size=1, max_size=12)


def table(drawn: Sequence[tuple[dict[str, Any], set[str]]], gaps: set[str]) -> tuple[pl.DataFrame, frozenset[str]]:
    """The rows as evidence: no column for a gap, null and a companion for what cannot be read."""
    known = [name for name in VOCABULARY if name not in gaps]
    values = {name: [None if name in broken else row[name] for row, broken in drawn] for name in known}
    frame = pl.DataFrame(values, schema={name: POLARS[VOCABULARY[name]] for name in known})
    unreadable = frozenset(name for name in known if any(name in broken for _, broken in drawn))
    flags = {name + UNREADABLE: [name in broken for _, broken in drawn] for name in unreadable}
    return frame.with_columns(**{name: pl.Series(flag) for name, flag in flags.items()}), unreadable


def matrix(frame: pl.DataFrame, expressions: Sequence[pl.Expr]) -> npt.NDArray[np.bool_]:
    """One row a record, one column an expression."""
    return truths(frame, {str(number): expression for number, expression in enumerate(expressions)}).to_numpy()


def engine(node: Node, frame: pl.DataFrame, gaps: set[str], unreadable: frozenset[str]) -> list[tuple[bool, bool]]:
    """Met and possible for each row, from the text of the expression."""
    expression = parse(oracle.written(node), VOCABULARY)
    about = Frame(
        now=NOW,
        time_zone=FRAME.time_zone,
        placeholders=FRAME.placeholders,
        unknown=frozenset(gaps),
        unreadable=unreadable,
    )
    mask = matrix(frame, [met(expression, about), possible(expression, about)])
    return [(bool(sure), bool(maybe)) for sure, maybe in mask]


@settings(max_examples=tries(ordinary=200, soak=2_000))
@given(EXPRESSIONS, many_rows, unknowns)
def test_the_engine_agrees_with_the_oracle(
    node: Node, drawn: list[tuple[dict[str, Any], set[str]]], gaps: set[str]
) -> None:
    frame, unreadable = table(drawn, gaps)
    expected = [
        (oracle.met(node, row, gaps | broken, MOMENT), oracle.possible(node, row, gaps | broken, MOMENT))
        for row, broken in drawn
    ]
    assert engine(node, frame, gaps, unreadable) == expected


@settings(max_examples=100)
@given(EXPRESSIONS, many_rows, unknowns, unknowns)
def test_learning_something_narrows_the_bounds_and_never_crosses_them(
    node: Node, drawn: list[tuple[dict[str, Any], set[str]]], gaps: set[str], more: set[str]
) -> None:
    less_known = engine(node, *_with(drawn, gaps | more))
    better_known = engine(node, *_with(drawn, gaps))
    for (sure, maybe), (sure_now, maybe_now) in zip(less_known, better_known, strict=True):
        assert sure <= maybe
        assert sure_now <= maybe_now
        assert sure <= sure_now, "what was met for sure stays so when more is known"
        assert maybe_now <= maybe, "an unknown never makes anything impossible"


def _with(
    drawn: list[tuple[dict[str, Any], set[str]]], gaps: set[str]
) -> tuple[pl.DataFrame, set[str], frozenset[str]]:
    frame, unreadable = table(drawn, gaps)
    return frame, gaps, unreadable


@settings(max_examples=60)
@given(EXPRESSIONS)
def test_without_is_null_or_stated_a_blank_row_meets_nothing_that_looks_at_it(node: Node) -> None:
    asked = oracle.leaves(node)
    if any(leaf[0] in ("null", "stated") for leaf in asked) or not all(set(oracle.names(leaf)) for leaf in asked):
        return
    frame, unreadable = table([(dict.fromkeys(VOCABULARY), set())], set())
    assert engine(node, frame, set(), unreadable) == [(False, False)]


# What SQL says, by hand: the text, the row, and true, false or None. The engine is told nothing but the text.
ROW: dict[str, Any] = {
    "replies": 3,
    "calls": None,
    "amount": 2.5,
    "share": None,
    "pain": "it's slow",
    "step": None,
    "won": False,
    "closed": None,
    "close_date": NOW.date(),
    "start_date": None,
    "last_activity": NOW,
    "booked": None,
}
TRUTHS = [
    ("replies = 3", True),
    ("replies <> 3", False),
    ("calls = 3", None),
    ("calls <> 3", None),
    ("calls = calls", None),
    ("not calls = 3", None),
    ("not replies = 4", True),
    ("replies = 3 or calls = 1", True),
    ("replies = 4 or calls = 1", None),
    ("replies = 4 and calls = 1", False),
    ("replies = 3 and calls = 1", None),
    ("not (replies = 4 and calls = 1)", True),
    ("replies in (1, 3)", True),
    ("replies in (1, 2.5)", False),
    ("replies in (3.0)", True),
    ("amount in (1, 2)", False),
    ("amount in (2.5, 1)", True),
    ("replies not in (1, 2)", True),
    ("calls in (1, 2)", None),
    ("calls not in (1, 2)", None),
    ("replies between 1 and 3", True),
    ("replies between 3 and 1", False),
    ("replies not between 1 and 3", False),
    ("not replies between 1 and 2", True),
    ("replies between 4 and calls", False),
    ("replies between 1 and calls", None),
    ("replies not between 4 and calls", True),
    ("calls between 1 and 3", None),
    ("pain like 'it%'", True),
    ("pain like 'IT%'", False),
    ("pain like 'it''s slow'", True),
    ("pain not like 'it%'", False),
    ("not pain like 'x%'", True),
    ("pain like 'it_s slow'", True),
    ("pain like 'it.s slow'", False),
    ("pain like ''", False),
    ("pain like '%'", True),
    ("step like '%'", None),
    ("step not like 'x'", None),
    ("step is null", True),
    ("step is not null", False),
    ("not step is null", False),
    ("pain is not null", True),
    ("stated(pain)", True),
    ("stated(step)", False),
    ("not stated(step)", True),
    ("won", False),
    ("not won", True),
    ("closed", None),
    ("not closed", None),
    ("won or not closed", None),
    ("won = false", True),
    ("closed = false", None),
    ("won < true", True),
    ("replies + 1 = 4", True),
    ("replies + calls > 0", None),
    ("-replies = -3", True),
    ("- -replies = 3", True),
    ("replies - -1 = 4", True),
    ("replies / 2 = 1.5", True),
    ("10 / 4 = 2.5", True),
    ("replies / 0 = 1", None),
    ("not replies / 0 = 1", None),
    ("replies * 999999999999999999 * 999999999999999999 > 0", True),
    ("amount * 1e308 > 0", None),
    ("2 + 3 * 4 = 14", True),
    ("(2 + 3) * 4 = 20", True),
    ("2 - 3 - 4 = -5", True),
    ("close_date = today()", True),
    ("close_date = '2026-03-11'", True),
    ("'2026-03-11' = close_date", True),
    ("close_date < today()", False),
    ("close_date = today() - interval '1' week", False),
    ("close_date > today() - interval '2 weeks'", True),
    ("start_date < today()", None),
    ("last_activity = now()", True),
    ("last_activity > now() - interval '1' hour", True),
    ("last_activity < '2026-03-11T10:30:00+01:00'", False),
    ("last_activity = '2026-03-11T10:30:00+01:00'", True),
    ("last_activity in ('2026-03-11T10:30:00+01:00', '2026-01-01T00:00:00Z')", True),
    ("booked > now()", None),
    ("pain < 'z'", True),
    ("pain > 'Z'", True),
    ("replies = 3 and not won or calls = 1", True),
    ("not replies = 3 or won", False),
    ("not (replies = 3 or won)", False),
]
MOMENT_UTC = Frame(now=NOW, time_zone=ZoneInfo("UTC"))


@pytest.mark.parametrize(("text", "truth"), TRUTHS, ids=[text for text, _ in TRUTHS])
def test_expressions_mean_what_sql_says(text: str, truth: bool | None) -> None:
    frame, _ = table([(ROW, set())], set())
    yes, no = (matrix(frame, [met(parse(words, VOCABULARY), MOMENT_UTC)])[0, 0] for words in (text, f"not ({text})"))
    assert (bool(yes), bool(no)) == (truth is True, truth is False)


def test_today_is_the_day_of_the_time_zone_and_now_a_moment() -> None:
    # 09:30 UTC on the 11th is 22:30 in Auckland and 23:30 on the 10th on the Pago Pago clock.
    frame, _ = table([(ROW, set())], set())
    tree = parse("close_date = today()", VOCABULARY)
    zones = {"Pacific/Auckland": True, "UTC": True, "Pacific/Pago_Pago": False}
    for zone, truth in zones.items():
        assert bool(matrix(frame, [met(tree, Frame(now=NOW, time_zone=ZoneInfo(zone)))])[0, 0]) is truth


@pytest.mark.parametrize("text", [*TEXTS, "", " tbd\t", "N/A", "n/a.", "?!", "ß", "ab", "1", "12", "…", "tbd tbd"])
def test_what_is_stated(text: str) -> None:
    frame = pl.DataFrame({"x": [text]})
    says = frame.select(stated(pl.col("x"), FRAME.placeholders)).item()
    assert says == oracle.says_something(text, PLACEHOLDERS)


def test_a_condition_without_a_record_is_judged_too() -> None:
    frame, _ = table([], set())
    assert matrix(frame, [met(parse("1 = 1", VOCABULARY), FRAME), met(parse("won", VOCABULARY), FRAME)]).shape == (0, 2)
