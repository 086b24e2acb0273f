"""What HubSpot makes of a write before storing it: ignored moves, derived values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.portal import stage_property, stage_values
from stagesync.sandbox.hubspot.records import Record, Values

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.portal import Portal


def lifecycle_order(portal: Portal, kind: ObjectType) -> list[str]:
    """Lifecycle stages of contacts or companies from first to last."""
    definition = portal.metadata.properties(kind.name).get("lifecyclestage")
    return [option.value for option in definition.options] if definition else []


def effective(portal: Portal, kind: ObjectType, changes: Values, current: Record | None, now: int) -> Values:
    """The changes that HubSpot will really store, with what it derives from them; unchanged values dropped."""
    wanted = dict(changes)
    before = current.properties if current else {}
    if kind.stage == "lifecyclestage":
        _move_lifecycle(portal, kind, wanted, before, now)
    if kind.pipeline is not None:
        _move_stage(portal, kind, wanted, before, now)
    if kind.name == "tasks":
        _finish_task(wanted, before, now)
    if "hubspot_owner_id" in wanted and wanted["hubspot_owner_id"] != before.get("hubspot_owner_id"):
        wanted["hubspot_owner_assigneddate"] = moments.iso(now) if wanted["hubspot_owner_id"] else ""
    return {name: value for name, value in wanted.items() if (value or None) != before.get(name)}


def _move_lifecycle(portal: Portal, kind: ObjectType, wanted: Values, before: dict[str, str], now: int) -> None:
    """A lifecycle stage only moves forward; a move back is answered with 200 and not made."""
    if "lifecyclestage" not in wanted:
        return
    order = lifecycle_order(portal, kind)
    old, new = before.get("lifecyclestage"), wanted["lifecyclestage"]
    if old in order and new in order and order.index(new) < order.index(old):
        del wanted["lifecyclestage"]
        return
    known = portal.metadata.properties(kind.name)
    if new and new != old and f"hs_lifecyclestage_{new}_date" in known:
        wanted[f"hs_lifecyclestage_{new}_date"] = moments.iso(now)
    if new and old is None and new in order:
        # A contact that was cleared and set lower has not become what it was above.
        for later in order[order.index(new) + 1 :]:
            if before.get(f"hs_lifecyclestage_{later}_date"):
                wanted[f"hs_lifecyclestage_{later}_date"] = ""


def _move_stage(portal: Portal, kind: ObjectType, wanted: Values, before: dict[str, str], now: int) -> None:
    stage_name, pipeline_name = str(kind.stage), str(kind.pipeline)
    if not before:
        pipeline = portal.metadata.pipelines(kind.name)[0]
        wanted.setdefault(pipeline_name, pipeline.id)
        chosen = portal.metadata.pipeline(kind.name, str(wanted[pipeline_name]))
        if chosen is not None:
            wanted.setdefault(stage_name, chosen.stages[0].id)
    new, old = wanted.get(stage_name), before.get(stage_name)
    if not new or new == old:
        return
    stage = portal.metadata.stage(kind.name, new)
    wanted.update(stage_values(kind, stage, moments.iso(now)))
    left = portal.metadata.stage(kind.name, old)
    if left is not None:
        wanted[stage_property("exited", left.id)] = moments.iso(now)
    was_closed = left is not None and left.closed
    if kind.name == "deals" and stage is not None and stage.closed and not was_closed:
        wanted.setdefault("closedate", moments.iso(now))


def _finish_task(wanted: Values, before: dict[str, str], now: int) -> None:
    if not before:
        wanted.setdefault("hs_task_status", "NOT_STARTED")
    status = wanted.get("hs_task_status")
    if status is None:
        return
    done = status == "COMPLETED"
    if done and before.get("hs_task_status") != "COMPLETED":
        wanted["hs_task_completion_date"] = moments.iso(now)
    elif not done:
        wanted["hs_task_completion_date"] = ""
    wanted["hs_task_is_completed"] = str(done).lower()
