"""StageSync's own tasks in HubSpot, and how they are found again without making a second one.

HubSpot has no idempotency keys. A task therefore carries the key of its change: in a property with unique
values where the portal has one (``HubSpotConnection.task_key``), otherwise as ``[stagesync:KEY]`` in its body.
Before a task is made, search is never used to look for it: its index lags by seconds, and a task made a moment ago
would be made twice (https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm, read 2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, time, tzinfo
from html import escape, unescape

from stagesync.connectors.hubspot.answers import AskedRow
from stagesync.connectors.hubspot.records import known_properties, read_associations, read_records, search_ids
from stagesync.connectors.hubspot.transport import ReadTransport
from stagesync.model.changes import Change, TaskText

STATUS = "hs_task_status"
BODY = "hs_task_body"
SUBJECT = "hs_task_subject"
OWNER = "hubspot_owner_id"
COMPLETED = "COMPLETED"
OPEN = "NOT_STARTED"
MARK = "stagesync"
DUE_TIME = time(9)

_MARKER = re.compile(r"\[stagesync:([^\]\s]+)\]")
_ENDING = re.compile(r"\[stagesync:[^\]\s]+\]\s*\Z")
_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li)>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def has_unique_key(transport: ReadTransport) -> bool:
    """Whether the portal's tasks have the key property, made with ``hasUniqueValue`` (it cannot be added later)."""
    connection = transport.connection
    definition = known_properties(transport, connection.task_table).get(connection.task_key)
    return definition is not None and definition.has_unique_value


def find_by_key(transport: ReadTransport, keys: Iterable[str]) -> dict[str, str]:
    """Task ids by key, through the unique property; one request for 100 keys."""
    table, key = transport.connection.task_table, transport.connection.task_key
    rows = read_records(transport, table, keys, [key], key=key)
    return {str(row.properties.get(key)): str(row.id) for row in rows}


def find_by_marker(
    transport: ReadTransport, keys: Collection[str], places: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """Task ids by key, where keys are only in bodies.

    First among the tasks of the records in ``places`` (ids by object), which are always as they are now. Only what is
    not there is searched for, in all tasks that speak of StageSync: a task that was made a moment ago, and whose
    association with its record was not, may not be in the index yet.
    """
    found: dict[str, str] = {}
    for name, records in places.items():
        found |= _on_records(transport, name, records, keys)
    if set(keys) <= found.keys():
        return found
    table = transport.connection.task_table
    ours = {"propertyName": BODY, "operator": "CONTAINS_TOKEN", "value": MARK}
    for ids in search_ids(transport, table, [ours]):
        found |= _marked(read_records(transport, table, ids, [BODY]), keys)
        if set(keys) <= found.keys():
            break
    return found


def find_on_records(transport: ReadTransport, changes: Iterable[Change]) -> dict[str, str]:
    """Task ids by key, looked for in the bodies of the tasks of the changes' own records."""
    wanted = list(changes)
    found: dict[str, str] = {}
    for name in dict.fromkeys(change.object for change in wanted):
        mine = [change for change in wanted if change.object == name]
        found |= _on_records(transport, name, [one.record for one in mine], {one.key for one in mine})
    return found


def _on_records(transport: ReadTransport, name: str, records: Iterable[str], keys: Collection[str]) -> dict[str, str]:
    table = transport.connection.task_table
    pairs = read_associations(transport, name, table, records)
    return _marked(read_records(transport, table, [task for _, task in pairs], [BODY]), keys)


def task_properties(task: TaskText, time_zone: tzinfo) -> dict[str, str]:
    """What a new task says. ``hs_timestamp`` is its due moment: 9:00 of the day where the portal is."""
    due = datetime.combine(task.due, DUE_TIME, time_zone).astimezone(UTC)
    return {
        "hs_timestamp": due.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        SUBJECT: task.subject,
        BODY: html(task.body),
        STATUS: OPEN,
        "hs_task_priority": "MEDIUM",
        "hs_task_type": "TODO",
        OWNER: task.owner,
    }


def marked(properties: Mapping[str, str], key: str) -> dict[str, str]:
    """The same task with its key written at the end of the body."""
    return {**properties, BODY: f"{properties[BODY]}<br>{escape(f'[stagesync:{key}]')}"}


def new_text(change: Change, held: Mapping[str, str | None]) -> dict[str, str | None] | None:
    """The properties that give a task its new text, with the key that its body ends with, and its new owner if it gets
    one; None where there is none to write, or the task no longer says what we wrote or is with somebody else."""
    told, task = change.told, change.task
    if told is None or task is None:
        return None
    if not _says(held, told):
        # What somebody has edited stays, and our words go behind it where there are any.
        return None if change.adds is None else {BODY: f"{held.get(BODY) or ''}<br><br>{html(change.adds)}"}
    text: dict[str, str | None] = {SUBJECT: task.subject, BODY: html(task.body) + _ending(held, told)}
    if task.owner == told.owner:
        return text
    return text | {OWNER: task.owner} if held.get(OWNER) == told.owner else None


def is_retold(change: Change, held: Mapping[str, str | None]) -> bool:
    """Whether a task says what a change was to write, and is with whom it was to be."""
    told, task = change.told, change.task
    if told is None or task is None or not _says(held, task):
        return False
    if change.asked_by is not None and held.get(STATUS) == change.asked_by:
        return False
    return task.owner in (told.owner, held.get(OWNER))


def _says(held: Mapping[str, str | None], text: TaskText) -> bool:
    """Whether a task holds our text, however HTML spells it: with nothing behind it, or the line of its key."""
    body, ours = plain(held.get(BODY) or ""), text.body.split()
    whole = body.split() == ours or _ENDING.sub("", body).split() == ours
    return whole and held.get(SUBJECT) == text.subject


def _ending(held: Mapping[str, str | None], told: TaskText) -> str:
    """The line with its key at the end of a body that says ``told``, if it has one."""
    body = plain(held.get(BODY) or "")
    mark = None if body.split() == told.body.split() else _ENDING.search(body)
    return f"<br>{escape(mark[0].strip())}" if mark else ""


def html(text: str) -> str:
    """Plain text as the HTML that the body of a task is; what people typed into a CRM stays text."""
    return "<br>".join(escape(text).splitlines())


def plain(body: str) -> str:
    """The text of a body, whoever wrote it: HubSpot's editor makes paragraphs where we make line breaks."""
    return unescape(_TAG.sub("", _BREAK.sub("\n", body)))


def said_alike(name: str, one: str | None, other: str | None) -> bool:
    """Whether two values of a property say the same; "" and None are both blank. A portal may spell the HTML of a body
    in a way of its own."""
    if name == BODY:
        return plain(one or "").split() == plain(other or "").split()
    return (one or None) == (other or None)


def _marked(rows: Iterable[AskedRow], keys: Collection[str]) -> dict[str, str]:
    escaped = {escape(key): key for key in keys}
    return {
        escaped[name]: str(row.id)
        for row in rows
        for name in _MARKER.findall(str(row.properties.get(BODY) or ""))
        if name in escaped
    }
