"""Stages that mean something else in the org than in the mapping: changed since, or mapped wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stagesync.model.counting import counted
from stagesync.model.crm import NativeStage
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import EVERY_OTHER, MappedObject

Remark = tuple[str, str]
"""What was seen, and what follows from it."""


def drifted(
    mapped: MappedObject, stages: Sequence[NativeStage], definition: Definition, counts: Mapping[str, int] | None
) -> Iterator[Remark]:
    """``counts`` are the records in each stage, where the CRM counts. Whether a stage is closed or won is looked at
    only where the CRM says so of some."""
    places = {(stage.pipeline, stage.value): _places(mapped, stage) for stage in stages}
    yield from _retired(stages, places, counts)
    yield from _unreachable(stages, places, definition)
    tells_closed, tells_won = any(stage.closed for stage in stages), any(stage.won for stage in stages)
    for stage in stages:
        for place in places[stage.pipeline, stage.value] if stage.active else ():
            rung = definition.rung(place)
            if rung is None:
                continue
            follows = f"look at {place} in the mapping, and at the stage in the CRM"
            if stage.closed and not rung.terminal:
                yield f"{stage.label} is closed in the CRM and stands for {place}, which is not the end", follows
            elif rung.terminal and tells_closed and not stage.closed:
                yield f"{stage.label} is open in the CRM and stands for {place}, the end of the ladder", follows
            elif rung.terminal and tells_won and not stage.won:
                yield f"{stage.label} is lost in the CRM and stands for {place}, the end of the ladder", follows


def _places(mapped: MappedObject, stage: NativeStage) -> tuple[str, ...]:
    """The rungs or parking places that a stage stands for; in several record types they may differ."""
    groups = (stage.pipeline, EVERY_OTHER) if mapped.pipeline_field else None
    found = [
        place
        for (group, native), place in mapped.stages.items()
        if native == stage.value and (groups is None or group in groups)
    ]
    return tuple(dict.fromkeys(found))


def _retired(
    stages: Sequence[NativeStage],
    places: Mapping[tuple[str | None, str], tuple[str, ...]],
    counts: Mapping[str, int] | None,
) -> Iterator[Remark]:
    gone = [stage for stage in stages if not stage.active and places[stage.pipeline, stage.value]]
    if gone:
        held = sum((counts or {}).get(stage.value, 0) for stage in gone)
        follows = "records may keep it, and nothing is moved there"
        if counts is not None:
            follows = f"{counted(held, 'record keeps', 'records keep')} it, and nothing is moved there"
        yield f"mapped and no longer active: {', '.join(stage.label for stage in gone)}", follows


def _unreachable(
    stages: Sequence[NativeStage], places: Mapping[tuple[str | None, str], tuple[str, ...]], definition: Definition
) -> Iterator[Remark]:
    named = {place for found in places.values() for place in found}
    open_to = {place for stage in stages if stage.active for place in places[stage.pipeline, stage.value]}
    for rung in definition.rungs:
        if rung.name in named - open_to:
            yield f"no active stage stands for {rung.name} any more", "name another one: nobody is moved there"
