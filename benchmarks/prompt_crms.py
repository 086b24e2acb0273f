"""A Salesforce org and a HubSpot portal that answer at once, for a benchmark of writing.

    python benchmarks/prompt_crms.py        (prints a URL and a token of the org, and ends with its standard input)

Records and tasks are kept in dictionaries, so that what is read back is what was written: a stage, a precondition, a
lifecycle stage that only moves forward. What says of what an org is made (describe, stages, properties) is asked of the
embedded CRMs once and then given again. ``GET /fresh/N`` makes N records anew, ``GET /calls`` counts calls by kind,
``GET /state`` says what is there.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import msgspec
import requests
import uvicorn
from starlette.applications import Starlette

from stagesync.sandbox.hubspot import server as hubspot_server
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.standard import standard_metadata as portal_metadata
from stagesync.sandbox.salesforce import server as salesforce_server
from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org

TOKEN = "stagesync-demo-hubspot"  # noqa: S105  (a public demo credential)
MODIFIED = "2026-11-20T09:00:00.000+0000"
AS_A_HEADER, TODAY = "Fri, 20 Nov 2026 09:00:00 GMT", "Sat, 21 Nov 2026 12:00:00 GMT"
NOW = "2026-11-21T12:00:00.000+0000"
LIFECYCLE = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode
Answer = tuple[int, bytes]
IN = re.compile(r"IN \((.*)\)")


def opportunity_id(number: int) -> str:
    """The id of the record with this number."""
    return f"006{number:012}AAA"


class Salesforce:
    """Opportunities and tasks."""

    def __init__(self) -> None:
        self.deals: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, str] = {}

    def fresh(self, count: int) -> None:
        """So many opportunities, no task."""
        self.tasks, self.by_key = {}, {}
        self.deals = {}
        for number in range(count):
            record = opportunity_id(number)
            row = {"Id": record, "StageName": "Proposal/Price Quote", "Probability": 75, "RecordTypeId": None}
            row |= {"ForecastCategoryName": "Pipeline", "LastModifiedDate": MODIFIED, "SystemModstamp": MODIFIED}
            self.deals[record[:15]] = row

    def composite(self, body: bytes) -> bytes:
        """POST /composite."""
        parts = decode(body)["compositeRequest"]
        assert len(parts) <= 25
        return encode({"compositeResponse": [self.part(part) for part in parts]})

    def part(self, part: dict[str, Any]) -> dict[str, Any]:
        """A PATCH of one opportunity, with its precondition."""
        row = self.deals[part["url"].rpartition("/")[2][:15]]
        since = part.get("httpHeaders", {}).get("If-Unmodified-Since", AS_A_HEADER)
        answer: dict[str, Any] = {"body": None, "httpHeaders": {}, "httpStatusCode": 204}
        if row["LastModifiedDate"] != MODIFIED or since != AS_A_HEADER:
            error = {"message": "Entity was modified", "errorCode": "PRECONDITION_FAILED"}
            answer |= {"body": [error], "httpStatusCode": 412}
        else:
            self.write(row, part["body"])
        return answer | {"referenceId": part["referenceId"]}

    def write(self, row: dict[str, Any], fields: dict[str, Any]) -> None:
        """New values; a stage brings its probability."""
        row |= {"Probability": 10} | fields | {"LastModifiedDate": NOW, "SystemModstamp": NOW}

    def patch(self, path: str, body: bytes) -> bytes:
        """PATCH one opportunity."""
        self.write(self.deals[path.rpartition("/")[2][:15]], decode(body))
        return b""

    def retrieved(self, table: str, body: bytes) -> bytes:
        """POST /composite/sobjects/X."""
        asked = decode(body)
        assert len(asked["ids"]) <= 2_000
        rows = self.tasks if table == "Task" else self.deals
        found = [rows.get(record[:15]) for record in asked["ids"]]
        names = ["Id", *asked["fields"]]
        about = {"attributes": {"type": table}}
        return encode([row and about | {name: row[name] for name in names} for row in found])

    def changed(self, body: bytes) -> bytes:
        """PATCH or POST /composite/sobjects."""
        records = decode(body)["records"]
        assert len(records) <= 200
        return encode([self.one(dict(record)) for record in records])

    def one(self, record: dict[str, Any]) -> dict[str, Any]:
        """A row of a collection: an opportunity, a task that is there, or a new one."""
        record.pop("attributes")
        if record.get("Id", record.get("id", "")).startswith("006"):
            known = record.pop("Id", None) or record.pop("id")
            self.write(self.deals[known[:15]], record)
            return {"id": known, "success": True, "errors": []}
        known = record.pop("id", None)
        if known is None:
            return self.made(record)
        self.tasks[known[:15]] |= record | {"IsClosed": record.get("Status") == "Completed"}
        return {"id": known, "success": True, "errors": []}

    def made(self, record: dict[str, Any]) -> dict[str, Any]:
        """A new task."""
        task = f"00T{len(self.tasks):012}AAA"
        self.tasks[task[:15]] = {"Id": task, "IsClosed": False, "IsDeleted": False, **record}
        if "StageSync_Key__c" in record:
            self.by_key[record["StageSync_Key__c"]] = task
        return {"id": task, "success": True, "created": True, "errors": []}

    def upserted(self, body: bytes) -> bytes:
        """PATCH /composite/sobjects/Task/StageSync_Key__c."""
        records = decode(body)["records"]
        assert len(records) <= 200
        assert not any(record["StageSync_Key__c"] in self.by_key for record in records)
        return encode([self.one(dict(record)) for record in records])

    def keyed(self, soql: str) -> bytes:
        """The tasks with some keys."""
        named = IN.search(soql)
        assert named is not None
        keys = [key.strip("'") for key in named[1].split(",")]
        rows = [self.tasks[self.by_key[key][:15]] for key in keys if key in self.by_key]
        fields = ("StageSync_Key__c", "Id", "IsDeleted")
        records = [{"attributes": {"type": "Task"}} | {name: row[name] for name in fields} for row in rows]
        return encode({"totalSize": len(rows), "done": True, "records": records})


class HubSpot:
    """Deals, contacts and tasks."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        self.by_key: dict[str, str] = {}
        self.associated = 0

    def fresh(self, count: int) -> None:
        """So many deals and contacts, no task."""
        self.by_key, self.associated = {}, 0
        self.rows = {"tasks": {}}
        self.rows["deals"] = {str(number): {"dealstage": "contractsent"} for number in range(1, count + 1)}
        self.rows["contacts"] = {str(number): {"lifecyclestage": "opportunity"} for number in range(1, count + 1)}

    def read(self, table: str, body: bytes) -> bytes:
        """POST batch/read."""
        asked = decode(body)
        assert len(asked["inputs"]) <= 100
        rows, ids = self.rows[table], [one["id"] for one in asked["inputs"]]
        if "idProperty" in asked:
            ids = [self.by_key[key] for key in ids if key in self.by_key]
        names = asked["properties"]
        return self.answered({one: {name: rows[one].get(name) for name in names} for one in ids if one in rows})

    def answered(self, rows: dict[str, dict[str, Any]]) -> bytes:
        """Results, in an order of their own."""
        about = {"createdAt": MODIFIED, "updatedAt": NOW, "archived": False}
        results = [{"id": one, "properties": values, **about} for one, values in reversed(rows.items())]
        return encode({"status": "COMPLETE", "results": results, "startedAt": NOW, "completedAt": NOW})

    def update(self, table: str, body: bytes) -> bytes:
        """POST batch/update; a lifecycle stage that would go back stays, without a word."""
        inputs, rows = decode(body)["inputs"], self.rows[table]
        assert len(inputs) <= 100
        for one in inputs:
            row, values = rows[one["id"]], dict(one["properties"])
            old, new = row.get("lifecyclestage"), values.get("lifecyclestage")
            if old and new and LIFECYCLE.index(new) < LIFECYCLE.index(old):
                values["lifecyclestage"] = old
            row |= values
        return self.answered({one["id"]: rows[one["id"]] for one in inputs})

    def create(self, body: bytes) -> bytes:
        """POST tasks/batch/create."""
        return self.answered(dict(map(self.made, decode(body)["inputs"])))

    def upsert(self, body: bytes) -> bytes:
        """POST tasks/batch/upsert."""
        inputs = decode(body)["inputs"]
        assert len(inputs) <= 100
        assert not any(one["id"] in self.by_key for one in inputs)
        return self.answered(dict(map(self.made, inputs)))

    def made(self, one: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A new task."""
        tasks = self.rows["tasks"]
        task = str(9_000_000_000 + len(tasks))
        tasks[task] = one["properties"]
        self.associated += len(one.get("associations") or ())
        if "id" in one:
            self.by_key[one["id"]] = task
        return task, tasks[task]

    def associate(self, body: bytes) -> bytes:
        """POST batch/associate/default."""
        inputs = decode(body)["inputs"]
        self.associated += len(inputs)
        kind = {"associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 216}}
        return encode({"status": "COMPLETE", "results": [{**one, **kind} for one in inputs]})


class Both:
    """What answers at once, and behind it the embedded CRMs for what an org says of itself."""

    def __init__(self, embedded: str) -> None:
        self.embedded = embedded
        self.salesforce, self.hubspot = Salesforce(), HubSpot()
        self.calls: Counter[str] = Counter()
        self.kept: dict[str, Answer] = {}

    def answer(self, method: str, path: str, body: bytes, headers: dict[bytes, bytes]) -> Answer:
        """Status and body."""
        place, _, query = path.partition("?")
        if place.startswith("/fresh/"):
            count = int(place.rpartition("/")[2])
            self.salesforce.fresh(count)
            self.hubspot.fresh(count)
            self.calls.clear()
            return 200, b""
        if place == "/calls":
            return 200, encode(dict(self.calls))
        if place == "/state":
            return 200, encode(self.state())
        found = self.of_salesforce(method, place, query, body) if place.startswith("/services/") else None
        found = found or (self.of_hubspot(place, body) if place.startswith("/crm/") else None)
        if found is not None:
            self.calls[found[0]] += 1
            made = place.endswith(("/create", "/sobjects/Task"))
            return (201 if made else 200 if found[1] else 204), found[1]
        self.calls["ask what there is"] += 1
        if path not in self.kept:
            told = {"Authorization": headers.get(b"authorization", b"").decode()}
            told["Content-Type"] = headers.get(b"content-type", b"").decode()
            asked = requests.request(method, self.embedded + path, data=body, headers=told, timeout=60)
            self.kept[path] = asked.status_code, asked.content
        return self.kept[path]

    def of_salesforce(self, method: str, place: str, query: str, body: bytes) -> tuple[str, bytes] | None:
        """The kind of a call and its answer."""
        crm, path = self.salesforce, place.rstrip("/").partition("/data/")[2].partition("/")[2]
        match method, path.split("/"):
            case "POST", ["composite"]:
                return "write stages", crm.composite(body)
            case "POST", ["composite", "sobjects", table]:
                return "look", crm.retrieved(table, body)
            case "PATCH", ["composite", "sobjects"]:
                return "write", crm.changed(body)
            case "POST", ["composite", "sobjects"]:
                return "write", crm.changed(body)
            case "PATCH", ["composite", "sobjects", "Task", _]:
                return "write tasks", crm.upserted(body)
            case "PATCH", ["sobjects", "Opportunity", _]:
                return "write one", crm.patch(path, body)
            case "POST", ["sobjects", "Task"]:
                return "write one", encode(crm.made(decode(body)))
            case "GET", ["queryAll"]:
                return "look", crm.keyed(unquote_plus(parse_qs(query)["q"][0]))
        return None

    def of_hubspot(self, place: str, body: bytes) -> tuple[str, bytes] | None:
        """The kind of a call and its answer."""
        crm = self.hubspot
        match place.rstrip("/").split("/")[3:]:
            case ["objects", table, "batch", "read"]:
                return "look", crm.read(table, body)
            case ["objects", table, "batch", "update"]:
                return "write stages" if table != "tasks" else "write tasks", crm.update(table, body)
            case ["objects", "tasks", "batch", "upsert"]:
                return "write tasks", crm.upsert(body)
            case ["objects", "tasks", "batch", "create"]:
                return "write tasks", crm.create(body)
            case ["associations", _, _, "batch", "associate", "default"]:
                return "attach tasks", crm.associate(body)
        return None

    def state(self) -> dict[str, int]:
        """How many records moved, and how many tasks there are."""
        deals = [*self.salesforce.deals.values(), *self.hubspot.rows["deals"].values()]
        away = ("Proposal/Price Quote", "contractsent")
        moved = sum((row.get("StageName") or row.get("dealstage")) not in away for row in deals)
        moved += sum(row["lifecyclestage"] == "lead" for row in self.hubspot.rows["contacts"].values())
        tasks = len(self.salesforce.tasks) + len(self.hubspot.rows["tasks"])
        return {"moved": moved, "tasks": tasks, "attached": self.hubspot.associated}


class Connection(asyncio.Protocol):
    """HTTP/1.1 as clients speak it here: one request after the other, bodies with a length."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers every request that is whole."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.buffer[:end].split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            whole = end + 4 + int(headers.get(b"content-length", b"0"))
            if len(self.buffer) < whole:
                return
            body, self.buffer = self.buffer[end + 4 : whole], self.buffer[whole:]
            method, path, _ = first.decode().split(" ")
            status, answer = self.both.answer(method, path, body, headers)
            head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n"
            more = f"Date: {TODAY}\r\nSforce-Limit-Info: api-usage=1/1000000\r\n\r\n"
            self.transport.write((head + more).encode() + answer)


def clock() -> datetime:
    """The present of the embedded CRMs."""
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


def embedded() -> tuple[str, str]:
    """The address of the embedded CRMs, served from a thread, and a token of the org."""
    org, portal = Org(":memory:", clock=clock), Portal(":memory:", clock=clock, access_token=TOKEN)
    standard_metadata(org)
    portal_metadata(portal)
    app = Starlette(routes=[*salesforce_server.routes(org), *hubspot_server.routes(portal)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", date_header=False))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    login = {"grant_type": "client_credentials", "client_id": org.client_id, "client_secret": org.client_secret}
    token = requests.post(f"{url}/services/oauth2/token", data=login, timeout=60).json()["access_token"]
    return url, token


async def serve() -> None:
    """Answer until standard input ends."""
    url, token = embedded()
    both, loop = Both(url), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(both), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", token, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
