"""A small Salesforce org with records, its clock, and ways to reach it over loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org

START = datetime(2026, 10, 1, 12, 0, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Time that moves only when told to."""

    now: datetime = field(default=START)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: float) -> None:
        self.now += timedelta(**amount)


class PlainHTTP(HTTPAdapter):
    """simple-salesforce builds https addresses only; the sandbox speaks http on loopback."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = "http://" + request.url.removeprefix("https://")
        return super().send(request, *args, **kwargs)


@dataclass
class World:
    """An org, its clock and its address."""

    org: Org
    clock: Clock
    url: str = ""

    def token(self) -> str:
        """A fresh token of the integration user."""
        answer = requests.post(
            f"{self.url}/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(self.org.client_id, self.org.client_secret),
            timeout=10,
        )
        return str(answer.json()["access_token"])

    def api(self, version: str = "67.0") -> Api:
        """Plain requests with a fresh token."""
        return Api(self, version, self.token())

    def simple(self, version: str = "67.0") -> Any:
        """simple-salesforce, logged in; untyped, because its objects are made by attribute access."""
        session = requests.Session()
        session.trust_env = False
        https = self.url.replace("http://", "https://")
        session.mount(https, PlainHTTP())
        return Salesforce(session_id=self.token(), instance_url=https, session=session, version=version)

    def seed(self, sobject: str, **values: Any) -> str:
        """One record without triggers; its id."""
        record_id = self.org.new_id(sobject)
        self.org.insert_many(sobject, [{"Id": record_id, **values}])
        return record_id

    def stored(self, sobject: str, record_id: str) -> dict[str, Any]:
        """What the org holds of a record."""
        row = self.org.database.row(f'SELECT * FROM "{sobject}" WHERE "Id" = ?', (record_id,))
        assert row is not None
        return row

    def lead(self, **values: Any) -> str:
        """A lead."""
        return self.seed("Lead", **{"LastName": "Okafor", "Company": "Acme", **values})

    def deal(self, **values: Any) -> str:
        """An opportunity."""
        stated = {"Name": "Acme 2026", "StageName": "Prospecting", "CloseDate": "2026-12-31", **values}
        return self.seed("Opportunity", **stated)

    def user(self, **values: Any) -> str:
        """A user."""
        record_id = self.org.new_id("User")
        name = f"user-{record_id}@stagesync.example"
        self.org.insert_many("User", [{"Id": record_id, "LastName": "Rep", "Username": name, "Email": name, **values}])
        return record_id


@dataclass
class Api:
    """REST calls by path below the version."""

    world: World
    version: str
    token: str
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Any call; ``path`` is below ``/services/data/vNN.0``, or absolute."""
        prefix = "" if path.startswith("/services") else f"/services/data/v{self.version}/"
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self.session.request(
            method, f"{self.world.url}{prefix}{path}", headers=headers, timeout=30, allow_redirects=False, **more
        )

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> requests.Response:
        return self.call("POST", path, json=body, **more)

    def patch(self, path: str, body: Any, **more: Any) -> requests.Response:
        return self.call("PATCH", path, json=body, **more)

    def query(self, soql: str, **more: Any) -> dict[str, Any]:
        """The first page of a query that must succeed."""
        answer = self.get("query", params={"q": soql}, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, soql: str) -> tuple[str, str]:
        """Code and message of a query that must fail with 400."""
        answer = self.get("query", params={"q": soql})
        assert answer.status_code == 400, answer.text
        return answer.json()[0]["errorCode"], answer.json()[0]["message"]


def make_world() -> World:
    """An org in memory with standard metadata; not served yet."""
    clock = Clock()
    org = Org(":memory:", clock=clock)
    standard_metadata(org)
    # Tests move the clock by days; the ones about sessions set their own.
    org.sessions.lifetime = timedelta(days=365)
    return World(org, clock)
