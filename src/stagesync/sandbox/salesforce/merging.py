"""Merging two leads, as a person does it: one of them stays, and has from then on what hung on the other.

REST has no resource for it. The other goes to the recycle bin, where it names the one that it became.
"""

from __future__ import annotations

from stagesync.sandbox.salesforce import triggers
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.storage import undoable, update_row
from stagesync.sandbox.salesforce.writes import Writer

HANGING = {"Task": "WhoId", "Event": "WhoId", "EmailMessageRelation": "RelationId", "CampaignMember": "LeadId"}
"""What hangs on a lead, by the field that names it."""


def merge(org: Org, master: str, other: str, user_id: str) -> None:
    """Make one lead of two, which keeps the id and the values of the ``master``."""
    with undoable(org.database):
        for name, link in HANGING.items():
            for row in org.database.rows(f'SELECT "Id" FROM "{name}" WHERE "{link}" = ?', (other,)):
                update_row(org.database, SOBJECTS[name], row["Id"], {link: master, "SystemModstamp": org.stamp()})
        Writer(org, user_id).delete(SOBJECTS["Lead"], other)
        update_row(org.database, SOBJECTS["Lead"], other, {"MasterRecordId": master})
        stamp = org.stamp()
        update_row(org.database, SOBJECTS["Lead"], master, {"LastModifiedDate": stamp, "SystemModstamp": stamp})
        triggers.roll_up(org, master)
