"""A served portal and the HubSpot connector to it, for the connector's tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from stagesync.connectors.hubspot import HubSpotConnection, HubSpotReader, HubSpotWriter, connect
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.server import routes
from stagesync.sandbox.hubspot.standard import standard_metadata

from .conftest import Serve

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CREDENTIAL = "stagesync-demo-hubspot"


@dataclass
class Office:
    """A portal that is served, and both faces of the connector to it."""

    portal: Portal
    connection: HubSpotConnection
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader, self.writer = connect(self.connection, sleep=self.waits.append)

    def again(self, **changes: Any) -> tuple[HubSpotReader, HubSpotWriter]:
        return connect(replace(self.connection, **changes), sleep=self.waits.append)


@pytest.fixture
def office(serve: Serve) -> Iterator[Office]:
    portal = Portal(":memory:", clock=lambda: NOW)
    standard_metadata(portal)
    url = serve(routes(portal))
    found = Office(portal, HubSpotConnection(connection="acme", base_url=url, access_token=CREDENTIAL))
    yield found
    found.reader.close()
    found.writer.close()


def seed(portal: Portal, name: str, count: int, **properties: str | None) -> list[str]:
    rows = [
        {"id": portal.new_id(name), "properties": properties, "createdAt": NOW, "updatedAt": NOW} for _ in range(count)
    ]
    portal.insert_many(name, rows)
    return [str(row["id"]) for row in rows]
