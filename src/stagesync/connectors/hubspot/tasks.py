"""StageSync's own tasks in HubSpot, and how they are found again without making a second one.

HubSpot has no idempotency keys. A task therefore carries the key of its change: in a property with unique
values where the portal has one (``HubSpotConnection.task_key``), otherwise as ``[stagesync:KEY]`` in its body.
Search is never used to find a task: its index lags by seconds, and a task made a moment ago would be made twice
(https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm, read 2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, time
from html import escape

from stagesync.connectors.hubspot.answers import Row
from stagesync.connectors.hubspot.records import list_records, read_associations, read_properties, read_records
from stagesync.connectors.hubspot.transport import ReadTransport
from stagesync.model.changes import Change, TaskText

STATUS = "hs_task_status"
BODY = "hs_task_body"
SUBJECT = "hs_task_subject"
OWNER = "hubspot_owner_id"
COMPLETED = "COMPLETED"
DUE_TIME = time(9, tzinfo=UTC)

_ENDING = re.compile(r"<br>\[stagesync:[^\]\s]+\]")
_MARKER = re.compile(r"\[stagesync:([^\]\s]+)\]")


def has_unique_key(transport: ReadTransport) -> bool:
    """Whether the portal's tasks have the key property, made with ``hasUniqueValue`` (it cannot be added later)."""
    connection = transport.connection
    definition = read_properties(transport, connection.task_table).get(connection.task_key)
    return definition is not None and definition.has_unique_value


def find_by_key(transport: ReadTransport, keys: Iterable[str]) -> dict[str, str]:
    """Task ids by key, through the unique property; one request for 100 keys."""
    table, key = transport.connection.task_table, transport.connection.task_key
    rows = read_records(transport, table, keys, [key], key=key)
    return {str(row.properties.get(key)): str(row.id) for row in rows}


def find_by_marker(transport: ReadTransport, keys: Collection[str]) -> dict[str, str]:
    """Task ids by key, where keys are only in bodies: reads all tasks of the portal, 100 a request."""
    table = transport.connection.task_table
    found: dict[str, str] = {}
    for rows in list_records(transport, table, {"limit": 100, "properties": BODY}):
        found.update(_marked(rows, keys))
        if len(found) == len(set(keys)):
            break
    return found


def find_on_records(transport: ReadTransport, changes: Iterable[Change]) -> dict[str, str]:
    """Task ids by key, looked for in the bodies of the tasks of the changes' own records."""
    wanted = list(changes)
    table = transport.connection.task_table
    found: dict[str, str] = {}
    for name in dict.fromkeys(change.object for change in wanted):
        mine = [change for change in wanted if change.object == name]
        pairs = read_associations(transport, name, table, [change.record for change in mine])
        rows = read_records(transport, table, [task for _, task in pairs], [BODY])
        found.update(_marked(rows, {change.key for change in mine}))
    return found


def task_properties(task: TaskText) -> dict[str, str]:
    """What a new task says. ``hs_timestamp`` is its due moment: 9:00 UTC of the day."""
    due = datetime.combine(task.due, DUE_TIME)
    return {
        "hs_timestamp": due.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        SUBJECT: task.subject,
        BODY: html(task.body),
        STATUS: "NOT_STARTED",
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
    body = held.get(BODY) or ""
    before = html(told.body)
    rest = body.removeprefix(before)
    ours = body.startswith(before) and (not rest or _ENDING.fullmatch(rest) is not None)
    if not ours or held.get(SUBJECT) != told.subject:
        return None
    text: dict[str, str | None] = {SUBJECT: task.subject, BODY: html(task.body) + rest}
    if task.owner == told.owner:
        return text
    return text | {OWNER: task.owner} if held.get(OWNER) == told.owner else None


def html(text: str) -> str:
    """Plain text as the HTML that the body of a task is; what people typed into a CRM stays text."""
    return "<br>".join(escape(text).splitlines())


def _marked(rows: Iterable[Row], keys: Collection[str]) -> dict[str, str]:
    escaped = {escape(key): key for key in keys}
    return {
        escaped[name]: str(row.id)
        for row in rows
        for name in _MARKER.findall(str(row.properties.get(BODY) or ""))
        if name in escaped
    }
