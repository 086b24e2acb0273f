"""The embedded Salesforce as a world of the conformance suite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagesync.connectors.base import Reader, Writer
from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.model.tables import ColumnType, Table
from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.server import routes
from stagesync.sandbox.salesforce.writes import Writer as OrgWriter
from tests.sandbox.conftest import Serve

from .world import START, Clock, SeenTask

REP, GONE = "005000000000101AAA", "005000000000102AAA"


@dataclass
class SalesforceWorld:
    """A served org; people write through the org's own objects, not through the API that is tested."""

    org: Org
    clock: Clock
    url: str

    stage = "StageName"
    amount = "Amount"
    modified = "LastModifiedDate"
    stages = ("Prospecting", "Proposal/Price Quote", "Negotiation/Review")
    owner = REP
    inactive_owner = GONE
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
        self.reader, self.writer = connect(self._connection(self.url), patience=Patience(tries=4), sleep=_no_wait)
        self._person = OrgWriter(self.org, REP)

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

    def delete_task(self, task: str) -> None:
        self._person.delete(SOBJECTS["Task"], task)

    def busy(self, calls: int) -> None:
        self.org.faults.unavailable = calls

    def lose_answers(self, calls: int) -> None:
        self.org.faults.drop_after_commit = calls

    def read_only(self) -> None:
        self.org.faults.read_only = True

    def refuse_credentials(self) -> None:
        self.org.client_secret = "another"
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
    return SalesforceWorld(org=org, clock=clock, url=serve(routes(org)))


def _user(user: str, name: str, *, active: bool) -> dict[str, Any]:
    mail = f"{name.lower()}@rival.example"
    return {"Id": user, "LastName": name, "Username": mail, "Email": mail, "Alias": name[:5], "IsActive": active}


def _no_wait(seconds: float) -> None:
    """Tests wait for nothing."""
