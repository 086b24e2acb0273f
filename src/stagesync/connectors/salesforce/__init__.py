"""Salesforce through simple-salesforce, with sessions and OAuth of our own.

Translates between the org's API and :mod:`stagesync.connectors.base`; it may know nothing of definitions or plans.
"""

from __future__ import annotations

from stagesync.connectors.base import Reader, Writer
from stagesync.connectors.salesforce.connection import Patience, SalesforceConnection
from stagesync.connectors.salesforce.reader import SalesforceReader
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.writer import SalesforceWriter

__all__ = ["Patience", "SalesforceConnection", "connect"]


def connect(connection: SalesforceConnection, patience: Patience | None = None) -> tuple[Reader, Writer]:
    """The two faces of one org, over one session. Nothing is called before the first use.

    Errors: :class:`~stagesync.errors.ConfigurationError` for URLs and credentials that cannot work.
    """
    session = OrgSession(connection, patience or Patience())
    schema = Schema(session)
    records = Records(session, schema)
    return SalesforceReader(session, schema, records), SalesforceWriter(session, schema, records)
