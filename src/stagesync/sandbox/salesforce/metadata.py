"""What a new org comes with: stages, statuses, priorities, its organization row and the integration user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stagesync.sandbox.salesforce.org import Org

# Salesforce's ten standard stages: name, probability in percent, forecast category, its label, closed, won.
STAGES: tuple[tuple[str, int, str, str, bool, bool], ...] = (
    ("Prospecting", 10, "Pipeline", "Pipeline", False, False),
    ("Qualification", 10, "Pipeline", "Pipeline", False, False),
    ("Needs Analysis", 20, "Pipeline", "Pipeline", False, False),
    ("Value Proposition", 50, "Pipeline", "Pipeline", False, False),
    ("Id. Decision Makers", 60, "Pipeline", "Pipeline", False, False),
    ("Perception Analysis", 70, "Pipeline", "Pipeline", False, False),
    ("Proposal/Price Quote", 75, "Pipeline", "Pipeline", False, False),
    ("Negotiation/Review", 90, "Pipeline", "Pipeline", False, False),
    ("Closed Won", 100, "Closed", "Closed", True, True),
    ("Closed Lost", 0, "Omitted", "Omitted", True, False),
)
LEAD_STATUSES = (
    {"ApiName": "Open - Not Contacted", "IsDefault": True},
    {"ApiName": "Working - Contacted"},
    {"ApiName": "Qualified"},
    {"ApiName": "Nurturing"},
    {"ApiName": "Closed - Converted", "IsConverted": True},
    {"ApiName": "Closed - Not Converted"},
)
TASK_STATUSES = (
    {"ApiName": "Not Started", "IsDefault": True},
    {"ApiName": "In Progress"},
    {"ApiName": "Completed", "IsClosed": True},
    {"ApiName": "Waiting on someone else"},
    {"ApiName": "Deferred"},
)
TASK_PRIORITIES = (
    {"ApiName": "High", "IsHighPriority": True},
    {"ApiName": "Normal", "IsDefault": True},
    {"ApiName": "Low"},
)


def _entries(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for order, row in enumerate(rows, start=1):
        yield {"MasterLabel": row["ApiName"], "SortOrder": order, **row}


def _stages() -> Iterable[dict[str, Any]]:
    for name, probability, category, label, closed, won in STAGES:
        yield {
            "ApiName": name,
            "DefaultProbability": probability,
            "ForecastCategory": category,
            "ForecastCategoryName": label,
            "IsClosed": closed,
            "IsWon": won,
            "IsActive": True,
        }


def standard_metadata(org: Org) -> None:
    """Give an org its standard stages, statuses, priorities, organization row and integration user.

    What is there already stays: a table that has rows is left alone, and so is the user.
    """
    for table, rows in (
        ("OpportunityStage", _stages()),
        ("LeadStatus", LEAD_STATUSES),
        ("TaskStatus", TASK_STATUSES),
        ("TaskPriority", TASK_PRIORITIES),
    ):
        if not org.database.value(f'SELECT 1 FROM "{table}" LIMIT 1'):
            org.insert_many(table, _entries(rows))
    if not org.database.value('SELECT 1 FROM "Organization" LIMIT 1'):
        org.insert_many("Organization", [_organization(org)])
    if not org.database.value('SELECT 1 FROM "User" WHERE "Id" = ?', (org.integration_user_id,)):
        org.insert_many("User", [_integration_user(org)])


def _organization(org: Org) -> dict[str, Any]:
    return {
        "Id": org.org_id,
        "Name": "StageSync Sandbox",
        "InstanceName": "SBX1",
        "OrganizationType": "Developer Edition",
        "LanguageLocaleKey": "en_US",
        "TimeZoneSidKey": "UTC",
        "DefaultLocaleSidKey": "en_US",
        "IsSandbox": True,
    }


def _integration_user(org: Org) -> dict[str, Any]:
    return {
        "Id": org.integration_user_id,
        "FirstName": "StageSync",
        "LastName": "Integration",
        "Username": "integration@stagesync.example",
        "Email": "integration@stagesync.example",
        "Alias": "ssync",
        "IsActive": True,
        "UserType": "Standard",
    }
