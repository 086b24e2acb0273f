"""Forecast truth: the face value of the open pipeline beside what its records have earned. No I/O, no clock.

The win rate of a rung is the share that was won of the closed records (won or lost) that the history says once stood
on it, on whatever native stage. It is each object's own: from ENOUGH_CLOSED closed records on, and from their history
alone, never assumed.

A record counts with the rate of a rung that its object has stages for. Having earned a rung without a stage there, it
counts as on the nearest one below. Having earned only rungs below all of them, it has earned no place in this
pipeline and counts with zero; no history can hold a rate for it, since nothing can stand there. That is applied to
what it *surely* earned; where unknowns leave more possible, the upper bound counts that. An open record never counts
as terminal, whatever it earned: nobody has bought until the record says so.

Nothing converts currencies: where records with an amount are in several, there is no sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit.judgement import Judgement
from stagesync.audit.money import currencies, one_currency
from stagesync.audit.outcomes import outcomes, stood
from stagesync.model.counting import counted

ENOUGH_CLOSED = 30
"""Closed records from which a share is called a win rate: with 30, one of 50 % is known to about 9 points (one
standard error); with 10 it would be 16, and the difference between two stages would be chance."""

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """Of ``closed`` records that once stood on a rung, ``won`` were won. Without ``rate`` there is a ``reason``."""

    stage: str
    position: int
    won: int
    closed: int
    rate: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Value:
    """The worth of some open records: ``face`` is the sum of their amounts, ``weighted`` takes the win rates of the
    rungs on which they stand, ``earned_low`` and ``earned_high`` those of the rungs they surely and possibly earned.

    None where a win rate that is needed is not known, or where there are several currencies: half a sum would look
    like a whole one.
    """

    records: int
    without_amount: int
    face: float | None
    weighted: float | None
    earned_low: float | None
    earned_high: float | None


@dataclass(frozen=True, kw_only=True)
class Owned:
    """The open records of one owner."""

    owner: str | None
    name: str | None
    value: Value


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The open pipeline of one object. ``unearned`` are the records that surely have earned no rung of it.

    ``currencies`` are those of its amounts, as far as the mapping says which field holds them. ``ladder`` names the one
    on which its records stand, where the definitions have several.
    """

    connection: str
    object: str
    ladder: str | None
    rates: tuple[WinRate, ...]
    total: Value
    by_stage: Mapping[str, Value]
    by_owner: tuple[Owned, ...]
    unearned: Value
    currencies: tuple[str, ...]


def forecast(judgement: Judgement, past: pl.DataFrame | None) -> Forecast | None:
    """The forecast of one judged object; None when the mapping names no amount for it.

    ``past`` is what ``history.past_stages`` gives: None where there is no history, and so no win rate.
    """
    if judgement.mapped.amount is None:
        return None
    rates = tuple(_win_rates(judgement, past))
    # Slot 0 is "no rung of this pipeline", slot n + 1 the n-th rung that it has stages for.
    values = np.array([0.0, *(np.nan if rate.rate is None else rate.rate for rate in rates)])
    starts = np.array([rate.position for rate in rates], dtype=np.int64)
    standing, low, high = (_slots(starts, at) for at in (_standing(judgement), judgement.low, judgement.high))
    lowest, highest = _between(values)
    rows = judgement.records.select("place", "owner", "owner_name", "amount", "currency").with_columns(
        weighted=_by(values[standing]),
        lowest=_by(lowest[low, high]),
        highest=_by(highest[low, high]),
        unearned=pl.Series(high == 0),
    )
    open_rows = rows.filter(pl.col("place").is_in([rate.stage for rate in rates])).with_columns(
        pl.col("weighted") * pl.col("amount"),
        # A negative amount turns the bounds around.
        lowest=pl.min_horizontal(pl.col("lowest") * pl.col("amount"), pl.col("highest") * pl.col("amount")),
        highest=pl.max_horizontal(pl.col("lowest") * pl.col("amount"), pl.col("highest") * pl.col("amount")),
    )
    stages = {str(row["place"]): _value(row) for row in _sums(open_rows.group_by("place"))}
    owners = open_rows.group_by("owner", "owner_name")
    owned = [Owned(owner=row["owner"], name=row["owner_name"], value=_value(row)) for row in _sums(owners)]
    return Forecast(
        connection=judgement.connection,
        object=judgement.mapped.name,
        ladder=judgement.scope.ladder,
        rates=rates,
        total=_all(open_rows),
        by_stage={rate.stage: stages[rate.stage] for rate in rates if rate.stage in stages},
        by_owner=tuple(sorted(owned, key=lambda one: (-(one.value.face or 0.0), one.owner or ""))),
        unearned=_all(open_rows.filter("unearned")),
        currencies=currencies([open_rows]),
    )


def _slots(starts: npt.NDArray[np.int64], positions: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """Of each position how many slots start at or below it; there are few positions, so each is searched for once."""
    first, last = (int(positions.min()), int(positions.max())) if positions.size else (0, 0)
    slots = np.searchsorted(starts, np.arange(first, last + 1), side="right")
    return slots[positions - first]


def _standing(judgement: Judgement) -> npt.NDArray[np.int16]:
    return judgement.records["position"].to_numpy()


def _win_rates(judgement: Judgement, past: pl.DataFrame | None) -> Iterator[WinRate]:
    """For each open rung that the object has stages for, from the bottom up."""
    found = outcomes(judgement)
    reason = found.reason
    if reason is None and past is None:
        reason = "the stage history was not read" if judgement.mapped.history else "the mapping names no stage history"
    counts: dict[int, tuple[int, int]] = {}
    if reason is None and past is not None:
        steps = stood(judgement, past, found.won | found.lost)
        for (position,), rows in steps.select("position", "row").partition_by("position", as_dict=True).items():
            once = np.zeros(judgement.records.height, dtype=np.bool_)  # a record counts once, however often it came
            once[rows["row"].to_numpy()] = True
            counts[int(position)] = (int((once & found.won).sum()), int(once.sum()))
    places = set(judgement.mapped.stages.values())
    for rung in judgement.definition.rungs:
        if rung.name in places and not rung.terminal:
            won, closed = counts.get(rung.position, (0, 0))
            enough = closed >= ENOUGH_CLOSED
            few = f"{counted(closed, 'closed record')} once stood here; a win rate needs {ENOUGH_CLOSED}"
            yield WinRate(
                stage=rung.name,
                position=rung.position,
                won=won,
                closed=closed,
                rate=won / closed if enough else None,
                reason=None if enough else reason or few,
            )


def _between(values: Rates) -> tuple[Rates, Rates]:
    """The smallest and the largest rate from one slot to another: a later stage need not win more often."""
    size = len(values)
    lowest, highest = np.full((size, size), np.nan), np.full((size, size), np.nan)
    for low in range(size):
        for high in range(low, size):
            some = values[low : high + 1]
            lowest[low, high], highest[low, high] = some.min(), some.max()
    return lowest, highest


def _by(rates: Rates) -> pl.Series:
    return pl.Series(rates, dtype=pl.Float64).fill_nan(None)


def _figures() -> list[pl.Expr]:
    amount = pl.col("amount")
    sums = [
        pl.when(one_currency() & ~(amount.is_not_null() & pl.col(name).is_null()).any())
        .then(pl.col(name).sum())
        .alias(name)
        for name in ("weighted", "lowest", "highest")
    ]
    face = pl.when(one_currency()).then(amount.sum()).alias("face")
    return [pl.len().alias("records"), amount.null_count().alias("without_amount"), face, *sums]


def _sums(groups: pl.dataframe.group_by.GroupBy) -> Iterator[dict[str, Any]]:
    yield from groups.agg(_figures()).iter_rows(named=True)


def _all(rows: pl.DataFrame) -> Value:
    return _value(rows.select(_figures()).row(0, named=True))


def _value(row: Mapping[str, Any]) -> Value:
    return Value(
        records=row["records"],
        without_amount=row["without_amount"],
        face=_finite(row["face"]),
        weighted=_finite(row["weighted"]),
        earned_low=_finite(row["lowest"]),
        earned_high=_finite(row["highest"]),
    )


def _finite(sum_: object) -> float | None:
    """A sum of amounts that are absurd overflows; it is none, and not infinite."""
    return sum_ + 0.0 if isinstance(sum_, float) and isfinite(sum_) else None  # and not -0
