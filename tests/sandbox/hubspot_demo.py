"""A small HubSpot portal behind a real server, for the tests of the embedded HubSpot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from stagesync.sandbox.hubspot.limits import Limits
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.server import routes
from stagesync.sandbox.hubspot.standard import standard_metadata

from .conftest import Serve

TOKEN = "stagesync-demo-hubspot"
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
OWNER, USER, GONE = "41629779", 9586504, "41629780"
DEALS = 230


class Clock:
    """A present that tests move."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


class Timer:
    """Seconds for the limit windows, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class HubSpotDemo:
    """A served portal with its clock and a plain HTTP client."""

    portal: Portal
    clock: Clock
    timer: Timer
    url: str
    token: str = TOKEN

    def call(self, method: str, path: str, body: object = None, **query: str) -> requests.Response:
        return requests.request(
            method,
            self.url + path,
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
        )

    def ok(self, method: str, path: str, body: object = None, **query: str) -> Any:
        response = self.call(method, path, body, **query)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    def create(self, kind: str, properties: Mapping[str, str], *links: tuple[str, int]) -> str:
        associations = [
            {
                "to": {"id": to_id},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}],
            }
            for to_id, type_id in links
        ]
        body = {"properties": dict(properties), "associations": associations}
        return str(self.ok("POST", f"/crm/v3/objects/{kind}", body)["id"])

    def patch(self, kind: str, record_id: str, properties: Mapping[str, str]) -> requests.Response:
        return self.call("PATCH", f"/crm/v3/objects/{kind}/{record_id}", {"properties": dict(properties)})

    def read(self, kind: str, record_id: str, *names: str) -> dict[str, Any]:
        found = self.ok("GET", f"/crm/v3/objects/{kind}/{record_id}", properties=",".join(names))
        return dict(found["properties"])

    def deal_ids(self, count: int) -> list[str]:
        found = self.ok("GET", "/crm/v3/objects/deals", limit=str(count))
        return [record["id"] for record in found["results"]]


def start(serve: Serve, path: Path, limits: Limits | None = None) -> HubSpotDemo:
    """A portal with two owners and 230 deals, of which the even ones are qualified to buy."""
    clock, timer = Clock(), Timer()
    portal = Portal(path / "hubspot.db", clock=clock, access_token=TOKEN, limits=limits, timer=timer)
    standard_metadata(portal)
    portal.add_owners(
        [
            {"id": OWNER, "email": "rep@rival.example", "firstName": "Ada", "lastName": "Rep", "userId": USER},
            {"id": GONE, "email": "gone@rival.example", "userId": 9586505, "archived": True},
        ]
    )
    assert portal.insert_many("deals", deals(portal)) == DEALS
    return HubSpotDemo(portal=portal, clock=clock, timer=timer, url=serve(routes(portal)))


def deals(portal: Portal) -> Iterator[dict[str, Any]]:
    """Seed rows: a day apart, amounts of 100 times their number."""
    for number in range(DEALS):
        moment = START - timedelta(days=DEALS - number)
        stage = "presentationscheduled" if number % 2 else "qualifiedtobuy"
        yield {
            "id": portal.new_id("deals"),
            "properties": {
                "dealname": f"Deal number {number}",
                "amount": str(number * 100),
                "pipeline": "default",
                "dealstage": stage,
                "hubspot_owner_id": OWNER,
                "closedate": "2026-12-31T00:00:00Z" if number % 10 else None,
            },
            "createdAt": moment,
            "updatedAt": moment,
        }
