"""The kinds of findings, each from columns: who is premature, stalled, contradictory, filled with nothing, unowned.

A frame of findings has the columns ``row`` (index into the judged records), ``kind``, ``rule``, ``severity``,
``detail`` (words, or null where the criteria say it all) and ``since`` (UTC: entry into the stage, for stalled
records the last sign of life).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit import stalls
from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.masks import Frame, met, stated
from stagesync.model.findings import Kind, Severity
from stagesync.policy.definitions import Definition

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the judged records stand and what they have earned; rows agree with ``records`` and ``evidence``."""

    definition: Definition
    records: pl.DataFrame
    evidence: EvidenceFrame
    frame: Frame
    low: Positions
    high: Positions

    @property
    def position(self) -> Positions:
        """The position of each record's rung, -1 for a parking place."""
        return self.records["position"].to_numpy()

    @property
    def working(self) -> Mask:
        """Records on a rung that people still work on: not parked, not terminal."""
        terminal = [rung.terminal for rung in self.definition.rungs]
        # Position -1 (parked) reads the entry added at the end.
        settled: Mask = np.array([*terminal, True], dtype=np.bool_)
        return ~settled[self.position]


def matrix(rows: pl.DataFrame, expressions: Sequence[pl.Expr]) -> Mask:
    """One row a record, one column an expression (Boolean, without nulls)."""
    result = np.zeros((rows.height, len(expressions)), dtype=np.bool_)
    columns = rows.select(expression.alias(str(n)) for n, expression in enumerate(expressions))
    for n, column in enumerate(columns):
        # A condition on unknown items alone is one constant, not a column.
        result[:, n] = column.to_numpy() if len(column) == rows.height else bool(column.item())
    return result


def find(standing: Standing) -> pl.DataFrame:
    """All findings, ordered by kind and row."""
    return pl.concat(
        [
            _rows(standing, standing.working & (standing.position > standing.high), Kind.PREMATURE),
            _stalled(standing),
            *_contradictions(standing),
            *_placeholders(standing),
            _unowned(standing),
            _rows(standing, standing.working & (standing.position < standing.low), Kind.READY),
        ]
    )


def _rows(
    standing: Standing,
    mask: Mask,
    kind: Kind,
    *,
    rule: str | None = None,
    severity: Severity | None = None,
    detail: pl.Series | None = None,
    since: pl.Series | None = None,
) -> pl.DataFrame:
    rows = pl.Series("row", np.flatnonzero(mask), dtype=pl.Int64)
    said = detail.gather(rows) if detail is not None else pl.Series([None] * len(rows), dtype=pl.String)
    began = (standing.records["since"] if since is None else since).gather(rows)
    return pl.DataFrame({"row": rows, "detail": said, "since": began}).with_columns(
        kind=pl.lit(str(kind)),
        rule=pl.lit(rule or str(kind)),
        severity=pl.lit(str(severity or standing.definition.rule(kind).severity)),
    )


def _stalled(standing: Standing) -> pl.DataFrame:
    said = stalls.reasons(standing.definition, standing.records, standing.evidence, standing.frame)
    mask = standing.working & said["reason"].is_not_null().to_numpy()
    return _rows(standing, mask, Kind.STALLED, detail=said["reason"], since=said["quiet"])


def _contradictions(standing: Standing) -> Iterator[pl.DataFrame]:
    items = standing.definition.contradictions
    masks = matrix(standing.evidence.rows, [met(item.expression, standing.frame) for item in items])
    for n, item in enumerate(items):
        rule = f"{Kind.CONTRADICTION}.{item.id}"
        yield _rows(standing, masks[:, n], Kind.CONTRADICTION, rule=rule, severity=item.severity)


def _placeholders(standing: Standing) -> Iterator[pl.DataFrame]:
    rows = standing.evidence.rows
    for item in standing.definition.stated:
        if item in rows.columns:
            column = pl.col(item)
            filled = matrix(rows, [column.is_not_null() & ~stated(column, standing.frame.placeholders)])[:, 0]
            said = rows.select(pl.format("{} is filled with '{}', which says nothing", pl.lit(item), column))
            rule = f"{Kind.PLACEHOLDER}.{item}"
            yield _rows(standing, standing.working & filled, Kind.PLACEHOLDER, rule=rule, detail=said.to_series())


def _unowned(standing: Standing) -> pl.DataFrame:
    reason = standing.records.select(
        pl.when(~pl.col("owner_mapped"))
        .then(None)
        .when(pl.col("owner").is_null())
        .then(pl.lit("nobody owns the record"))
        .when(~pl.col("owners_known"))
        .then(None)
        .when(pl.col("owner_active").is_null())
        .then(pl.lit("the owner is not among the users of the CRM"))
        .when(~pl.col("owner_active"))
        .then(pl.format("the owner, {}, is no longer active", pl.col("owner_name")))
    ).to_series()
    return _rows(standing, standing.working & reason.is_not_null().to_numpy(), Kind.UNOWNED, detail=reason)
