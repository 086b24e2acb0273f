"""Setting stages, with the detour that lifecycle stages need.

``lifecyclestage`` only moves forward: a move back is answered with 200 and not made, unless the value is
cleared first, in a request of its own since the items of a batch have no order. Sources:
https://developers.hubspot.com/docs/guides/api/crm/objects/contacts and
https://integrate.hubspot.com/t/1333, read 2026-11-21. A move forward is not cleared first: clearing runs the
portal's workflows twice and erases the dates of later stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stagesync.connectors.hubspot.answers import PropertyAnswer
from stagesync.connectors.hubspot.batches import update
from stagesync.connectors.hubspot.narrowing import Trouble, Troubles, not_tried, stopped
from stagesync.connectors.hubspot.readback import (
    Held,
    Values,
    Write,
    current_values,
    differences,
    failed,
    holds,
    read_back,
)
from stagesync.connectors.hubspot.records import known_properties
from stagesync.connectors.hubspot.stages import option_stages
from stagesync.connectors.hubspot.transport import WriteTransport
from stagesync.model.changes import Change, Outcome, Result

FORWARD_ONLY = "lifecyclestage"
BLANK: Values = {FORWARD_ONLY: None}


def set_stages(transport: WriteTransport, object_name: str, changes: Sequence[Change]) -> dict[str, Outcome]:
    """Write ``after`` where records still hold ``before``. At most one change a record, 100 in all.

    Raises ``ConnectionFailed`` or :class:`Refusal` only from the comparison, before anything is written.
    """
    now = _now(transport, object_name, changes)
    order = _lifecycle_order(transport, object_name, changes)
    outcomes: dict[str, Outcome] = {}
    writes: list[Write] = []
    for change in changes:
        early = _before_write(change, now) or _unknown_stage(change, order)
        if early is not None:
            outcomes[change.key] = early
        else:
            writes.append(Write(key=change.key, record=change.record, values=change.after))
    held = {write.record: now.values[write.record] for write in writes}
    troubles = _write(transport, object_name, writes, held, order)
    return outcomes | read_back(transport, object_name, writes, troubles)


def finish_stages(transport: WriteTransport, object_name: str, changes: Sequence[Change]) -> dict[str, Outcome]:
    """Set ``after`` where a stop between clearing and setting left the lifecycle stage blank.

    The same as :func:`set_stages` with a blank stage for what must still be there, so nothing is cleared. Where the
    stage is refused, the one that was cleared for it is put back.
    """
    outcomes = set_stages(transport, object_name, [_from_blank(change) for change in changes])
    old = {
        change.key: change
        for change in changes
        if outcomes[change.key].result is Result.REFUSED and change.before.get(FORWARD_ONLY)
    }
    cleared = {one.record: {FORWARD_ONLY: str(one.before[FORWARD_ONLY])} for one in old.values()}
    lost = update(transport, object_name, cleared, dict.fromkeys(cleared, BLANK))
    return outcomes | {key: _put_back(outcomes[key], one, lost.get(one.record)) for key, one in old.items()}


def _put_back(refused: Outcome, change: Change, lost: Trouble | None) -> Outcome:
    why = Trouble(result=refused.result, detail=refused.detail, halt=refused.halt)
    told = _restored(why, change.before[FORWARD_ONLY], lost)
    return failed(refused.key, told, crm_id=refused.crm_id)


def _from_blank(change: Change) -> Change:
    if FORWARD_ONLY not in change.after:
        return change
    return replace(change, before={**change.before, FORWARD_ONLY: None})


def _now(transport: WriteTransport, object_name: str, changes: Sequence[Change]) -> Held:
    names = {name for change in changes for name in (*change.before, *change.after)}
    return current_values(transport, object_name, [change.record for change in changes], names)


def _before_write(change: Change, held: Held) -> Outcome | None:
    """Why a change is not written; None when it is. Only values count: HubSpot moves the date by itself."""
    now = held.values.get(change.record)
    if now is None:
        return _superseded(change, held.why_gone(change.record), {})
    seen = {name: now.get(name) for name in change.after}
    if holds(now, change.after):
        return Outcome(key=change.key, result=Result.ALREADY_SO, crm_id=change.record, seen=seen)
    if not holds(now, change.before):
        return _superseded(change, f"changed since the plan: {differences(now, change.before)}", seen)
    return None


def _superseded(change: Change, detail: str, seen: Values) -> Outcome:
    return Outcome(key=change.key, result=Result.SUPERSEDED, detail=detail, crm_id=change.record, seen=seen)


def _lifecycle_order(
    transport: WriteTransport, object_name: str, changes: Sequence[Change]
) -> Mapping[str, int] | None:
    """Positions of lifecycle stages; None when no change moves one."""
    if not any(change.after.get(FORWARD_ONLY) for change in changes):
        return None
    definition = known_properties(transport, object_name).get(FORWARD_ONLY, PropertyAnswer(name=FORWARD_ONLY))
    return {stage.value: stage.position for stage in option_stages(definition)}


def _unknown_stage(change: Change, order: Mapping[str, int] | None) -> Outcome | None:
    """A lifecycle stage that is gone is refused before the old one is cleared for it."""
    target = change.after.get(FORWARD_ONLY)
    if not order or target is None or target in order:  # a portal that lists none is not asked which there are
        return None
    detail = f"this portal has no lifecycle stage {target}"
    return Outcome(key=change.key, result=Result.REFUSED, detail=detail, crm_id=change.record)


def _write(
    transport: WriteTransport,
    object_name: str,
    writes: Sequence[Write],
    held: Mapping[str, Values],
    order: Mapping[str, int] | None,
) -> Troubles:
    """Clear where the move is backwards, then set; what was cleared in vain gets its old stage back.

    Where HubSpot takes no more calls, what was cleared and not set is left in doubt, so that the next run finishes it.
    """
    back = [write for write in writes if _is_backward(write, held[write.record], order)]
    troubles = update(transport, object_name, {write.record: {FORWARD_ONLY: ""} for write in back}, held)
    cleared = {write.record: {**held[write.record], **BLANK} for write in back}
    ready = [write for write in writes if write.record not in troubles]
    end = stopped(troubles)
    if end is not None:
        refused = {write.record: not_tried(end) for write in ready}
    else:
        refused = update(transport, object_name, {write.record: write.wire() for write in ready}, {**held, **cleared})
    emptied = [write.record for write in back if _is_left_blank(refused.get(write.record))]
    if stopped(refused) is not None:
        return troubles | refused | {one: _unfinished(refused[one]) for one in emptied}
    old = {one: {FORWARD_ONLY: held[one][FORWARD_ONLY] or ""} for one in emptied}
    lost = update(transport, object_name, old, dict.fromkeys(old, BLANK))
    for one in emptied:
        refused[one] = _restored(refused[one], held[one][FORWARD_ONLY], lost.get(one))
    return troubles | refused


def _is_backward(write: Write, held: Values, order: Mapping[str, int] | None) -> bool:
    """Whether a lifecycle stage must be cleared first; when the order does not say, it is."""
    old, new = held.get(FORWARD_ONLY), write.values.get(FORWARD_ONLY)
    if order is None or not old or not new:
        return False
    return old not in order or new not in order or order[new] < order[old]


def _is_left_blank(refused: Trouble | None) -> bool:
    """Whether a stage that was cleared is surely not set, by nobody."""
    return refused is not None and refused.settled and refused.result is not Result.SUPERSEDED


def _unfinished(trouble: Trouble) -> Trouble:
    """A record that has no stage now, and whose change stays open."""
    detail = f"its stage was cleared and not yet set, which the next run does: {trouble.detail}"
    return replace(trouble, result=Result.UNKNOWN, detail=detail)


def _restored(refused: Trouble, old: str | None, lost: Trouble | None) -> Trouble:
    if lost is None:
        return replace(refused, detail=f"{refused.detail}; the old stage was put back")
    detail = f"{refused.detail}; the record may be left without a stage, it was {old}: {lost.detail}"
    return replace(lost, result=Result.UNKNOWN, detail=detail)
