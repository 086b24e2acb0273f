"""Portals that tell less than HubSpot's documents say: a task is made once there too, and what is so is not doubted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Any, cast

import pytest

from stagesync.connectors.hubspot.answers import Rejection
from stagesync.connectors.hubspot.connection import HubSpotConnection
from stagesync.connectors.hubspot.faults import Refusal, ScopeMissing
from stagesync.connectors.hubspot.transport import Client, Request, WriteTransport
from stagesync.connectors.hubspot.writer import HubSpotWriter
from stagesync.connectors.lately import Lately
from stagesync.model.changes import Change, ChangeKind, Outcome, Result, TaskText
from tests.unit.hubspot_changes import deal_change

NO_LABELS = Refusal(404, Rejection(message="no such path"))
NO_SCOPE = ScopeMissing("crm: lacks the scope x", "lacks the scope x")


@dataclass
class SparsePortal:
    """A client of a portal whose ids begin with 1 for each object, and which refuses to attach ``lonely`` tasks.

    ``silent`` answers to associations name none. Without ``attaches`` a new task is attached to nothing, whatever the
    request says; ``labels`` is the answer to who asks for types of associations.
    """

    unique: bool
    labels: Exception | list[dict[str, Any]] = field(default_factory=list)
    attaches: bool = True
    silent: bool = False
    lonely: frozenset[int] = frozenset()
    tasks: dict[int, dict[str, str]] = field(default_factory=dict)
    ties: set[tuple[int, int]] = field(default_factory=set)
    connection = HubSpotConnection(connection="crm", access_token="t")
    place, server_time, time_zone = "crm", None, UTC

    def __post_init__(self) -> None:
        self.lately = Lately()

    def sleep(self, _seconds: float) -> None:
        pass

    def call(self, request: Request) -> bytes:
        return json.dumps(self._answer(request, request.body or {})).encode()

    def _answer(self, request: Request, body: dict[str, Any] | Any) -> Any:
        of = request.names.get("object", "")
        inputs = body.get("inputs", ())
        match request.path.rpartition("}/")[2].removeprefix("/crm/v3/objects/"):
            case "/crm/v3/properties/{object}":
                return {"results": [{"name": "stagesync_key", "hasUniqueValue": True}] if self.unique else []}
            case "batch/read" if "associations" in request.path:
                return {"results": [self._ties_of(int(one["id"]), request.names["source"]) for one in inputs]}
            case "batch/read" if of == "tasks":
                wanted = {one["id"] for one in inputs}
                named = {str(task): body.get("idProperty") for task in self.tasks}
                return {
                    "results": [
                        {"id": task, "properties": held}
                        for task, held in self.tasks.items()
                        if (held.get("stagesync_key") if named[str(task)] else str(task)) in wanted
                    ]
                }
            case "batch/read":
                return {"results": [{"id": one["id"], "properties": {}} for one in inputs]}
            case "labels" if isinstance(self.labels, Exception):
                raise self.labels
            case "labels":
                return {"results": self.labels}
            case "batch/upsert":
                return {"results": [{"id": self._made(one["properties"]), "properties": {}} for one in inputs]}
            case "batch/associate/default":
                return {"results": [made for one in inputs for made in self._tied(one)]}
            case "{object}":
                task = self._made(body["properties"])
                if self.attaches:
                    self.ties |= {(task, int(one["to"]["id"])) for one in body["associations"]}
                return {"id": task}
            case other:
                raise AssertionError(other)

    def _made(self, properties: dict[str, str]) -> int:
        self.tasks[len(self.tasks) + 1] = properties
        return len(self.tasks)

    def _tied(self, pair: dict[str, Any]) -> list[dict[str, Any]]:
        task, record = int(pair["from"]["id"]), int(pair["to"]["id"])
        if task in self.lonely:
            return []
        self.ties.add((task, record))
        return [] if self.silent else [{"from": {"id": task}, "to": {"id": record}}]

    def _ties_of(self, near: int, source: str) -> dict[str, Any]:
        ends = [far for one, far in self.ties if one == near]
        if source != "tasks":
            ends = [one for one, far in self.ties if far == near]
        return {"from": {"id": near}, "to": [{"toObjectId": each} for each in ends]}


def task_for(record: str) -> Change:
    task = TaskText(subject="Say why", body="Where is it?", due=date(2026, 11, 25), owner="1")
    return deal_change(ChangeKind.OPEN_TASK, key=f"key-{record}", record=record, task=task)


def opened(portal: SparsePortal, records: list[str]) -> list[Outcome]:
    writer = HubSpotWriter(WriteTransport(cast(Client, portal)))
    return list(writer.open_tasks([task_for(record) for record in records]))


@pytest.mark.parametrize("labels", [NO_LABELS, NO_SCOPE, []])
@pytest.mark.parametrize("attaches", [True, False])
def test_without_a_key_property_a_task_is_made_once(labels: Any, attaches: bool) -> None:
    """Nothing but the answer to its creation tells of a task that is attached to nothing."""
    portal = SparsePortal(unique=False, labels=labels, attaches=attaches)
    for result in (Result.APPLIED, Result.ALREADY_SO):
        outcomes = opened(portal, ["7", "8"])
        assert [(one.result, one.crm_id) for one in outcomes] == [(result, "1"), (result, "2")]
    assert portal.ties == {(1, 7), (2, 8)}
    assert len(portal.tasks) == 2


@pytest.mark.parametrize("unique", [True, False])
def test_an_answer_that_names_no_association_is_looked_into(unique: bool) -> None:
    portal = SparsePortal(unique=unique, silent=True)
    assert [one.result for one in opened(portal, ["7", "8"])] == [Result.APPLIED] * 2
    assert portal.ties == {(1, 7), (2, 8)}


def test_a_task_is_not_taken_for_a_record_with_its_number() -> None:
    """Task 2 is attached to deal 1, and task 1 to nothing."""
    portal = SparsePortal(unique=True, lonely=frozenset({1}))
    first, second = opened(portal, ["7", "1"])
    assert (first.result, first.crm_id) == (Result.FAILED, "1")
    assert "task 1 is not attached to deals 7" in first.detail
    assert (second.result, second.crm_id) == (Result.APPLIED, "2")
