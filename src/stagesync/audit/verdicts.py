"""Which criteria hold for which records, one bit each: 64 criteria to a word, so that a million records stay small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit.findings import Mask

WORD = 64
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Bits:
    """A truth for each record and criterion; criterion ``n`` is bit ``n % 64`` of word ``n // 64``."""

    records: int
    words: tuple[Words, ...]

    def at(self, record: int, criterion: int) -> bool:
        """One truth."""
        return bool((int(self.words[criterion // WORD][record]) >> (criterion % WORD)) & 1)

    def of(self, criterion: int) -> Mask:
        """The truths of one criterion, for every record."""
        mask: Mask = (self.words[criterion // WORD] >> np.uint64(criterion % WORD)) & np.uint64(1) == 1
        return mask

    def all_of(self, first: int, last: int) -> Mask:
        """For every record, whether all criteria from ``first`` up to but not including ``last`` hold."""
        mask: Mask = np.ones(self.records, dtype=np.bool_)
        for number, word in enumerate(self.words):
            low, high = max(first - number * WORD, 0), min(last - number * WORD, WORD)
            if low < high:
                wanted = np.uint64(((1 << (high - low)) - 1) << low)
                mask &= (word & wanted) == wanted
        return mask


def bits(rows: pl.DataFrame, conditions: Sequence[pl.Expr]) -> Bits:
    """Evaluate conditions (Boolean, without nulls) over all rows in one pass."""
    words = []
    for start in range(0, len(conditions), WORD):
        terms = [
            condition.cast(pl.UInt64) * pl.lit(1 << bit, dtype=pl.UInt64)
            for bit, condition in enumerate(conditions[start : start + WORD])
        ]
        words.append(pl.sum_horizontal(terms).alias(str(start)))
    if not words or not rows.height:
        return Bits(rows.height, tuple(np.zeros(rows.height, dtype=np.uint64) for _ in words))
    # Conditions on unknown items alone are constants; the row count keeps them as long as the frame.
    counted = rows.lazy().with_columns(words).select(str(start) for start in range(0, len(conditions), WORD))
    found = counted.collect(engine="streaming")
    return Bits(rows.height, tuple(column.to_numpy() for column in found.iter_columns()))
