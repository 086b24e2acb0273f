"""Converting a lead, as a person does it on the lead's page: it becomes an account, a contact and an opportunity.

REST has no resource for it. The lead's activities, open and past ones, go to the contact and the opportunity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from stagesync.sandbox.salesforce import triggers
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.schema import SOBJECTS
from stagesync.sandbox.salesforce.storage import undoable, update_row
from stagesync.sandbox.salesforce.writes import Writer


@dataclass(frozen=True)
class Became:
    """The ids of what a lead was made into."""

    account: str
    contact: str
    opportunity: str


def convert(org: Org, lead_id: str, user_id: str) -> Became:
    """Make an account, a contact and an opportunity of a lead.

    Raises:
        ValueError: the lead is not there, or was converted already.
    """
    person, lead_object = Writer(org, user_id), SOBJECTS["Lead"]
    found = org.database.rows('SELECT * FROM "Lead" WHERE "Id" = ? AND "IsDeleted" = 0', (lead_id,))
    if not found or found[0]["IsConverted"]:
        raise ValueError(f"{lead_id} is no lead that can be converted")
    (lead,) = found
    with undoable(org.database):
        account = person.create(SOBJECTS["Account"], {"Name": lead["Company"], "OwnerId": lead["OwnerId"]})
        contact = person.create(
            SOBJECTS["Contact"],
            {"LastName": lead["LastName"], "Email": lead["Email"], "AccountId": account, "OwnerId": lead["OwnerId"]},
        )
        stage = org.database.value('SELECT "ApiName" FROM "OpportunityStage" WHERE "IsActive" = 1 ORDER BY "SortOrder"')
        opportunity = person.create(
            SOBJECTS["Opportunity"],
            {
                "Name": f"{lead['Company']}-",
                "AccountId": account,
                "StageName": stage,
                "CloseDate": (org.clock() + timedelta(days=90)).date().isoformat(),
                "OwnerId": lead["OwnerId"],
            },
        )
        role = {"OpportunityId": opportunity, "ContactId": contact, "IsPrimary": True}
        person.create(SOBJECTS["OpportunityContactRole"], role)
        for name in ("Task", "Event"):
            _hand_over(org, name, lead_id, Became(account=account, contact=contact, opportunity=opportunity))
        status = org.database.value('SELECT "ApiName" FROM "LeadStatus" WHERE "IsConverted" = 1 ORDER BY "SortOrder"')
        stamp = org.stamp()
        changes = {
            "Status": status,
            "IsConverted": 1,
            "ConvertedDate": stamp[:10],
            "ConvertedAccountId": account,
            "ConvertedContactId": contact,
            "ConvertedOpportunityId": opportunity,
            "LastModifiedDate": stamp,
            "SystemModstamp": stamp,
            "LastModifiedById": user_id,
        }
        update_row(org.database, lead_object, lead_id, changes)
        for parent in (account, contact, opportunity):
            triggers.roll_up(org, parent)
    return Became(account=account, contact=contact, opportunity=opportunity)


def _hand_over(org: Org, name: str, lead_id: str, became: Became) -> None:
    pointers = {"WhoId": became.contact, "WhatId": became.opportunity, "AccountId": became.account}
    for row in org.database.rows(f'SELECT "Id" FROM "{name}" WHERE "WhoId" = ?', (lead_id,)):
        update_row(org.database, SOBJECTS[name], row["Id"], {**pointers, "SystemModstamp": org.stamp()})
