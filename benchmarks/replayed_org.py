"""An org of any size for a benchmark: the embedded Salesforce answers, and its answers about deals are played again.

    python benchmarks/replayed_org.py        (prints the URL and a token, and ends with its standard input)

Some thousand opportunities are made in the embedded org and read from it over HTTP, by REST pages and by a bulk query.
Those bytes are sent again and again until there are as many records as are asked for with ``GET /records/N``; only the
envelopes (totals, locators) are written here. Everything else is answered by the embedded org itself.
"""

from __future__ import annotations

import gzip
import random
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import requests
import uvicorn
from starlette.applications import Starlette

from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.server import routes

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DISTINCT, PAGE, BLOCK = 10_000, 2_000, 500
DATA = "/services/data/v67.0"
FIELDS = [
    "Id",
    "Name",
    "OwnerId",
    "StageName",
    "Amount",
    "Probability",
    "TotalOpportunityQuantity",
    "CloseDate",
    "CreatedDate",
    "LastModifiedDate",
    "LastStageChangeDate",
    "LastActivityDate",
    "IsClosed",
    "IsWon",
    "Budget_Confirmed__c",
    "NextStep",
    "Pain__c",
    "Description",
    "LeadSource",
    "Type",
    "ForecastCategoryName",
    "Loss_Reason__c",
    "AccountId",
    "Account.Name",
    "Account.NumberOfEmployees",
    "Owner.Name",
]
"""26 fields, the order in which they are asked for."""
WORDS = [
    "the line stops twice a week",
    'they say "too slow"',
    "audit in May,\nthen budget",
    "costs “too much”",
    "🦊 Zürich",
]


def filled() -> Org:
    """An org with deals of which each field is blank in some."""
    org = Org(":memory:", clock=lambda: NOW)
    standard_metadata(org)
    chance = random.Random(7)  # noqa: S311  (made-up records)

    def blank(value: Any) -> Any:
        return None if chance.random() < 0.1 else value

    accounts = [org.new_id("Account") for _ in range(DISTINCT // 3)]
    org.insert_many(
        "Account",
        (
            {"Id": key, "Name": f"Company {number}", "NumberOfEmployees": blank(number * 7)}
            for number, key in enumerate(accounts)
        ),
    )
    stages = ["Prospecting", "Qualification", "Proposal/Price Quote", "Closed Won", "Closed Lost"]

    def deal(number: int) -> dict[str, Any]:
        day = NOW - timedelta(days=chance.randrange(1, 400), seconds=chance.randrange(86_400))
        return {
            "Name": f"Company {number} – {chance.choice(['new business', 'renewal'])}",
            "StageName": chance.choice(stages),
            "Amount": blank(round(chance.uniform(400, 90_000), 2)),
            "Probability": blank(chance.randrange(100)),
            "TotalOpportunityQuantity": blank(chance.randrange(1, 500)),
            "CloseDate": (day + timedelta(days=300)).date(),
            "CreatedDate": day,
            "LastModifiedDate": day + timedelta(hours=3),
            "LastStageChangeDate": blank(day),
            "LastActivityDate": blank(day.date()),
            "Budget_Confirmed__c": chance.random() < 0.5,
            "NextStep": blank(chance.choice(WORDS)),
            "Pain__c": blank(chance.choice(WORDS)),
            "Description": blank(" ".join(chance.choices(WORDS, k=4))),
            "LeadSource": blank("Web"),
            "Type": blank("New Business"),
            "Loss_Reason__c": blank("Price"),
            "AccountId": blank(chance.choice(accounts)),
        }

    org.insert_many("Opportunity", map(deal, range(DISTINCT)))
    return org


class Recorded:
    """The bytes of the embedded org's answers about its deals."""

    def __init__(self, url: str, token: str) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        soql = f"SELECT {', '.join(FIELDS)} FROM Opportunity"  # noqa: S608
        self.lists: list[bytes] = []
        path: str | None = f"{DATA}/query?q={soql} ORDER BY Id"
        while path:
            answer = session.get(url + path)
            self.lists.append(answer.content[answer.content.index(b'"records":') + 10 : -1])
            path = answer.json().get("nextRecordsUrl")
        self.job = session.post(f"{url}{DATA}/jobs/query", json={"operation": "query", "query": soql}).json()
        place = f"{url}{DATA}/jobs/query/{self.job['id']}/results?maxRecords={BLOCK}&locator="
        self.rows: list[bytes] = []
        locator = ""
        while locator != "null":
            answer = session.get(place + locator)
            self.head, _, rows = answer.content.partition(b"\n")
            self.rows.append(rows)
            locator = answer.headers["Sforce-Locator"]
        self.total = DISTINCT

    def page(self, start: int) -> tuple[dict[str, str], bytes]:
        """A page of the query."""
        done = start + PAGE >= self.total
        more = "" if done else f',"nextRecordsUrl":"{DATA}/query/replay-{start + PAGE}"'
        head = f'{{"totalSize":{self.total},"done":{str(done).lower()}{more},"records":'
        records = self.lists[start // PAGE % len(self.lists)]
        return {"Content-Type": "application/json;charset=UTF-8"}, head.encode() + records + b"}"

    def results(self, start: int, most: int) -> tuple[dict[str, str], bytes]:
        """A page of bulk results."""
        end = min(start + most // BLOCK * BLOCK, self.total)
        rows = [self.rows[place // BLOCK % len(self.rows)] for place in range(start, end, BLOCK)]
        locator = str(end) if end < self.total else "null"
        headers = {"Content-Type": "text/csv", "Sforce-Locator": locator, "Sforce-NumberOfRecords": str(end - start)}
        return headers, b"\n".join([self.head, b"".join(rows)])

    def state(self) -> dict[str, Any]:
        """The job, done."""
        return {**self.job, "state": "JobComplete", "numberRecordsProcessed": self.total}


class Replay:
    """The embedded org, but for what is asked about deals once it is recorded."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.recorded: Recorded | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = self.answer(scope) if scope["type"] == "http" and self.recorded else None
        if found is None:
            await self.app(scope, receive, send)
            return
        headers, body = found
        headers |= {"Content-Encoding": "gzip", "Sforce-Limit-Info": "api-usage=1/1000000"}
        headers["Date"] = f"{NOW:%a, %d %b %Y %H:%M:%S} GMT"
        body = gzip.compress(body, compresslevel=1)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        raw.append((b"Content-Length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def answer(self, scope: Any) -> tuple[dict[str, str], bytes] | None:
        """The played answer, None where the org itself is asked."""
        import json

        assert self.recorded is not None
        path, asked = scope["path"].rstrip("/"), parse_qs(scope["query_string"].decode())
        job = f"{DATA}/jobs/query"
        if path.startswith("/records/"):
            self.recorded.total = int(path.rpartition("/")[2])
            return {}, b"ok"
        if path == f"{DATA}/query" and " FROM Opportunity" in asked.get("q", [""])[0]:
            return self.recorded.page(0)
        if path.startswith(f"{DATA}/query/replay-"):
            return self.recorded.page(int(path.rpartition("-")[2]))
        if path.startswith(job) and path.endswith("/results"):
            start = int(asked.get("locator", ["0"])[0])
            return self.recorded.results(start, int(asked["maxRecords"][0]))
        if path.startswith(job) and scope["method"] != "DELETE":
            return {"Content-Type": "application/json"}, json.dumps(self.recorded.state()).encode()
        return ({}, b"") if path.startswith(job) else None


def main() -> None:
    """Serve until standard input ends."""
    org = filled()
    replay = Replay(Starlette(routes=routes(org)))
    server = uvicorn.Server(
        uvicorn.Config(replay, host="127.0.0.1", port=0, log_level="critical", date_header=False, timeout_keep_alive=65)
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    login = {"grant_type": "client_credentials", "client_id": org.client_id, "client_secret": org.client_secret}
    token = requests.post(f"{url}/services/oauth2/token", data=login, timeout=60).json()["access_token"]
    replay.recorded = Recorded(url, token)
    print(url, token, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
