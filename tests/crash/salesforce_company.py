"""The company in the embedded Salesforce."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from starlette.routing import BaseRoute

from stagesync.sandbox.salesforce.faults import Faults
from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.server import routes
from stagesync.sandbox.salesforce.writes import Writer

from .company import FIRST, LATER, PAIN, PEOPLE, Clock, Deal, State, Write

REP, COLLEAGUE = "005000000000101AAA", "005000000000102AAA"
STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote")
KEY = "StageSync_Key__c"
OPPORTUNITY = ("StageName", "Probability", "ForecastCategoryName", "Amount", "NextStep", "Pain__c", "OwnerId")
TROUBLES = (
    *("unavailable", "server_errors", "concurrent_limit", "drop_before_commit", "drop_after_commit"),
    *("expired token", "locked rows", "bad row", "full", "calls of the day used up"),
)
LEAD = ("Status", "Pain__c", "OwnerId")
TASK = ("Subject", "Description", "OwnerId", "Status", "ActivityDate", "IsClosed")
_LINE = re.compile(r"\[(stagesync-[0-9a-f]{20})\]\s*\Z")
_RECORD = re.compile(r"/sobjects/(?:Opportunity|Lead)/(\w+)\Z")


class SalesforceCompany:
    """An org with a file in ``folder``. With ``marked`` it has no field for our keys."""

    troubles = TROUBLES

    def __init__(self, folder: Path, *, marked: bool) -> None:
        self.clock = Clock()
        self.org = Org(folder / "salesforce.db", clock=self.clock)
        self.marked = marked
        if marked:
            self.org.faults.hidden_fields.add(("Task", KEY))

    def seed(self) -> None:
        standard_metadata(self.org)
        self.org.insert_many("User", [_user(REP, "Ada"), _user(COLLEAGUE, "Ben")])
        self.org.insert_many("Opportunity", [self._deal(deal) for deal in FIRST])

    def work(self) -> None:
        self.org.insert_many("Opportunity", [self._deal(deal) for deal in LATER])
        self.org.insert_many("Lead", [self._lead(name) for name in PEOPLE])
        person = Writer(self.org, REP)
        ids = {row["Name"]: row["Id"] for row in self.org.database.rows('SELECT "Id", "Name" FROM "Opportunity"')}
        opportunity = SOBJECTS["Opportunity"]
        person.update(opportunity, ids["told"], {"Pain__c": PAIN})
        person.update(opportunity, ids["closing"], {"Pain__c": PAIN})
        person.update(opportunity, ids["handed"], {"OwnerId": COLLEAGUE})
        (task,) = self.org.database.rows('SELECT "Id" FROM "Task" WHERE "WhatId" = ?', (ids["ended"],))
        person.update(SOBJECTS["Task"], task["Id"], {"Status": "Completed"})

    def _deal(self, deal: Deal) -> Mapping[str, Any]:
        moment = self.clock()
        row = {
            "Id": self.org.new_id("Opportunity"),
            "Name": deal.name,
            "StageName": STAGES[deal.rung],
            "Amount": deal.amount,
            "Pain__c": deal.pain,
            "CloseDate": "2026-12-31",
            "OwnerId": REP,
            "CreatedDate": moment,
            "LastModifiedDate": moment,
        }
        return row if deal.probability is None else {**row, "Probability": deal.probability}

    def _lead(self, name: str) -> Mapping[str, Any]:
        first, last = name.split()
        moment = self.clock()
        return {
            "Id": self.org.new_id("Lead"),
            "FirstName": first,
            "LastName": last,
            "Company": "Rival",
            "Status": "Qualified",
            "OwnerId": REP,
            "CreatedDate": moment,
            "LastModifiedDate": moment,
        }

    def routes(self) -> Sequence[BaseRoute]:
        return routes(self.org)

    def state(self) -> State:
        database = self.org.database
        names: dict[str, str] = {}
        records: dict[str, dict[str, Any]] = {}
        for table, fields in (("Opportunity", OPPORTUNITY), ("Lead", LEAD)):
            for row in database.rows(f'SELECT * FROM "{table}" WHERE "IsDeleted" = 0'):
                name = row["Name"] if table == "Opportunity" else f"{row['FirstName']} {row['LastName']}"
                names[row["Id"]] = name
                records[name] = {field: row[field] for field in fields}
        moves: dict[str, list[str]] = {}
        for row in database.rows('SELECT * FROM "OpportunityHistory" ORDER BY rowid'):
            stages = moves.setdefault(names[row["OpportunityId"]], [])
            if stages[-1:] != [row["StageName"]]:
                stages.append(row["StageName"])
        for row in database.rows("""SELECT * FROM "LeadHistory" WHERE "Field" = 'Status' ORDER BY rowid"""):
            moves.setdefault(names[row["LeadId"]], []).append(row["NewValue"])
        tasks: dict[str, list[dict[str, Any]]] = {}
        for row in database.rows('SELECT * FROM "Task" WHERE "IsDeleted" = 0 ORDER BY "Id"'):
            key = self._key_of(row)
            if key:
                parent = names.get(row["WhatId"] or row["WhoId"])
                tasks.setdefault(key, []).append({"of": parent, **{field: row[field] for field in TASK}})
        return State(records=records, moves=moves, tasks=tasks)

    def _key_of(self, row: Mapping[str, Any]) -> str | None:
        if not self.marked:
            return str(row[KEY]) if row[KEY] else None
        found = _LINE.search(row["Description"] or "")
        return found[1] if found else None

    def write_of(self, method: str, path: str, body: Any) -> Sequence[Write]:
        if method == "GET" or not isinstance(body, Mapping):
            return ()
        if path.endswith("/composite"):
            parts = [part for part in body["compositeRequest"] if part["method"] != "GET"]
            found = [(_RECORD.search(part["url"]), part["url"]) for part in parts]
            return [Write(name=match[1] if match else url, call=path) for match, url in found]
        if "/composite/sobjects" in path:
            # A POST with ids reads.
            rows = body.get("records", ())
            return [Write(name=row.get("id") or self._key_of({KEY: None, **row}) or "?", call=path) for row in rows]
        return [Write(name="?", call=f"{method} {path}")]

    def suffer(self, trouble: str, chance: Random) -> None:
        faults = self.org.faults
        match trouble:
            case "expired token":
                self.org.revoke_tokens()
            case "locked rows":
                faults.lock_failures = chance.randint(1, 6)
            case "bad row":
                names = self.org.database.rows('SELECT "Id" FROM "Opportunity" ORDER BY "Id"')
                faults.validation_rules[chance.choice(names)["Id"]] = "the amount is to be approved first"
            case "full":
                self.org.rules.storage_full = True
            case "calls of the day used up":
                faults.daily_limit_reached = True
            case counter:
                setattr(faults, counter, 1)

    def calm(self) -> None:
        hidden = self.org.faults.hidden_fields
        self.org.faults = Faults(hidden_fields=hidden)
        self.org.rules.storage_full = False

    def close(self) -> None:
        self.org.close()


def _user(user: str, name: str) -> Mapping[str, Any]:
    mail = f"{name.lower()}@rival.example"
    return {"Id": user, "LastName": name, "Username": mail, "Email": mail, "Alias": name[:5], "IsActive": True}
