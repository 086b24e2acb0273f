"""The rival: the criteria of audit_engine.py as a person would write them in polars, and nothing of StageSync."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

STAGES = 8
NUMBERS = [f"n{index}" for index in range(12)]
TEXTS = [f"t{index}" for index in range(8)]
FLAGS = [f"f{index}" for index in range(5)]


def by_hand(stage: int) -> list[pl.Expr]:
    """The same five criteria as a person would write them in polars."""
    n = [pl.col(name) for name in NUMBERS]
    return [
        n[stage] >= 5 + stage,
        n[(stage + 3) % 12].is_between(1, 99),
        pl.col(TEXTS[stage]).is_not_null() | (n[(stage + 5) % 12] > 10),
        pl.col(FLAGS[stage % 5]) | (n[(stage + 7) % 12] < 95),
        n[(stage + 1) % 12] + n[(stage + 2) % 12] > 3,
    ]


def hand_written(rows: pl.DataFrame) -> np.ndarray:
    """One mask expression and the numpy step to the earned stage."""
    terms = [
        expression.fill_null(value=False).cast(pl.UInt64) * pl.lit(1 << (stage * 5 + number), dtype=pl.UInt64)
        for stage in range(STAGES)
        for number, expression in enumerate(by_hand(stage))
    ]
    mask = rows.lazy().select(pl.sum_horizontal(terms)).collect(engine="streaming").to_series().to_numpy()
    earned = np.full(len(mask), -1, dtype=np.int8)
    still = np.ones(len(mask), dtype=bool)
    for stage in range(STAGES):
        bits = np.uint64(0b11111 << (stage * 5))
        still &= (mask & bits) == bits
        earned[still] = stage
    return earned


def main() -> None:
    """How many records of a Parquet file have earned each stage."""
    counts = np.bincount(hand_written(pl.read_parquet(sys.argv[1])) + 1)
    print(dict(enumerate(counts.tolist(), start=-1)))


if __name__ == "__main__":
    main()
