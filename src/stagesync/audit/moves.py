"""How records came to the rungs where they stand: which were moved back, and which jumped over rungs.

Native stages of one rung are one place, so that moves among them are none. A record that comes out of a parking
place, or from another ladder, starts afresh: it did not fall from where it was before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from stagesync.audit.masks import Frame, day_of, moment
from stagesync.audit.scope import PARKED
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import EVERY_OTHER, MappedObject

MOMENT = pl.Datetime("us", "UTC")
NOTHING = pl.DataFrame(schema={"row": pl.UInt32, "since": MOMENT, "said": pl.String})

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Records that were ``regressed`` and those that ``skipped`` rungs: ``row``, ``since`` (UTC) and ``said``, a
    row for each."""

    regressed: pl.DataFrame
    skipped: pl.DataFrame


def find(
    definition: Definition,
    mapped: MappedObject,
    records: pl.DataFrame,
    past: pl.DataFrame,
    *,
    working: Mask,
    written: Mapping[str, str],
    frame: Frame,
) -> Moves:
    """What the past of the ``working`` records says; ``past`` is what ``history.steps`` gives.

    ``written`` is the native stage that StageSync itself gave a record last: a move to it is no regression. A
    history whose newest row names another stage than the record's own is left aside, and so is a move that lies in
    the future.
    """
    names = [rung.name for rung in definition.rungs]
    moves = _moves(past, working) if past.height else past
    if not moves.height:
        return Moves(regressed=NOTHING, skipped=NOTHING)
    return Moves(
        regressed=_regressed(moves.filter(_believed(frame) & _last()), records, written, names, frame),
        skipped=_skipped(moves, _mapped_rungs(mapped, records, names), records, names, frame),
    )


def _moves(past: pl.DataFrame, working: Mask) -> pl.DataFrame:
    """The steps from one place to another: ``row``, ``stage``, ``position``, ``at``, ``by`` and the position that the
    record ``came_from``, null for the first that is known of it."""
    explained = np.zeros_like(working)
    explained[past.select(pl.col("row").filter(_last() & ~pl.col("elsewhere"))).to_series().to_numpy()] = True
    row = past["row"].to_numpy()
    # What the mapping does not know is no place on the way.
    steps = past.filter(pl.Series((explained & working)[row]) & past["position"].is_not_null())
    same_record = pl.col("row").eq_missing(pl.col("row").shift())
    return steps.with_columns(came_from=pl.when(same_record).then(pl.col("position").shift())).filter(
        pl.col("position").ne_missing(pl.col("came_from"))
    )


def _last() -> pl.Expr:
    """Whether a step is the last one of its record."""
    return pl.col("row").ne_missing(pl.col("row").shift(-1))


def _regressed(
    last: pl.DataFrame, records: pl.DataFrame, written: Mapping[str, str], names: Sequence[str], frame: Frame
) -> pl.DataFrame:
    back = last.filter(pl.col("came_from") > pl.col("position"))
    if written:
        ours = records["record"].gather(back["row"]).replace_strict(written, default=None, return_dtype=pl.String)
        back = back.filter(back["stage"].ne_missing(ours))
    words = pl.format(
        "moved back from '{}' to '{}'{}", _named("came_from", names), _named("position", names), _when(frame)
    )
    return back.select("row", pl.col("at").alias("since"), words.alias("said"))


def _skipped(
    moves: pl.DataFrame, mapped: Mask, records: pl.DataFrame, names: Sequence[str], frame: Frame
) -> pl.DataFrame:
    """``mapped`` says for each record and rung whether the mapping has a native stage for it."""
    row, position = moves["row"].to_numpy(), moves["position"].to_numpy()
    index, present, rungs = np.arange(moves.height), records["position"].to_numpy(), np.arange(len(names))
    # Of several values for one record the one that is assigned last stays.
    parked = position == PARKED
    last_parked = np.full(records.height, -1)
    last_parked[row[parked]] = index[parked]
    climb = index > last_parked[row]
    first = np.full(records.height, len(names))
    first[row[climb][::-1]] = position[climb][::-1]
    visited = np.zeros_like(mapped)
    visited[row[~parked], position[~parked]] = True
    missed: Mask = mapped & ~visited & (rungs > first[:, None]) & (rungs < present[:, None])

    jumped: Mask = np.logical_or.reduce(missed, axis=1)
    asked = pl.Series(climb & jumped[row])
    higher = (pl.col("came_from") != PARKED) & (pl.col("position") > pl.col("came_from"))
    up = moves.filter(_believed(frame) & asked & higher)
    # Missed rungs below each rung, so that a difference counts those between two.
    below = np.pad(np.cumsum(missed, axis=1), ((0, 0), (1, 0)))
    who, low, high = (up[name].to_numpy() for name in ("row", "came_from", "position"))
    jumps = up.filter(pl.Series(below[who, high] > below[who, low + 1])).filter(_last())
    left_out: Mask = missed[jumps["row"].to_numpy()]
    in_jump = (rungs > jumps["came_from"].to_numpy()[:, None]) & (rungs < jumps["position"].to_numpy()[:, None])
    words = pl.format(
        "came from '{}' to '{}' without {}{}{}",
        _named("came_from", names),
        _named("position", names),
        _listed(left_out & in_jump, names),
        _when(frame),
        pl.format("; left out before: {}", pl.col("before")).fill_null(""),
    )
    before = jumps.select(_listed(left_out & ~in_jump, names).alias("before")).to_series()
    return jumps.with_columns(before=pl.when(before != "").then(before)).select(
        "row", pl.col("at").alias("since"), words.alias("said")
    )


def _mapped_rungs(mapped: MappedObject, records: pl.DataFrame, names: Sequence[str]) -> Mask:
    """For each record and rung whether the record's pipeline or record type has a native stage for it."""
    groups = sorted({group for group, _ in mapped.stages if group is not None})
    # The last row is read by the records of all that are not named.
    places = [set(mapped.stages_in(group).values()) for group in (*groups, EVERY_OTHER)]
    has: Mask = np.array([[name in found for name in names] for found in places], dtype=np.bool_)
    if not groups:
        return np.broadcast_to(has[-1], (records.height, len(names)))
    numbers = {group: number for number, group in enumerate(groups)}
    which = records["pipeline"].fill_null("").replace_strict(numbers, default=-1, return_dtype=pl.Int16)
    mine: Mask = has[which.to_numpy()]
    return mine


def _named(column: str, names: Sequence[str]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)


def _believed(frame: Frame) -> pl.Expr:
    """Whether a step lies in the past."""
    return pl.col("at") <= moment(frame.now)


def _when(frame: Frame) -> pl.Expr:
    by = pl.format(" by {}", pl.col("by")).fill_null("")
    return pl.format(" on {}{}", day_of("at", frame), by)


def _listed(chosen: Mask, names: Sequence[str]) -> pl.Expr:
    """The chosen rungs of each row in words; "" for none."""
    parts = [
        pl.when(pl.Series(chosen[:, number], dtype=pl.Boolean)).then(pl.lit(f"'{name}'"))
        for number, name in enumerate(names)
    ]
    return pl.concat_str(parts, separator=", ", ignore_nulls=True)
