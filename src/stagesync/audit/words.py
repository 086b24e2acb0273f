"""Which judged records a ``when`` means: a condition on their evidence and on what they are themselves."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.masks import Frame
from stagesync.audit.verdicts import Condition, Conditions
from stagesync.policy.expressions.tree import Expression

_SURE, _MAYBE = "surely holds", "may hold"


@dataclass(frozen=True, kw_only=True)
class Population:
    """The judged records of one object: ``records`` and ``evidence.rows`` agree row by row."""

    connection: str
    object: str
    records: pl.DataFrame
    evidence: EvidenceFrame
    frame: Frame

    def holding(self, when: Expression, rows: pl.Series) -> tuple[pl.Series, pl.Series]:
        """For these rows whether the condition surely holds, and whether it may (Boolean, no nulls)."""
        evidence = self.evidence.rows[rows]
        words = self.records[rows].select(
            "pipeline",
            "owner",
            "owner_name",
            pl.lit(self.connection).alias("connection"),
            pl.lit(self.object).alias("object"),
            pl.col("place").alias("stage"),
            pl.col("native").alias("native_stage"),
        )
        known = set(evidence.columns) | self.frame.unknown
        asked = evidence.hstack(words.select(name for name in words.columns if name not in known))
        both = {_SURE: Condition(when), _MAYBE: Condition(when, possible=True)}
        found = Conditions(asked=both, frame=self.frame).truths(asked)
        return found[_SURE], found[_MAYBE]
