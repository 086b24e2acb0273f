"""The embedded Salesforce as a world of the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagesync.connectors.base import Reader, Writer
from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.model.changes import Change
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.server import routes
from stagesync.sandbox.salesforce.writes import Writer as OrgWriter
from tests.sandbox.conftest import Serve

from .rough import Answer
from .world import START, Clock, Door, SeenTask

REP, GONE = "005000000000101AAA", "005000000000102AAA"


@dataclass
class SalesforceWorld:
    """A served org; people write through the org's own objects, not through the API that is tested."""

    org: Org
    clock: Clock
    url: str
    door: Door

    stage = "StageName"
    amount = "Amount"
    modified = "LastModifiedDate"
    stages = ("Prospecting", "Proposal/Price Quote", "Negotiation/Review")
    owner = REP
    inactive_owner = GONE
    conditional = True
    spent = Answer(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}])
    crowded = Answer(
        403,
        [
            {
                "errorCode": "REQUEST_LIMIT_EXCEEDED",
                "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            }
        ],
    )
    asking = "Deferred"
    deals = Table(
        name="Opportunity",
        key="Id",
        columns={
            "Name": ColumnType.TEXT,
            "StageName": ColumnType.TEXT,
            "Amount": ColumnType.NUMBER,
            "CloseDate": ColumnType.DATE,
            "LastModifiedDate": ColumnType.DATETIME,
        },
    )

    def __post_init__(self) -> None:
        self.reader: Reader
        self.writer: Writer
        self._connect()
        self._person = OrgWriter(self.org, REP)

    def _connect(self) -> None:
        self.reader, self.writer = connect(self._connection(self.url), patience=Patience(tries=4), sleep=self._wait)

    def _wait(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)

    def _connection(self, url: str) -> SalesforceConnection:
        return SalesforceConnection(
            connection="crm", login_url=url, client_id=self.org.client_id, client_secret=self.org.client_secret
        )

    def add_deals(self, count: int, stage: str) -> list[str]:
        ids = [self.org.new_id("Opportunity") for _ in range(count)]
        rows: list[dict[str, Any]] = [
            {
                "Id": record,
                "Name": f"Deal {number}",
                "StageName": stage,
                "Amount": 100 * number,
                "CloseDate": "2026-12-31",
                "OwnerId": REP,
                "CreatedDate": START,
                "LastModifiedDate": START,
            }
            for number, record in enumerate(ids)
        ]
        self.org.insert_many("Opportunity", rows)
        return ids

    def stage_of(self, record: str) -> str | None:
        found = self.org.database.value('SELECT "StageName" FROM "Opportunity" WHERE "Id" = ?', (record,))
        return None if found is None else str(found)

    def edit(self, record: str, **fields: str) -> None:
        self._person.update(SOBJECTS["Opportunity"], record, fields)

    def edit_all(self, stage: str) -> None:
        sql = 'UPDATE "Opportunity" SET "StageName" = ?, "LastModifiedDate" = ?, "SystemModstamp" = ?'
        self.org.database.execute(sql, (stage, self.org.stamp(), self.org.stamp()))

    @contextmanager
    def seen_late(self, record: str, **fields: str) -> Iterator[None]:
        """A transaction that saves the deal first and commits at its end."""
        saved = self.clock()
        yield
        self.org.faults.commit_delay_seconds = (self.clock() - saved).total_seconds()
        self.edit(record, **fields)
        self.org.faults.commit_delay_seconds = 0

    def delete(self, record: str) -> None:
        self._person.delete(SOBJECTS["Opportunity"], record)

    def tasks_of(self, record: str) -> list[SeenTask]:
        sql = (
            'SELECT "Id", "Subject", "Description", "OwnerId", "IsClosed" FROM "Task" '
            'WHERE "WhatId" = ? AND "IsDeleted" = 0 ORDER BY "Id"'
        )
        return [
            SeenTask(
                id=row["Id"],
                subject=row["Subject"],
                body=row["Description"],
                owner=row["OwnerId"],
                closed=bool(row["IsClosed"]),
            )
            for row in self.org.database.rows(sql, (record,))
        ]

    def complete(self, task: str) -> None:
        self._person.update(SOBJECTS["Task"], task, {"Status": "Completed"})

    def edit_task(self, task: str, note: str) -> None:
        self._person.update(SOBJECTS["Task"], task, {"Description": note})

    def ask(self, task: str) -> None:
        self._person.update(SOBJECTS["Task"], task, {"Status": self.asking})

    def delete_task(self, task: str) -> None:
        self._person.delete(SOBJECTS["Task"], task)

    def busy(self, calls: int) -> None:
        self.org.faults.unavailable = calls

    def lose_answers(self, calls: int) -> None:
        self.org.faults.drop_after_commit = calls

    def lose_writes(self, calls: int) -> None:
        self.org.faults.drop_after_commit = calls

    def lock(self, record: str, writes: int) -> None:
        self.org.faults.locked_records[record] = writes

    def spoil(self, change: Change) -> Change:
        self.org.faults.validation_rules[change.record] = "the amount is to be approved first"
        return change

    def crowd(self) -> None:
        self.org.faults.concurrent_limit = 2

    def use_up_day(self) -> None:
        self.org.faults.daily_limit_reached = True

    def renew_day(self) -> None:
        self.org.faults.daily_limit_reached = False
        self._connect()

    def meanwhile(self, act: Callable[[], object], *, after: bool = False) -> None:
        (self.door.after if after else self.door.before).append(act)

    def read_only(self) -> None:
        self.org.faults.read_only = True

    def refuse_credentials(self) -> None:
        self.org.client_secret = "another"
        self.org.revoke_tokens()

    def renewing(self) -> Reader:
        return connect(self._connection(self.url), patience=Patience(tries=4), sleep=_no_wait)[0]

    def end_token(self) -> None:
        self.org.revoke_tokens()

    def hide(self, column: str) -> None:
        self.org.faults.hidden_fields.add(("Opportunity", column))

    def remove_stage(self, value: str) -> None:
        self.org.database.execute('UPDATE "OpportunityStage" SET "IsActive" = 0 WHERE "ApiName" = ?', (value,))

    def unconnected(self) -> Reader:
        return connect(self._connection("http://127.0.0.1:9"), patience=Patience(tries=2), sleep=_no_wait)[0]


def salesforce_world(serve: Serve, path: Path) -> SalesforceWorld:
    """An org with an active and an inactive user and no deals."""
    clock = Clock()
    org = Org(path / "salesforce.db", clock=clock)
    standard_metadata(org)
    org.insert_many("User", [_user(REP, "Ada", active=True), _user(GONE, "Gone", active=False)])
    door = Door(routes(org), _writes)
    return SalesforceWorld(org=org, clock=clock, url=serve(door.routes), door=door)


def _writes(method: str, path: str, body: Any) -> bool:
    if path.endswith("/composite"):
        return any(part["method"] != "GET" for part in body["compositeRequest"])
    return method != "GET" and "/composite/sobjects" in path and "records" in body


def _user(user: str, name: str, *, active: bool) -> dict[str, Any]:
    mail = f"{name.lower()}@rival.example"
    return {"Id": user, "LastName": name, "Username": mail, "Email": mail, "Alias": name[:5], "IsActive": active}


def _no_wait(seconds: float) -> None:
    """Tests wait for nothing."""
