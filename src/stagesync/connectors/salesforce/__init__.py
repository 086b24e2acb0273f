"""Salesforce through simple-salesforce, with sessions and OAuth of our own.

Translates between the org's API and :mod:`stagesync.connectors.base`; it may know nothing of definitions or plans.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stagesync.connectors.base import Discovery, Reader, Writer
from stagesync.connectors.salesforce.connection import Patience, SalesforceConnection
from stagesync.connectors.salesforce.discovery import SalesforceDiscovery
from stagesync.connectors.salesforce.reader import SalesforceReader
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import OrgSession, Sleep
from stagesync.connectors.salesforce.sobjects import Described
from stagesync.connectors.salesforce.writer import SalesforceWriter

__all__ = ["Described", "Patience", "SalesforceConnection", "connect", "discover"]

DEFAULT_PATIENCE = Patience()


def connect(
    connection: SalesforceConnection,
    *,
    patience: Patience = DEFAULT_PATIENCE,
    sleep: Sleep = time.sleep,
    memory: Described | None = None,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[Reader, Writer]:
    """The two faces of one org, over one session. Nothing is sent before the first call.

    ``sleep`` waits between tries, in seconds, as ``timer`` counts them. Who connects to an org again and again gives
    the same ``memory`` each time, and what did not change is not described once more.

    Errors: :class:`~stagesync.errors.ConfigurationError` for URLs and credentials that cannot work.
    """
    session = OrgSession(connection, patience, sleep, memory, timer)
    schema = Schema(session)
    records = Records(session, schema)
    return SalesforceReader(session, schema, records), SalesforceWriter(session, schema, records)


def discover(
    connection: SalesforceConnection, *, patience: Patience = DEFAULT_PATIENCE, sleep: Sleep = time.sleep
) -> Discovery:
    """What the org is made of. It can only read; nothing is sent before the first call.

    Errors: as :func:`connect`.
    """
    session = OrgSession(connection, patience, sleep)
    schema = Schema(session)
    records = Records(session, schema)
    return SalesforceDiscovery(session, schema, records, SalesforceReader(session, schema, records))
