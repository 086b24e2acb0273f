"""HubSpot's stages: of pipelines, or the options of a property such as ``lifecyclestage``."""

from __future__ import annotations

from collections.abc import Iterable

from stagesync.connectors.hubspot.answers import PipelineAnswer, PropertyAnswer, StageAnswer
from stagesync.model.crm import NativeStage

PIPELINE_FIELDS = frozenset({"dealstage", "hs_pipeline_stage"})
"""Stage properties whose values are stages of pipelines; all others list their stages as options."""

_LOCKED = frozenset({"READ_ONLY", "INTERNAL_ONLY"})


def pipeline_stages(pipelines: Iterable[PipelineAnswer]) -> list[NativeStage]:
    """Stages in display order, pipeline by pipeline; positions count from 0 within each.

    ``displayOrder`` may repeat or be -1 ("at the end"), so it is an order and not a position.
    """
    found: list[NativeStage] = []
    for pipeline in sorted(pipelines, key=lambda item: _order(item.display_order)):
        ordered = sorted(pipeline.stages, key=lambda item: _order(item.display_order))
        found += [_stage(pipeline, stage, position) for position, stage in enumerate(ordered)]
    return found


def option_stages(definition: PropertyAnswer) -> list[NativeStage]:
    """The options of an enumeration in display order; hidden ones are not active."""
    ordered = sorted(definition.options, key=lambda item: _order(item.display_order))
    return [
        NativeStage(pipeline=None, value=option.value, label=option.label, position=position, active=not option.hidden)
        for position, option in enumerate(ordered)
    ]


def _order(display_order: int) -> float:
    return float("inf") if display_order < 0 else display_order


def _stage(pipeline: PipelineAnswer, stage: StageAnswer, position: int) -> NativeStage:
    closed = _is_closed(stage)
    return NativeStage(
        pipeline=str(pipeline.id),
        value=str(stage.id),
        label=stage.label,
        position=position,
        closed=closed,
        won=closed and _is_won(stage),
        active=not (stage.archived or pipeline.archived),
        writable=stage.write_permissions not in _LOCKED,
        probability=_percent(stage),
    )


def _is_closed(stage: StageAnswer) -> bool:
    """Deals say ``isClosed``, tickets ``ticketState``, leads ``leadState`` (from memory); all are strings."""
    data = {name: str(value).upper() for name, value in stage.metadata.items()}
    return (
        data.get("isClosed") == "TRUE"
        or data.get("ticketState") == "CLOSED"
        or data.get("leadState") in {"QUALIFIED", "UNQUALIFIED"}
    )


def _is_won(stage: StageAnswer) -> bool:
    return _percent(stage) == 100.0


def _percent(stage: StageAnswer) -> float | None:
    """HubSpot counts from 0 to 1, in text."""
    try:
        return round(float(stage.metadata["probability"]) * 100, 4)
    except (KeyError, TypeError, ValueError):
        return None
