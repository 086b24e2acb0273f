"""What people do in the two CRMs, and what the CRMs themselves hold: never through StageSync's own code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import requests

from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES
from stagesync.sandbox.hubspot.records import Source
from stagesync.sandbox.hubspot.writing import edit
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.writes import Writer
from stagesync.sandbox.server import Sandbox

# The company has tasks of an earlier StageSync too, with keys of another shape.
OURS = re.compile("stagesync-[0-9a-f]{20}")
Rows = dict[str, dict[str, dict[str, Any]]]
"""Fields by record by table: all that a CRM holds."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task that carries one of StageSync's keys."""

    id: str
    key: str
    record: str
    subject: str
    body: str
    owner: str
    due: str
    closed: bool


class Office(Protocol):
    """One CRM, seen by the people who work in it."""

    name: str
    deals: str
    people: str
    stage_fields: Mapping[str, str]
    """The stage field of each object."""

    def rows(self) -> Rows:
        """Everything that is stored, deleted records left out."""

    def tasks(self) -> list[Task]:
        """StageSync's tasks that are not deleted."""

    def edit(self, place: str, record: str, **fields: str) -> None:
        """The rep changes a record."""

    def meet(self, place: str, record: str, when: datetime) -> None:
        """The rep logs a meeting that took place and ended at ``when``."""

    def complete(self, task: str) -> None:
        """The rep ticks a task off."""

    def delete(self, task: str) -> None:
        """The rep deletes a task."""


class SalesforceOffice:
    """The embedded org, by its own objects."""

    name, deals, people = "salesforce", "Opportunity", "Lead"
    stage_fields: Mapping[str, str] = {"Opportunity": "StageName", "Lead": "Status"}

    def __init__(self, sandbox: Sandbox) -> None:
        self.org = sandbox.org
        self.rep = str(self.org.database.value('SELECT "OwnerId" FROM "Opportunity" LIMIT 1'))

    def rows(self) -> Rows:
        found: Rows = {}
        for name in SOBJECTS:
            rows = self.org.database.rows(f'SELECT * FROM "{name}"')
            found[name] = {row["Id"]: row for row in rows if not row.get("IsDeleted")}
        return found

    def tasks(self) -> list[Task]:
        sql = 'SELECT * FROM "Task" WHERE "StageSync_Key__c" IS NOT NULL AND "IsDeleted" = 0'
        return [
            Task(
                id=row["Id"],
                key=row["StageSync_Key__c"],
                record=row["WhatId"] or row["WhoId"],
                subject=row["Subject"],
                body=row["Description"],
                owner=row["OwnerId"],
                due=row["ActivityDate"],
                closed=bool(row["IsClosed"]),
            )
            for row in self.org.database.rows(sql)
            if OURS.fullmatch(row["StageSync_Key__c"])
        ]

    def edit(self, place: str, record: str, **fields: str) -> None:
        Writer(self.org, self.rep).update(SOBJECTS[place], record, fields)

    def meet(self, place: str, record: str, when: datetime) -> None:
        parent = "WhatId" if place == self.deals else "WhoId"
        start = when - timedelta(hours=1)
        values = {
            parent: record,
            "Subject": "Workshop",
            "StartDateTime": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "EndDateTime": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "OwnerId": self.rep,
        }
        Writer(self.org, self.rep).create(SOBJECTS["Event"], values)

    def complete(self, task: str) -> None:
        Writer(self.org, self.rep).update(SOBJECTS["Task"], task, {"Status": "Completed"})

    def delete(self, task: str) -> None:
        Writer(self.org, self.rep).delete(SOBJECTS["Task"], task)


class HubSpotOffice:
    """The embedded portal, by its files for looking and by its public API for doing."""

    name, deals, people = "hubspot", "deals", "contacts"
    stage_fields: Mapping[str, str] = {"deals": "dealstage", "contacts": "lifecyclestage"}

    def __init__(self, sandbox: Sandbox) -> None:
        self.portal, self.url = sandbox.portal, sandbox.url
        self._headers = {"Authorization": f"Bearer {sandbox.hubspot_token}"}

    def rows(self) -> Rows:
        found: Rows = {}
        for kind in OBJECT_TYPES:
            rows = self.portal.database.rows(f'SELECT id, properties FROM "{kind.name}" WHERE archived = 0')
            found[kind.name] = {str(row["id"]): json.loads(row["properties"]) for row in rows}
        owners = self.portal.database.rows("SELECT id, body FROM owners")
        return found | {"owners": {str(row["id"]): json.loads(row["body"]) for row in owners}}

    def tasks(self) -> list[Task]:
        codes = {kind.name: kind.code for kind in OBJECT_TYPES}
        parents: dict[str, str] = {}
        for row in self.portal.database.rows(
            "SELECT from_id, to_id FROM associations WHERE from_code = ? AND to_code IN (?, ?)",
            (codes["tasks"], codes["contacts"], codes["deals"]),
        ):
            parents[str(row["from_id"])] = str(row["to_id"])
        return [
            Task(
                id=record,
                key=values["stagesync_key"],
                record=parents[record],
                subject=values["hs_task_subject"],
                body=values["hs_task_body"],
                owner=values["hubspot_owner_id"],
                due=values["hs_timestamp"][:10],
                closed=values["hs_task_status"] == "COMPLETED",
            )
            for record, values in self.rows()["tasks"].items()
            if OURS.fullmatch(values.get("stagesync_key", ""))
        ]

    def edit(self, place: str, record: str, **fields: str) -> None:
        edit(self.portal, place, int(record), fields, Source(type="CRM_UI", user_id=9_586_504))

    def meet(self, place: str, record: str, when: datetime) -> None:
        types = {"deals": 212, "contacts": 200}
        start = when - timedelta(hours=1)
        values = {
            "hs_timestamp": start.isoformat(),
            "hs_meeting_title": "Workshop",
            "hs_meeting_start_time": start.isoformat(),
            "hs_meeting_end_time": when.isoformat(),
            "hs_meeting_outcome": "COMPLETED",
        }
        kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": types[place]}
        links = [{"to": {"id": record}, "types": [kind]}]
        self._call("POST", "meetings", {"properties": values, "associations": links})

    def complete(self, task: str) -> None:
        self._call("PATCH", f"tasks/{task}", {"properties": {"hs_task_status": "COMPLETED"}})

    def delete(self, task: str) -> None:
        self._call("DELETE", f"tasks/{task}")

    def _call(self, method: str, path: str, body: object = None) -> None:
        address = f"{self.url}/crm/v3/objects/{path}"
        response = requests.request(method, address, json=body, headers=self._headers, timeout=10)
        assert response.status_code < 300, response.text


def offices(sandbox: Sandbox) -> list[Office]:
    """Both CRMs."""
    return [SalesforceOffice(sandbox), HubSpotOffice(sandbox)]


def stages(sandbox: Sandbox) -> dict[str, str | None]:
    """The stage of every record of both CRMs."""
    found: dict[str, str | None] = {}
    for office in offices(sandbox):
        rows = office.rows()
        for place, name in office.stage_fields.items():
            found |= {f"{office.name} {place} {record}": row.get(name) for record, row in rows[place].items()}
    return found


def tasks(sandbox: Sandbox) -> dict[str, list[Task]]:
    """StageSync's tasks by record, of both CRMs."""
    found: dict[str, list[Task]] = {}
    for office in offices(sandbox):
        for task in office.tasks():
            found.setdefault(f"{office.name} {task.record}", []).append(task)
    return found
