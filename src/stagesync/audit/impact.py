"""What a change of definitions does: findings gained and lost, and what it would have said of deals now closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from stagesync.audit.judgement import Judgement
from stagesync.audit.outcomes import outcomes, stood

GAINED, LOST, UNCHANGED = "gained", "lost", "unchanged"

FINDINGS = {
    "connection": pl.String,
    "object": pl.String,
    "record": pl.String,
    "record_name": pl.String,
    "owner": pl.String,
    "owner_name": pl.String,
    "rule": pl.String,
    "stage": pl.String,
    "native_stage": pl.String,
    "amount": pl.Float64,
    "currency": pl.String,
}


def compared(old: Sequence[Judgement], new: Sequence[Judgement]) -> pl.DataFrame:
    """The findings of both, one row each with ``change`` (gained, lost, unchanged), the largest amounts first.

    A finding is the same when connection, object, record and rule are.
    """
    key = ["connection", "object", "record", "rule"]
    before, after = _findings(old), _findings(new)
    rows = pl.concat(
        [
            after.join(before, on=key, how="anti").with_columns(change=pl.lit(GAINED)),
            before.join(after, on=key, how="anti").with_columns(change=pl.lit(LOST)),
            after.join(before, on=key, how="semi").with_columns(change=pl.lit(UNCHANGED)),
        ]
    )
    return rows.sort("amount", *key, descending=[True, False, False, False, False], nulls_last=True)


def _findings(judgements: Sequence[Judgement]) -> pl.DataFrame:
    frames = []
    for judgement in judgements:
        found = judgement.findings.select("row", "rule")
        records = judgement.records[found["row"]].select(
            pl.lit(judgement.connection).alias("connection"),
            pl.lit(judgement.mapped.name).alias("object"),
            "record",
            pl.col("name").alias("record_name"),
            "owner",
            "owner_name",
            found["rule"],
            pl.col("place").alias("stage"),
            pl.col("native").alias("native_stage"),
            "amount",
            "currency",
        )
        frames.append(records.cast(FINDINGS))  # type: ignore[arg-type]  # polars' stubs want no class for a type
    return pl.concat([pl.DataFrame(schema=FINDINGS), *frames])


@dataclass(frozen=True, kw_only=True)
class Hindsight:
    """What definitions would have said of the deals of one object that are closed now, had each still stood on the
    last open rung that it had before closing, with the evidence of today.

    ``won_demoted`` of the ``won`` and ``lost_demoted`` of the ``lost`` stand above what they could have earned.
    ``without_past`` closed deals have no open stage in their history. ``reason`` says why nothing can be said.
    """

    connection: str
    object: str
    won: int = 0
    won_demoted: int = 0
    lost: int = 0
    lost_demoted: int = 0
    without_past: int = 0
    reason: str | None = None


def hindsight(judgement: Judgement, past: pl.DataFrame | None) -> Hindsight:
    """The closed deals of an object in hindsight. ``past`` is what ``history.past_stages`` gives."""
    nothing = Hindsight(connection=judgement.connection, object=judgement.mapped.name)
    found = outcomes(judgement)
    if found.reason is not None:
        return replace(nothing, reason=found.reason)
    if past is None:
        said = "the stage history was not read" if judgement.mapped.history else "the mapping names no stage history"
        return replace(nothing, reason=said)
    closed = found.won | found.lost
    # Of two stages at the same moment the lower one: in doubt, nobody is demoted.
    steps = stood(judgement, past, closed).sort("row", "at", "position", descending=[False, False, True])
    last = steps.group_by("row", maintain_order=True).agg(pl.col("position").last())
    rows = last["row"].to_numpy()
    demoted = last["position"].to_numpy() > judgement.high[rows]
    won, lost = found.won[rows], found.lost[rows]
    return replace(
        nothing,
        won=int(won.sum()),
        won_demoted=int((won & demoted).sum()),
        lost=int(lost.sum()),
        lost_demoted=int((lost & demoted).sum()),
        without_past=int(np.count_nonzero(closed)) - len(rows),
    )
