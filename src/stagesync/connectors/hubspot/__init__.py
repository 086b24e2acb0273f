"""HubSpot: a Reader and a Writer over the official client.

Only translation lives here: HubSpot's answers to tables and outcomes, changes to HubSpot's requests. No verdict
on a record, no definitions, no ledger, no clock but the one that waits between retries.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stagesync.connectors.hubspot.connection import HubSpotConnection
from stagesync.connectors.hubspot.discovery import HubSpotDiscovery
from stagesync.connectors.hubspot.reader import HubSpotReader
from stagesync.connectors.hubspot.tokens import OAuthApp
from stagesync.connectors.hubspot.transport import Client, ReadTransport, WriteTransport
from stagesync.connectors.hubspot.writer import HubSpotWriter

__all__ = ["HubSpotConnection", "HubSpotReader", "HubSpotWriter", "OAuthApp", "connect", "discover"]


def connect(
    connection: HubSpotConnection,
    *,
    sleep: Callable[[float], None] = time.sleep,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[HubSpotReader, HubSpotWriter]:
    """A reader and a writer that share one pool of connections. Nothing is sent before the first call.

    ``sleep`` waits between calls and retries, in seconds, as ``timer`` counts them.
    """
    client = Client(connection, sleep, timer)
    return HubSpotReader(ReadTransport(client)), HubSpotWriter(WriteTransport(client))


def discover(connection: HubSpotConnection, *, sleep: Callable[[float], None] = time.sleep) -> HubSpotDiscovery:
    """What the portal is made of. It can only read; nothing is sent before the first call."""
    transport = ReadTransport(Client(connection, sleep))
    return HubSpotDiscovery(HubSpotReader(transport), transport)
