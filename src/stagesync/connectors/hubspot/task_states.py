"""What became of StageSync's tasks: open, completed or deleted, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from stagesync.connectors.hubspot.answers import Values
from stagesync.connectors.hubspot.records import BATCH, pieces, read_records
from stagesync.connectors.hubspot.tasks import BODY, COMPLETED, STATUS, plain
from stagesync.connectors.hubspot.transport import ReadTransport, Request
from stagesync.model.tasks import Ending, TaskState

COMPLETED_AT = "hs_task_completion_date"


class Archived(msgspec.Struct, rename="camel"):
    """A record that was deleted. ``archived_at`` is ISO 8601."""

    id: str | int
    archived_at: str | None = None


class ArchivedAnswer(msgspec.Struct, rename="camel"):
    """The answer to a batch that asks for deleted records."""

    results: list[Archived] = []


def task_states(transport: ReadTransport, ids: Sequence[str]) -> dict[str, TaskState]:
    """The state of each task that the portal still knows: a call for 100, and one for 100 that are not there.

    HubSpot keeps deleted tasks for 90 days.
    """
    rows = read_records(transport, transport.connection.task_table, ids, [STATUS, COMPLETED_AT, BODY])
    found = {str(row.id): _live(row.properties) for row in rows}
    for row in _archived(transport, [one for one in ids if one not in found]):
        found[str(row.id)] = TaskState(status=None, ended=Ending.DELETED, at=_moment(row.archived_at))
    return found


def _archived(transport: ReadTransport, ids: Sequence[str]) -> list[Archived]:
    found: list[Archived] = []
    for piece in pieces(dict.fromkeys(ids), BATCH):
        request = Request(
            path=transport.paths.batch_read,
            names={"object": transport.connection.task_table},
            query={"archived": "true"},
            body={"inputs": [{"id": one} for one in piece], "properties": [STATUS]},
        )
        found += transport.ask(ArchivedAnswer, request).results
    return found


def _live(held: Values) -> TaskState:
    open_ = TaskState(status=held.get(STATUS), body=plain(str(held.get(BODY) or "")))
    if open_.status != COMPLETED:
        return open_
    return replace(open_, ended=Ending.COMPLETED, at=_moment(held.get(COMPLETED_AT)))


def _moment(text: object) -> datetime | None:
    """A moment as HubSpot writes it, in ISO 8601 or in milliseconds since 1970."""
    words = str(text or "")
    if words.isdigit():
        return datetime.fromtimestamp(int(words) / 1000, tz=UTC)
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
