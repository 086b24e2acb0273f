"""The funnel: how many records stand on each rung of the ladder, and how many have earned it. No I/O, no clock.

A ladder may span several objects (lead, then opportunity), so the objects of one connection are counted together. Only
records on a rung are counted, not those on a parking place. A funnel is *inverted* where a rung holds more records
than the rung below it: reps promote what they should not, or nobody writes leads down. Terminal rungs are left out of
that comparison, since they gather records for ever, and so are rungs for which the connection has no stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
import numpy.typing as npt

from stagesync.audit.findings import Positions
from stagesync.audit.judgement import Judgement
from stagesync.policy.definitions import Definition, Rung

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FunnelRung:
    """The records of one rung.

    ``standing`` stand on it by the field. ``surely`` have earned it and none above it; ``could`` may have, where
    evidence is unknown (``surely`` are among them). ``inverted`` and ``inverted_earned`` name the rung below that
    holds fewer, by the field and by evidence; the latter only where it is so whatever the unknowns are.
    """

    stage: str
    terminal: bool
    standing: int
    surely: int
    could: int
    inverted: str | None
    inverted_earned: str | None


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """A ladder of one connection, from the bottom up; ``parked`` records stand on no rung. ``ladder`` is its name where
    the definitions have several.

    ``surely_none`` and ``could_none`` are the records on a rung that surely have, or may have, earned none.
    """

    connection: str
    definition: str
    ladder: str | None
    rungs: tuple[FunnelRung, ...]
    surely_none: int
    could_none: int
    parked: int


def funnels(judgements: Sequence[Judgement]) -> list[Funnel]:
    """A funnel for each ladder of each connection, in the order of the judgements."""
    ladders: dict[tuple[str, str, str | None], list[Judgement]] = {}
    for one in judgements:
        ladders.setdefault((one.connection, one.definition.name, one.scope.ladder), []).append(one)
    return [_funnel(group) for group in ladders.values()]


def _funnel(judgements: Sequence[Judgement]) -> Funnel:
    definition = judgements[0].definition
    counted = [_count(judgement, len(definition.rungs)) for judgement in judgements]
    counts = {name: sum((one[name] for one in counted[1:]), counted[0][name]) for name in counted[0]}
    read = {place for judgement in judgements if judgement.unread is None for place in judgement.mapped.stages.values()}
    reachable = [rung for rung in definition.rungs if rung.name in read and not rung.terminal]
    by_field = dict(_inverted(reachable, counts["standing"], counts["standing"]))
    by_evidence = dict(
        _inverted([rung for rung in _earnable(definition) if rung in reachable], counts["surely"], counts["could"])
    )
    return Funnel(
        connection=judgements[0].connection,
        definition=definition.name,
        ladder=judgements[0].scope.ladder,
        rungs=tuple(
            FunnelRung(
                stage=rung.name,
                terminal=rung.terminal,
                standing=int(counts["standing"][rung.position + 1]),
                surely=int(counts["surely"][rung.position + 1]),
                could=int(counts["could"][rung.position + 1]),
                inverted=by_field.get(rung.name),
                inverted_earned=by_evidence.get(rung.name),
            )
            for rung in definition.rungs
        ),
        surely_none=int(counts["surely"][0]),
        could_none=int(counts["could"][0]),
        parked=int(counts["standing"][0]),
    )


def _count(judgement: Judgement, rungs: int) -> dict[str, Counts]:
    """Counts by position + 1, so that "none" comes first."""
    position = judgement.records["position"].to_numpy()
    low, high = judgement.low[position >= 0], judgement.high[position >= 0]
    begin, end = _by_rung(low, rungs), _by_rung(high, rungs)
    return {
        "standing": _by_rung(position, rungs),
        "surely": _by_rung(low[low == high], rungs),
        "could": begin.cumsum()
        - (end.cumsum() - end),  # whose bounds begin here or below, but for those that end below
    }


def _by_rung(positions: Positions, rungs: int) -> Counts:
    return np.bincount(positions + 1, minlength=rungs + 1)


def _earnable(definition: Definition) -> Iterator[Rung]:
    """The open rungs on which a record can end: where the next one asks for nothing, none does."""
    for rung, above in zip_longest(definition.rungs, definition.rungs[1:]):
        if not rung.terminal and (above is None or above.requires):
            yield rung


def _inverted(rungs: Sequence[Rung], least: Counts, most: Counts) -> Iterator[tuple[str, str]]:
    """The rungs that hold more records than the one before them in this list, with the name of that one."""
    for below, rung in pairwise(rungs):
        if least[rung.position + 1] > most[below.position + 1]:
            yield rung.name, below.name
