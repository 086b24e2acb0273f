"""Which criteria hold for which records: a Boolean column each, so that a truth is one bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from stagesync.audit.masks import Frame, met, possible
from stagesync.model.findings import Verdict
from stagesync.policy.expressions.tree import Expression, names

SMALL = 20_000
"""Below this many rows the streaming engine costs more to start than it saves."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The three values of each criterion for each record; the columns are Boolean without nulls.

    ``possible`` holds the very column of ``met`` where nothing that the criterion asks for is unknown.
    """

    met: Sequence[pl.Series]
    possible: Sequence[pl.Series]

    def at(self, record: int, criterion: int) -> Verdict:
        """One verdict."""
        if self.met[criterion][record]:
            return Verdict.MET
        return Verdict.UNKNOWN if self.possible[criterion][record] else Verdict.NOT_MET

    @property
    def left_open(self) -> Sequence[int]:
        """The criteria that an unknown may have left open for some record."""
        return [n for n, (sure, maybe) in enumerate(zip(self.met, self.possible, strict=True)) if sure is not maybe]


def truths(rows: pl.DataFrame, conditions: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Evaluate conditions (Boolean, without nulls) over all rows in one pass; a column each, by name.

    The names must not be those of columns of ``rows``.
    """
    if not conditions or not rows.height:
        return pl.DataFrame(schema=dict.fromkeys(conditions, pl.Boolean))
    # Conditions on unknown items alone are constants; beside the rows they become as long as these.
    asked = rows.lazy().with_columns(condition.alias(name) for name, condition in conditions.items())
    return asked.select(*conditions).collect(engine="streaming" if rows.height > SMALL else "in-memory").rechunk()


def conditions_of(number: int, criterion: Expression, frame: Frame) -> dict[str, pl.Expr]:
    """What to evaluate for the n-th criterion: surely met and, where they can differ, possibly met."""
    sure = {f"met {number}": met(criterion, frame)}
    if {name.name for name in names(criterion)} & (frame.unknown | frame.unreadable):
        return sure | {f"possible {number}": possible(criterion, frame)}
    return sure


def verdicts(found: pl.DataFrame, criteria: int) -> Verdicts:
    """The verdicts on the first criteria out of the truths of their conditions."""
    columns = {column.name: column for column in found.iter_columns()}
    sure = [columns[f"met {number}"] for number in range(criteria)]
    maybe = [columns.get(f"possible {number}", column) for number, column in enumerate(sure)]
    return Verdicts(met=sure, possible=maybe)
