"""Columns in which values come again, each value once: few are ever worded, written or read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.model.findings import Coded

T = TypeVar("T")
U = TypeVar("U")

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Distinct(Generic[T]):
    """Values, and for each place of a column which of them stands there."""

    values: Sequence[T]
    of: Places

    def map(self, made: Callable[[T], U]) -> Distinct[U]:
        """What is made of each value."""
        return Distinct([made(value) for value in self.values], self.of)

    def at(self, places: npt.NDArray[np.integer]) -> Distinct[T]:
        """What stands at some places, in their order."""
        return Distinct(self.values, self.of[places])

    def part(self, part: slice) -> Coded[T]:
        """A stretch of the column, with the values that stand there."""
        here = self.of[part]
        used = np.flatnonzero(np.bincount(here, minlength=len(self.values)))
        numbers = np.empty(len(self.values), dtype=np.intp)
        numbers[used] = np.arange(len(used))
        return Coded([self.values[place] for place in used.tolist()], numbers[here].tolist())


def distinct(column: pl.Series) -> Distinct[Any]:
    """A column with each of its values once; of an Enum without nulls all that it may have."""
    if isinstance(column.dtype, pl.Enum) and not column.null_count():
        return Distinct(column.dtype.categories.to_list(), column.to_physical().to_numpy().astype(np.intp))
    rows, of = different(column.to_frame())
    return Distinct(rows.to_series().to_list(), of)


def different(rows: pl.DataFrame) -> tuple[pl.DataFrame, Places]:
    """The rows of a table that differ, in the order in which they come, and for each row which of them it is."""
    grouped = rows.with_row_index(":at").group_by(rows.columns, maintain_order=True).agg(":at")
    sizes, at = grouped[":at"].list.len().to_numpy(), grouped[":at"].explode().to_numpy()
    of = np.empty(rows.height, dtype=np.intp)
    of[at] = np.repeat(np.arange(grouped.height), sizes)
    return grouped.drop(":at"), of
