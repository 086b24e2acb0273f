"""How tasks, calls, mails, meetings and notes change the records they are logged on.

| logged      | num_notes | num_contacted_notes, …_last_contacted | …_last_updated | …_next_activity_date   |
| ----------- | --------- | ------------------------------------- | -------------- | ---------------------- |
| task        | +1        |                                       |                | its due date, if ahead |
| note        | +1        |                                       | yes            |                        |
| meeting     | +1        | yes                                   | yes            | its time, if ahead     |
| call, email | +1        | yes                                   | yes            |                        |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import ObjectType
from stagesync.sandbox.hubspot.records import Record, Source, Values
from stagesync.sandbox.hubspot.schema import stored

if TYPE_CHECKING:
    from stagesync.sandbox.hubspot.portal import Portal

PARENTS = ("contacts", "companies", "deals", "leads")
HUBSPOT = Source(type="CALCULATED")
_CONTACT = frozenset({"calls", "emails", "meetings", "communications"})
_UPCOMING = {
    "tasks": f"COALESCE({stored('hs_task_status')}, '') <> 'COMPLETED'",
    "meetings": f"COALESCE({stored('hs_meeting_outcome')}, '') <> 'CANCELED'",
}


def logged(portal: Portal, kind: ObjectType, activity: Record, parent: ObjectType, parent_id: int) -> None:
    """An activity was put on a record."""
    record = portal.records.get(parent, parent_id)
    if record is None or parent.name not in PARENTS:
        return
    moment = activity.properties.get("hs_timestamp") or moments.iso(activity.created)
    changes: Values = {"num_notes": _plus(record, "num_notes", 1)}
    if kind.name in _CONTACT:
        changes["num_contacted_notes"] = _plus(record, "num_contacted_notes", 1)
        changes["notes_last_contacted"] = _latest(record, "notes_last_contacted", moment, portal.now())
    if kind.name != "tasks":
        changes["notes_last_updated"] = _latest(record, "notes_last_updated", moment, portal.now())
    if kind.name == "meetings":
        changes["hs_latest_meeting_activity"] = max(record.properties.get("hs_latest_meeting_activity", ""), moment)
    if activity.properties.get("hs_email_direction") == "INCOMING_EMAIL":
        name = "hs_sales_email_last_replied"
        changes[name] = _latest(record, name, moment, portal.now())
    changes["notes_next_activity_date"] = _next_activity(portal, parent, parent_id)
    _store(portal, parent, record, changes)


def removed(portal: Portal, kind: ObjectType, activity: Record) -> None:
    """An activity was archived: counts go down, the next one may be another."""
    for parent, parent_id in _parents(portal, kind, activity.id):
        record = portal.records.get(parent, parent_id)
        if record is None:
            continue
        changes: Values = {"num_notes": _plus(record, "num_notes", -1)}
        if kind.name in _CONTACT:
            changes["num_contacted_notes"] = _plus(record, "num_contacted_notes", -1)
        changes["notes_next_activity_date"] = _next_activity(portal, parent, parent_id)
        _store(portal, parent, record, changes)


def rescheduled(portal: Portal, kind: ObjectType, activity: Record) -> None:
    """A task or meeting moved, was done or cancelled: what comes next may be another."""
    if kind.name not in _UPCOMING:
        return
    for parent, parent_id in _parents(portal, kind, activity.id):
        record = portal.records.get(parent, parent_id)
        if record is not None:
            changes: Values = {"notes_next_activity_date": _next_activity(portal, parent, parent_id)}
            _store(portal, parent, record, changes)


def _parents(portal: Portal, kind: ObjectType, activity_id: int) -> list[tuple[ObjectType, int]]:
    return [
        (portal.kind(name), parent_id)
        for name in PARENTS
        for parent_id in portal.associations.ids(kind, activity_id, portal.kind(name))
    ]


def _store(portal: Portal, parent: ObjectType, record: Record, changes: Values) -> None:
    known = portal.metadata.properties(parent.name)
    changed = {
        name: value
        for name, value in changes.items()
        if name in known and (value or None) != record.properties.get(name)
    }
    if changed:
        now = portal.now()
        portal.remember_indexed(parent, record.id)
        portal.records.update(parent, record, changed, now, HUBSPOT)


def _plus(record: Record, name: str, step: int) -> str:
    return str(max(0, int(float(record.properties.get(name, "0"))) + step))


def _latest(record: Record, name: str, moment: str, now: int) -> str | None:
    """The later of the stored and the new moment; what lies ahead has not happened yet."""
    old = record.properties.get(name)
    if (moments.parse(moment) or 0) > now:
        return old
    return moment if (moments.parse(moment) or 0) > (moments.parse(old) or 0) else old


def _next_activity(portal: Portal, parent: ObjectType, parent_id: int) -> str:
    """When the next open task or meeting of a record is due, ISO UTC; "" for none."""
    ahead: list[int] = []
    for name, still_on in _UPCOMING.items():
        kind = portal.kind(name)
        due = f"hs_millis({stored('hs_timestamp')})"
        soonest = portal.database.value(
            f'SELECT MIN({due}) FROM associations JOIN "{name}" AS t ON t.id = to_id'
            f" WHERE from_code = ? AND from_id = ? AND to_code = ? AND t.archived = 0 AND {still_on}"
            f" AND {due} > ?",
            (parent.code, parent_id, kind.code, portal.now()),
        )
        if soonest is not None:
            ahead.append(soonest)
    return moments.iso(min(ahead)) if ahead else ""
