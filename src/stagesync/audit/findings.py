"""The kinds of findings, each from columns: who is premature, stalled, contradictory, filled with nothing, unowned.

A frame of findings has the columns ``row`` (index into the judged records), ``kind``, ``rule``, ``severity``,
``detail`` (words, or null where the criteria say it all), ``since`` (UTC: entry into the stage, for stalled records the
last sign of life) and ``mode`` (what may be done about it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit import moves, stalls
from stagesync.audit.evidence import EvidenceFrame
from stagesync.audit.masks import Frame
from stagesync.audit.modes import MODES, modes
from stagesync.audit.reasons import LONGEST_VALUE
from stagesync.audit.verdicts import Condition
from stagesync.audit.words import Population
from stagesync.model.kinds import Kind, Severity
from stagesync.model.tables import ColumnType
from stagesync.policy.definitions import Definition
from stagesync.policy.expressions.tree import And, IsBlank, Name, Not, Stated
from stagesync.policy.mappings import MappedObject

KINDS = pl.Enum([str(kind) for kind in Kind])
SEVERITIES = pl.Enum([str(severity) for severity in Severity])
"""From the least to the worst, so that sorting by severity is sorting numbers."""

NOTHING = pl.DataFrame(
    schema={
        "row": pl.UInt32,
        "detail": pl.String,
        "since": pl.Datetime("us", "UTC"),
        "kind": KINDS,
        "rule": pl.String,
        "severity": SEVERITIES,
        "mode": MODES,
    }
)
"""A rule that nobody broke costs no frame of its own."""

NO_DETAIL = pl.Series("detail", [None], dtype=pl.String)

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the judged records stand and what they have earned; rows agree with ``records`` and ``evidence``.

    ``found`` holds the truths of ``conditions``. ``owners_read`` says whether the records name their owners,
    ``owners_known`` whether the source also knows its users. ``past`` is what ``history.steps`` gives, ``written``
    the native stage that StageSync itself gave a record last.
    """

    definition: Definition
    mapped: MappedObject
    past: pl.DataFrame
    written: Mapping[str, str]
    records: pl.DataFrame
    evidence: EvidenceFrame
    frame: Frame
    low: Positions
    high: Positions
    found: Mapping[str, pl.Series]
    owners_read: bool
    owners_known: bool
    population: Population

    @cached_property
    def position(self) -> Positions:
        """The position of each record's rung, -1 for a parking place."""
        return self.records["position"].to_numpy()

    @cached_property
    def working(self) -> Mask:
        """Records on a rung that people still work on: not parked, not terminal."""
        terminal = [rung.terminal for rung in self.definition.rungs]
        # Position -1 (parked) reads the entry added at the end.
        settled: Mask = np.array([*terminal, True], dtype=np.bool_)
        return ~settled[self.position]


def conditions(definition: Definition, evidence: EvidenceFrame) -> dict[str, Condition]:
    """What must be known of each record besides its criteria: its contradictions and what is filled with nothing."""
    asked = {f"{Kind.CONTRADICTION}.{item.id}": Condition(item.expression) for item in definition.contradictions}
    for item in definition.stated:
        if item in evidence.rows.columns:
            text = Name(item, ColumnType.TEXT)
            filled_with_nothing = And((Not(IsBlank(text)), Not(Stated(text))))
            asked[f"{Kind.PLACEHOLDER}.{item}"] = Condition(filled_with_nothing)
    return asked


def find(standing: Standing) -> pl.DataFrame:
    """All findings, ordered by kind and row."""
    parts = [
        _rows(standing, standing.working & (standing.position > standing.high), Kind.PREMATURE),
        _stalled(standing),
        *_contradictions(standing),
        *_placeholders(standing),
        _unowned(standing),
        *_moves(standing),
        _rows(standing, standing.working & (standing.position < standing.low), Kind.READY),
    ]
    return pl.concat([part for part in parts if part.height] or [NOTHING])


def _rows(
    standing: Standing,
    mask: Mask,
    kind: Kind,
    *,
    rule: str | None = None,
    severity: Severity | None = None,
    detail: pl.Expr | None = None,
    about: Mapping[str, pl.Series] | None = None,
) -> pl.DataFrame:
    """The findings of the masked records; ``detail`` is words made of the columns in ``about``."""
    if not mask.any():
        return NOTHING
    rows = pl.Series("row", np.flatnonzero(mask), dtype=pl.UInt32)
    columns = {"since": standing.records["since"], **(about or {})}
    found = pl.DataFrame([rows, *(column[rows].alias(name) for name, column in columns.items())])
    return _findings(standing, found, kind, rule=rule, severity=severity, detail=detail)


def _findings(
    standing: Standing,
    found: pl.DataFrame,
    kind: Kind,
    *,
    rule: str | None = None,
    severity: Severity | None = None,
    detail: pl.Expr | None = None,
) -> pl.DataFrame:
    if not found.height:
        return NOTHING
    ruled = standing.definition.rule(rule or kind)
    constants = _constants(kind, rule or str(kind), severity or ruled.severity)
    said = NO_DETAIL.new_from_index(0, found.height) if detail is None else found.select(detail=detail).to_series()
    # Put together of columns: an engine that selects them takes longer to start than few records to judge.
    return pl.DataFrame(
        [
            found["row"],
            said,
            found["since"],
            *(constant.new_from_index(0, found.height) for constant in constants),
            modes(standing.population, ruled, found["row"]),
        ]
    )


@lru_cache(maxsize=256)
def _constants(kind: Kind, rule: str, severity: Severity) -> tuple[pl.Series, ...]:
    return (
        pl.Series("kind", [str(kind)], dtype=KINDS),
        pl.Series("rule", [rule], dtype=pl.String),
        pl.Series("severity", [str(severity)], dtype=SEVERITIES),
    )


def _stalled(standing: Standing) -> pl.DataFrame:
    stalled = stalls.find(standing.definition, standing.records, standing.evidence, standing.frame)
    if not stalled.rows.height:
        return NOTHING
    said = stalled.words.alias("said")
    found = stalled.rows.select("row", said, pl.col("quiet").alias("since"))
    return _findings(standing, found, Kind.STALLED, detail=pl.col("said"))


def _contradictions(standing: Standing) -> Iterator[pl.DataFrame]:
    for item in standing.definition.contradictions:
        rule = f"{Kind.CONTRADICTION}.{item.id}"
        mask = standing.found[rule].to_numpy()
        yield _rows(standing, mask, Kind.CONTRADICTION, rule=rule, severity=item.severity)


def _placeholders(standing: Standing) -> Iterator[pl.DataFrame]:
    for item in standing.definition.stated:
        rule = f"{Kind.PLACEHOLDER}.{item}"
        if rule in standing.found:
            said = _says_nothing(item, standing.frame.pasted_in(item))
            mask = standing.working & standing.found[rule].to_numpy()
            about = {"value": standing.evidence.rows[item]}
            yield _rows(standing, mask, Kind.PLACEHOLDER, rule=rule, detail=said, about=about)


def _says_nothing(item: str, pasted: Mapping[str, int]) -> pl.Expr:
    """The words about a ``value`` of an item that says nothing."""
    value = pl.col("value")
    said = pl.format("{} is filled with '{}', which says nothing", pl.lit(item), value)
    if not pasted:
        return said
    records = value.replace_strict(dict(pasted), default=None, return_dtype=pl.UInt32)
    short = (
        pl.when(value.str.len_chars() > LONGEST_VALUE)
        .then(pl.format("{}…", value.str.head(LONGEST_VALUE - 1)))
        .otherwise(value)
    )
    repeated = pl.format("{} has the same text on {} records: '{}'", pl.lit(item), records, short)
    return pl.when(records.is_not_null()).then(repeated).otherwise(said)


def _unowned(standing: Standing) -> pl.DataFrame:
    """Records without an owner or with one who left; none where the source does not say who owns a record."""
    if not standing.owners_read:
        return NOTHING
    owner, active = standing.records["owner"], standing.records["owner_active"]
    unowned = owner.is_null()
    if standing.owners_known:
        unowned |= ~active.fill_null(value=False)
    mask = standing.working & unowned.to_numpy()
    if not mask.any():
        return NOTHING
    said = (
        pl.when(pl.col("owner").is_null())
        .then(pl.lit("nobody owns the record"))
        .when(pl.col("active").is_null())
        .then(pl.lit("the owner is not among the users of the CRM"))
        .otherwise(pl.format("the owner, {}, is no longer active", pl.col("name")))
    )
    about = {"owner": owner, "active": active, "name": standing.records["owner_name"]}
    return _rows(standing, mask, Kind.UNOWNED, detail=said, about=about)


def _moves(standing: Standing) -> Iterator[pl.DataFrame]:
    found = moves.find(
        standing.definition,
        standing.mapped,
        standing.records,
        standing.past,
        working=standing.working,
        written=standing.written,
        frame=standing.frame,
    )
    yield _findings(standing, found.regressed, Kind.REGRESSED, detail=pl.col("said"))
    yield _findings(standing, found.skipped, Kind.SKIPPED, detail=pl.col("said"))
