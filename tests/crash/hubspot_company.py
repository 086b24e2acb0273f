"""The company in the embedded HubSpot."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from starlette.routing import BaseRoute

from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES
from stagesync.sandbox.hubspot.faults import LOST, Faults
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.records import Source
from stagesync.sandbox.hubspot.server import routes
from stagesync.sandbox.hubspot.standard import standard_metadata
from stagesync.sandbox.hubspot.writing import edit

from .company import FIRST, LATER, PAIN, PEOPLE, Clock, Deal, State, Write

REP, COLLEAGUE = "41629779", "41629780"
STAGES = ("appointmentscheduled", "qualifiedtobuy", "contractsent")
OTHER_PIPELINE, OTHER_STAGES = "139663272", ("139663273", "139663274", "139663275")
KEY = "stagesync_key"
FIELDS = ("dealstage", "pipeline", "amount", "pain", "hs_next_step", "hubspot_owner_id", "lifecyclestage")
TASK = ("hs_task_subject", "hs_task_body", "hubspot_owner_id", "hs_task_status", "hs_timestamp")
TROUBLES = (
    *("502", "503", "500", "lost answer", "423", "long 423", "long 503"),
    *("bad rows", "nameless bad rows", "search lag", "expired token", "calls of the day used up"),
)
READS = ("/search", "/batch/read", "/associations/")
PERSON = Source(type="CRM_UI", user_id=9586504)
_LINE = re.compile(r"\[stagesync:(stagesync-[0-9a-f]{20})\]")


class HubSpotCompany:
    """A portal with a file in ``folder``. With ``marked`` it has no property for our keys."""

    troubles = TROUBLES

    def __init__(self, folder: Path, *, marked: bool) -> None:
        self.clock = Clock()
        self.portal = Portal(folder / "hubspot.db", clock=self.clock)
        self.portal.lifecycle_sync = False
        self.marked = marked

    def seed(self) -> None:
        standard_metadata(self.portal)
        if self.marked:
            self.portal.metadata.remove_property("tasks", KEY)
        names = {REP: "ada", COLLEAGUE: "ben"}
        self.portal.add_owners([{"id": owner, "email": f"{name}@rival.example"} for owner, name in names.items()])
        self.portal.insert_many("deals", [self._deal(deal) for deal in FIRST])

    def work(self) -> None:
        self.portal.insert_many("deals", [self._deal(deal) for deal in LATER])
        self.portal.insert_many("contacts", [self._contact(name) for name in PEOPLE])
        ids = {values["dealname"]: record for record, values in self._rows("deals").items()}
        edit(self.portal, "deals", ids["told"], {"pain": PAIN}, PERSON)
        edit(self.portal, "deals", ids["closing"], {"pain": PAIN}, PERSON)
        edit(self.portal, "deals", ids["handed"], {"hubspot_owner_id": COLLEAGUE}, PERSON)
        (task,) = [task for task, record in self._parents().items() if record == ids["ended"]]
        edit(self.portal, "tasks", task, {"hs_task_status": "COMPLETED"}, PERSON)

    def _deal(self, deal: Deal) -> Mapping[str, Any]:
        stages = OTHER_STAGES if deal.other_pipeline else STAGES
        properties = {
            "dealname": deal.name,
            "amount": str(deal.amount),
            "pipeline": OTHER_PIPELINE if deal.other_pipeline else "default",
            "dealstage": stages[deal.rung],
            "pain": deal.pain,
            "hubspot_owner_id": REP,
            "closedate": "2026-12-31T00:00:00Z",
        }
        return self._row("deals", properties)

    def _contact(self, name: str) -> Mapping[str, Any]:
        first, last = name.split()
        properties = {"firstname": first, "lastname": last, "lifecyclestage": "opportunity", "hubspot_owner_id": REP}
        return self._row("contacts", properties)

    def _row(self, table: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
        moment = self.clock()
        return {"id": self.portal.new_id(table), "properties": properties, "createdAt": moment, "updatedAt": moment}

    def routes(self) -> Sequence[BaseRoute]:
        return routes(self.portal)

    def state(self) -> State:
        names: dict[tuple[str, int], str] = {}
        records: dict[str, dict[str, Any]] = {}
        for table in ("deals", "contacts"):
            for record, values in self._rows(table).items():
                name = values.get("dealname") or f"{values['firstname']} {values['lastname']}"
                names[table, record] = name
                records[name] = {field: values.get(field) for field in FIELDS}
        tasks: dict[str, list[dict[str, Any]]] = {}
        parents = self._parents()
        named = {record: name for (_, record), name in names.items()}
        for task, values in self._rows("tasks").items():
            key = self._key_of(values)
            if key:
                of = named.get(parents.get(task, 0))
                tasks.setdefault(key, []).append({"of": of, **{field: values.get(field) for field in TASK}})
        return State(records=records, moves=self._moves(names), tasks=tasks)

    def _moves(self, names: Mapping[tuple[str, int], str]) -> dict[str, list[str]]:
        tables = {kind.code: kind.name for kind in OBJECT_TYPES}
        sql = "SELECT * FROM history WHERE property IN ('dealstage', 'lifecyclestage') ORDER BY rowid"
        moves: dict[str, list[str]] = {}
        for row in self.portal.database.rows(sql):
            moves.setdefault(names[tables[row["object_code"]], row["object_id"]], []).append(row["value"])
        return moves

    def _rows(self, table: str) -> dict[int, dict[str, Any]]:
        rows = self.portal.database.rows(f'SELECT id, properties FROM "{table}" WHERE archived = 0 ORDER BY id')
        return {row["id"]: json.loads(row["properties"]) for row in rows}

    def _parents(self) -> dict[int, int]:
        """The record that each task hangs on."""
        codes = {kind.name: kind.code for kind in OBJECT_TYPES}
        sql = "SELECT from_id, to_id FROM associations WHERE from_code = ? AND to_code IN (?, ?)"
        rows = self.portal.database.rows(sql, (codes["tasks"], codes["contacts"], codes["deals"]))
        return {row["from_id"]: row["to_id"] for row in rows}

    def _key_of(self, values: Mapping[str, Any]) -> str | None:
        if not self.marked:
            return values.get(KEY)
        found = _LINE.findall(html.unescape(values.get("hs_task_body") or ""))
        return found[-1] if found else None

    def write_of(self, method: str, path: str, body: Any) -> Sequence[Write]:
        if method == "GET" or not isinstance(body, Mapping) or any(word in path for word in READS):
            return ()
        if "inputs" in body:
            return [Write(name=str(row["id"]), call=path) for row in body["inputs"]]
        key = self._key_of(body.get("properties", {}))
        return [Write(name=key or "?", call=f"{method} {path}")]

    def suffer(self, trouble: str, chance: Random) -> None:
        faults = self.portal.faults
        match trouble:
            case "bad rows" | "nameless bad rows":
                faults.bad_rows = "named" if trouble == "bad rows" else "nameless"
                self.portal.forward_only.add(OTHER_PIPELINE)
            case "search lag":
                faults.search_lag_seconds = 600.0
            case "expired token":
                faults.token_expired = True
            case "calls of the day used up":
                faults.fail_next(1_000, 429)
            case "lost answer":
                faults.fail_next(1, LOST)
            case _:
                word, _, status = trouble.rpartition(" ")
                faults.fail_next(8 if word else 1, int(status))

    def calm(self) -> None:
        self.portal.faults = Faults()
        self.portal.forward_only.clear()

    def close(self) -> None:
        self.portal.database.close()
