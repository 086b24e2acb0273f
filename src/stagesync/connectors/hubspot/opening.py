"""Opening tasks: found or created once, then attached to their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stagesync.connectors.hubspot.answers import AssociationLabels, Row
from stagesync.connectors.hubspot.batches import associate, upsert
from stagesync.connectors.hubspot.faults import Refusal, ScopeMissing
from stagesync.connectors.hubspot.frames import ID
from stagesync.connectors.hubspot.narrowing import Trouble, Troubles, not_tried, stopped, trouble
from stagesync.connectors.hubspot.readback import Held, current_values, failed, not_seen
from stagesync.connectors.hubspot.records import read_associations
from stagesync.connectors.hubspot.tasks import (
    find_by_key,
    find_on_records,
    has_unique_key,
    marked,
    task_properties,
)
from stagesync.connectors.hubspot.transport import Request, WriteTransport
from stagesync.errors import ConnectionFailed
from stagesync.model.changes import Change, Outcome, Result

HUBSPOT_DEFINED = "HUBSPOT_DEFINED"
DOCUMENTED = {"contacts": 204, "companies": 192, "deals": 216}
"""Types of associations from a task: https://developers.hubspot.com/docs/api-reference/crm-associations-v4, read
2026-11-21."""


def open_tasks(transport: WriteTransport, object_name: str, changes: Sequence[Change]) -> dict[str, Outcome]:
    """One task for each change, attached to its record; an existing one is attached again, which changes nothing.

    Raises ``ConnectionFailed`` or :class:`Refusal` only before anything is written.
    """
    unique = has_unique_key(transport)
    there = current_values(transport, object_name, [one.record for one in changes], [ID])
    sought = [replace(one, record=there.merged[one.record]) if one.record in there.merged else one for one in changes]
    present = {*there.values, *there.merged.values()}
    existing = _found(transport, [one for one in sought if one.task and one.record in present], unique=unique)
    outcomes = {one.key: outcome for one in changes if (outcome := _before_write(one, there, existing))}
    wanted = [one for one in sought if one.key not in outcomes]
    fresh = [one for one in wanted if one.key not in existing]
    created, troubles = ({}, _upsert(transport, fresh)) if unique else _create_each(transport, object_name, fresh)
    looked_for = [one for one in fresh if one.key not in created]
    made, troubles = _located(transport, looked_for, troubles, unique=unique)
    ids = {**existing, **created, **made}
    loose = _attach(transport, object_name, wanted, ids)
    for one in wanted:
        outcomes[one.key] = _outcome(one, ids.get(one.key), troubles.get(one.key), loose, already=one.key in existing)
    return outcomes


def _before_write(change: Change, there: Held, existing: Mapping[str, str]) -> Outcome | None:
    """Why no task is opened. One that exists went along when its record was merged, and is ours as before."""
    if change.task is None:
        return Outcome(key=change.key, result=Result.FAILED, detail="the change holds no task to open")
    if change.record in there.values or (change.record in there.merged and change.key in existing):
        return None
    return Outcome(key=change.key, result=Result.SUPERSEDED, detail=there.why_gone(change.record))


def _found(transport: WriteTransport, changes: Sequence[Change], *, unique: bool) -> dict[str, str]:
    if not changes:
        return {}
    return find_by_key(transport, [one.key for one in changes]) if unique else find_on_records(transport, changes)


def _properties(transport: WriteTransport, change: Change) -> dict[str, str]:
    return task_properties(change.task, transport.time_zone) if change.task is not None else {}


def _upsert(transport: WriteTransport, changes: Sequence[Change]) -> Troubles:
    connection = transport.connection
    rows = {one.key: _properties(transport, one) for one in changes}
    return upsert(transport, connection.task_table, connection.task_key, rows)


def _create_each(
    transport: WriteTransport, object_name: str, changes: Sequence[Change]
) -> tuple[dict[str, str], Troubles]:
    """Without a unique property: one by one, key in the body, attached in the same request so as to be found.

    The ids of tasks by the keys of their changes: one that HubSpot did not attach is found by nothing else.
    """
    types = _plain_type(transport, object_name) if changes else []
    made: dict[str, str] = {}
    found: Troubles = {}
    for one in changes:
        end = stopped(found)
        if end is not None:
            found[one.key] = not_tried(end)
            continue
        ends = [{"to": {"id": one.record}, "types": types}] if types else []
        body = {"properties": marked(_properties(transport, one), one.key), "associations": ends}
        request = Request(path=transport.paths.create, names={"object": transport.connection.task_table}, body=body)
        try:
            made[one.key] = str(transport.send(Row, request, idempotent=False).id)
        except Refusal as refusal:
            found[one.key] = Trouble(result=Result.REFUSED, detail=refusal.rejection.words())
        except ConnectionFailed as error:
            found[one.key] = trouble(error)
    return made, found


def _plain_type(transport: WriteTransport, object_name: str) -> list[Mapping[str, str | int]]:
    """The type of a plain association from a task, which HubSpot's documents do not give for every object. Where the
    portal does not tell it is the documented one, or none: then the task is attached after it was made."""
    names = {"source": transport.connection.task_table, "target": object_name}
    try:
        answer = transport.ask(AssociationLabels, Request(path=transport.paths.association_labels, names=names))
    except (Refusal, ScopeMissing):
        numbers = [DOCUMENTED[object_name]] if object_name in DOCUMENTED else []
    else:
        numbers = [one.type_id for one in answer.results if one.category == HUBSPOT_DEFINED and one.label is None]
    return [{"associationCategory": HUBSPOT_DEFINED, "associationTypeId": number} for number in numbers[:1]]


def _located(
    transport: WriteTransport, changes: Sequence[Change], troubles: Troubles, *, unique: bool
) -> tuple[dict[str, str], Troubles]:
    """Ids of the tasks just made, those of unknown outcome among them; and the troubles that are left."""
    doubtful = [one for one in changes if not troubles.get(one.key, _SENT).settled]
    try:
        ids = _found(transport, doubtful, unique=unique)
    except (ConnectionFailed, Refusal) as error:
        blind = {one.key: not_seen(error) for one in doubtful}
        return {}, {**blind, **{key: one for key, one in troubles.items() if not one.doubtful}}
    return ids, {key: one for key, one in troubles.items() if key not in ids}


_SENT = Trouble(result=Result.UNKNOWN, detail="sent")


def _attach(transport: WriteTransport, object_name: str, changes: Sequence[Change], ids: Mapping[str, str]) -> Troubles:
    table = transport.connection.task_table
    pairs = {ids[one.key]: one.record for one in changes if one.key in ids}
    loose = associate(transport, table, object_name, pairs)
    if not loose or stopped(loose) is not None:
        return loose
    # An answer need not tell of each association, and one that was lost tells of none.
    try:
        tied = set(read_associations(transport, table, object_name, loose))
    except (ConnectionFailed, Refusal):
        return loose
    return {task: why for task, why in loose.items() if (task, pairs[task]) not in tied}


def _outcome(change: Change, task: str | None, problem: Trouble | None, loose: Troubles, *, already: bool) -> Outcome:
    if problem is not None:
        return failed(change.key, problem, crm_id=task)
    if task is None:
        detail = "HubSpot answered that the task was written, and there is none"
        return Outcome(key=change.key, result=Result.FAILED, detail=detail)
    if task in loose:
        # A task that is there is not forgotten: unless HubSpot said no, the next run attaches it.
        result = Result.FAILED if loose[task].result is Result.REFUSED else Result.UNKNOWN
        detail = f"task {task} is not attached to {change.object} {change.record}: {loose[task].detail}"
        return failed(change.key, replace(loose[task], result=result), detail=detail, crm_id=task)
    return Outcome(key=change.key, result=Result.ALREADY_SO if already else Result.APPLIED, crm_id=task)
