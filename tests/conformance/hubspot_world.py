"""The embedded HubSpot as a world of the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from stagesync.connectors.base import Reader, Writer
from stagesync.connectors.hubspot import HubSpotConnection, OAuthApp, connect
from stagesync.model.changes import Change
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.hubspot.faults import LOST
from stagesync.sandbox.hubspot.limits import Limits
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.server import routes
from stagesync.sandbox.hubspot.standard import standard_metadata
from tests.sandbox.conftest import Serve

from .rough import Answer
from .world import START, Clock, Door, SeenTask

REP, GONE = "41629779", "41629780"
TOKEN = "stagesync-demo-hubspot"
STAGE_OF_ANOTHER_PIPELINE = "139663273"


@dataclass
class HubSpotWorld:
    """A served portal; people write through the portal's public API, with their own plain client."""

    portal: Portal
    clock: Clock
    url: str
    door: Door

    stage = "dealstage"
    amount = "amount"
    modified = "hs_lastmodifieddate"
    stages = ("qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin")
    owner = REP
    inactive_owner = GONE
    conditional = False
    spent = Answer(429, {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "Daily."})
    crowded = Answer(
        429, {"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING", "message": "Wait."}
    )
    asking = "WAITING"
    deals = Table(
        name="deals",
        key="id",
        columns={
            "dealname": ColumnType.TEXT,
            "dealstage": ColumnType.TEXT,
            "amount": ColumnType.NUMBER,
            "closedate": ColumnType.DATE,
            "hs_lastmodifieddate": ColumnType.DATETIME,
        },
    )

    def __post_init__(self) -> None:
        self.reader: Reader
        self.writer: Writer
        self._connect()

    def _connect(self) -> None:
        self.reader, self.writer = connect(_connection(self.url), sleep=self._wait, timer=self.clock.seconds)

    def _wait(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)

    def add_deals(self, count: int, stage: str) -> list[str]:
        ids = [self.portal.new_id("deals") for _ in range(count)]
        rows: list[dict[str, Any]] = [
            {
                "id": record,
                "properties": {
                    "dealname": f"Deal {number}",
                    "amount": str(100 * number),
                    "pipeline": "default",
                    "dealstage": stage,
                    "hubspot_owner_id": REP,
                    "closedate": "2026-12-31T00:00:00Z",
                },
                "createdAt": START,
                "updatedAt": START,
            }
            for number, record in enumerate(ids)
        ]
        self.portal.insert_many("deals", rows)
        return [str(record) for record in ids]

    def stage_of(self, record: str) -> str | None:
        found = self._call("GET", f"deals/{record}?properties=dealstage")
        return None if found is None else str(found["properties"]["dealstage"])

    def edit(self, record: str, **fields: str) -> None:
        self._call("PATCH", f"deals/{record}", {"properties": fields})

    def edit_all(self, stage: str) -> None:
        now = self.portal.now()
        sql = "UPDATE \"deals\" SET updated = ?, properties = json_set(properties, '$.dealstage', ?)"
        self.portal.database.execute(sql, (now, stage))

    @contextmanager
    def seen_late(self, record: str, **fields: str) -> Iterator[None]:
        """An index that takes long to know of one deal, and a second to know of the others."""
        self.portal.faults.search_lag_seconds = 3_600
        self.edit(record, **fields)
        self.portal.faults.search_lag_seconds = 1
        yield
        self.portal.faults.search_lag_seconds = 0

    def delete(self, record: str) -> None:
        self._call("DELETE", f"deals/{record}")

    def tasks_of(self, record: str) -> list[SeenTask]:
        names = "hs_task_subject,hs_task_body,hubspot_owner_id,hs_task_status"
        linked = self._call("GET", f"deals/{record}/associations/tasks", version="v4")["results"]
        found = [self._call("GET", f"tasks/{row['toObjectId']}?properties={names}") for row in linked]
        return [
            SeenTask(
                id=task["id"],
                subject=task["properties"]["hs_task_subject"],
                body=task["properties"]["hs_task_body"],
                owner=task["properties"]["hubspot_owner_id"],
                closed=task["properties"]["hs_task_status"] == "COMPLETED",
            )
            for task in found
            if task is not None
        ]

    def complete(self, task: str) -> None:
        self._call("PATCH", f"tasks/{task}", {"properties": {"hs_task_status": "COMPLETED"}})

    def edit_task(self, task: str, note: str) -> None:
        self._call("PATCH", f"tasks/{task}", {"properties": {"hs_task_body": note}})

    def ask(self, task: str) -> None:
        self._call("PATCH", f"tasks/{task}", {"properties": {"hs_task_status": self.asking}})

    def delete_task(self, task: str) -> None:
        self._call("DELETE", f"tasks/{task}")

    def busy(self, calls: int) -> None:
        self.portal.faults.outages.clear()
        self.portal.faults.fail_next(calls, 503)

    def lose_answers(self, calls: int) -> None:
        self.portal.faults.drop_after_task_create = calls

    def lose_writes(self, calls: int) -> None:
        self.portal.faults.fail_next(calls, LOST, on="/batch/update")

    def lock(self, record: str, writes: int) -> None:
        self.portal.faults.fail_next(writes, 423, on="/batch/update")

    def spoil(self, change: Change) -> Change:
        return replace(change, after={self.stage: STAGE_OF_ANOTHER_PIPELINE})

    def crowd(self) -> None:
        self.portal.limiter.limits = Limits(ten_secondly=1)

    def use_up_day(self) -> None:
        self.portal.limiter.limits = Limits(daily=0)

    def renew_day(self) -> None:
        self.portal.limiter.limits = Limits()
        self._connect()

    def meanwhile(self, act: Callable[[], object], *, after: bool = False) -> None:
        (self.door.after if after else self.door.before).append(act)

    def read_only(self) -> None:
        self.portal.faults.read_only_token = True

    def refuse_credentials(self) -> None:
        self.portal.faults.token_revoked = True

    def renewing(self) -> Reader:
        portal = self.portal
        app = OAuthApp(
            client_id=portal.client_id, client_secret=portal.client_secret, refresh_token=portal.refresh_token
        )
        connection = HubSpotConnection(connection="crm", access_token="", oauth=app, base_url=self.url)
        return connect(connection, sleep=_no_wait)[0]

    def end_token(self) -> None:
        self.portal.faults.token_expired = True

    def hide(self, column: str) -> None:
        self.portal.metadata.remove_property("deals", column)

    def remove_stage(self, value: str) -> None:
        pipeline = self.portal.metadata.pipeline("deals", "default")
        assert pipeline is not None
        stages = tuple(stage for stage in pipeline.stages if stage.id != value)
        self.portal.metadata.add_pipeline("deals", replace(pipeline, stages=stages))

    def unconnected(self) -> Reader:
        return connect(_connection("http://127.0.0.1:9"), sleep=_no_wait)[0]

    def _call(self, method: str, path: str, body: object = None, version: str = "v3") -> Any:
        response = requests.request(
            method,
            f"{self.url}/crm/{version}/objects/{path}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=10,
        )
        if response.status_code == 404:
            return None
        assert response.status_code < 300, response.text
        return response.json() if response.content else None


def _connection(url: str) -> HubSpotConnection:
    return HubSpotConnection(connection="crm", access_token=TOKEN, base_url=url)


def hubspot_world(serve: Serve, path: Path) -> HubSpotWorld:
    """A portal with an active and a deactivated owner and no deals."""
    clock = Clock()
    portal = Portal(path / "hubspot.db", clock=clock, access_token=TOKEN, timer=clock.seconds)
    standard_metadata(portal)
    portal.add_owners(
        [
            {"id": REP, "email": "ada@rival.example", "firstName": "Ada", "lastName": "Rep", "userId": 9586504},
            {"id": GONE, "email": "gone@rival.example", "userId": 9586505, "archived": True},
        ]
    )
    door = Door(routes(portal), _writes)
    return HubSpotWorld(portal=portal, clock=clock, url=serve(door.routes), door=door)


def _writes(method: str, path: str, body: Any) -> bool:
    made = method == "POST" and path.endswith("/objects/tasks")
    return made or path.endswith(("/batch/update", "/batch/upsert"))


def _no_wait(seconds: float) -> None:
    """Tests wait for nothing."""
