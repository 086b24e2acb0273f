"""Which criteria hold for which records: a Boolean column each, so that a truth is one bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit import masks, predicates
from stagesync.audit.masks import Frame
from stagesync.audit.predicates import Predicate
from stagesync.model.findings import Verdict
from stagesync.policy.expressions.tree import Expression, names

FEW = 50
"""Up to this many rows the functions of a record cost less than the start of an engine for columns."""
SMALL = 20_000
"""Below this many rows the streaming engine costs more to start than it saves."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The three values of each criterion for each record; the columns are Boolean without nulls.

    ``possible`` holds the very column of ``met`` where nothing that the criterion asks for is unknown, and may hold it
    where the two are equal.
    """

    met: Sequence[pl.Series]
    possible: Sequence[pl.Series]

    def at(self, record: int, criterion: int) -> Verdict:
        """One verdict."""
        if self.met[criterion][record]:
            return Verdict.MET
        return Verdict.UNKNOWN if self.possible[criterion][record] else Verdict.NOT_MET

    def of(self, rows: npt.NDArray[np.uint32]) -> Verdicts:
        """The verdicts of some records, in their order."""
        places = pl.Series(rows)
        met, possible = ([column[places] for column in columns] for columns in (self.met, self.possible))
        return Verdicts(met=met, possible=possible)

    @property
    def left_open(self) -> Sequence[int]:
        """The criteria that an unknown may have left open for some record."""
        return [n for n, (sure, maybe) in enumerate(zip(self.met, self.possible, strict=True)) if sure is not maybe]


@dataclass(frozen=True)
class Condition:
    """What is asked of each record: whether the expression is surely met, or whether it is ``possible``."""

    expression: Expression
    possible: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """Conditions by name, compiled for a frame when first evaluated: to functions for few records, else to masks."""

    asked: Mapping[str, Condition]
    frame: Frame

    def truths(self, rows: pl.DataFrame) -> Mapping[str, pl.Series]:
        """Evaluate all conditions over all rows; a Boolean column without nulls each. Those of equal values may be one
        and the same."""
        if not 0 < rows.height <= FEW:
            return _by_name(truths(rows, self._masks))
        try:
            records = rows.to_dicts()
        except (ValueError, OverflowError):  # a date in a year that Python does not have
            return _by_name(truths(rows, self._masks))
        found = [tuple([predicate(record) for record in records]) for predicate in self._predicates]
        columns = {values: pl.Series(values=values, dtype=pl.Boolean) for values in set(found)}
        return {name: columns[values] for name, values in zip(self.asked, found, strict=True)}

    @cached_property
    def _masks(self) -> Mapping[str, pl.Expr]:
        compiled = {False: masks.met, True: masks.possible}
        return {name: compiled[one.possible](one.expression, self.frame) for name, one in self.asked.items()}

    @cached_property
    def _predicates(self) -> Sequence[Predicate]:
        compiled = {False: predicates.met, True: predicates.possible}
        return [compiled[one.possible](one.expression, self.frame) for one in self.asked.values()]


def truths(rows: pl.DataFrame, conditions: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Evaluate conditions (Boolean, without nulls) over all rows in one pass; a column each, by name.

    The names must not be those of columns of ``rows``.
    """
    if not conditions or not rows.height:
        return pl.DataFrame(schema=dict.fromkeys(conditions, pl.Boolean))
    # Conditions on unknown items alone are constants; beside the rows they become as long as these.
    asked = rows.lazy().with_columns(condition.alias(name) for name, condition in conditions.items())
    return asked.select(*conditions).collect(engine="streaming" if rows.height > SMALL else "in-memory").rechunk()


def conditions_of(number: int, criterion: Expression, frame: Frame) -> dict[str, Condition]:
    """What to evaluate for the n-th criterion: surely met and, where they can differ, possibly met."""
    sure = {f"met {number}": Condition(criterion)}
    if {name.name for name in names(criterion)} & (frame.unknown | frame.unreadable):
        return sure | {f"possible {number}": Condition(criterion, possible=True)}
    return sure


def verdicts(found: Mapping[str, pl.Series], criteria: int) -> Verdicts:
    """The verdicts on the first criteria out of the truths of their conditions."""
    sure = [found[f"met {number}"] for number in range(criteria)]
    maybe = [found.get(f"possible {number}", column) for number, column in enumerate(sure)]
    return Verdicts(met=sure, possible=maybe)


def _by_name(found: pl.DataFrame) -> Mapping[str, pl.Series]:
    return {column.name: column for column in found.iter_columns()}
