"""What an administrator sets up: users, queues, stages, statuses, record types, the organization."""

from __future__ import annotations

from stagesync.sandbox.salesforce.fields import (
    Field,
    SObject,
    fixed,
    flag,
    of,
    pick,
    record_id,
    ref,
    system_fields,
    text,
)


def _picklist_entity(name: str, label: str, *more: Field) -> SObject:
    return SObject(
        name,
        "01J",
        label=label,
        plural=label,
        writable=False,
        soft_delete=False,
        fields=(
            record_id(),
            fixed("string", "MasterLabel", nillable=False),
            fixed("string", "ApiName", nillable=False),
            fixed("int", "SortOrder"),
            *more,
            *(field for field in system_fields() if field.name != "IsDeleted"),
        ),
    )


USER = SObject(
    "User",
    "005",
    label="User",
    plural="Users",
    required=("LastName", "Username", "Email"),
    soft_delete=False,
    fields=(
        record_id(),
        text("Username", 80, nillable=False, indexed=True),
        text("LastName", 80, nillable=False),
        text("FirstName", 40),
        fixed("string", "Name", length=121, nillable=False),
        text("CompanyName", 80),
        text("Department", 80),
        text("Title", 80),
        of("email", "Email", nillable=False),
        text("Alias", 8),
        flag("IsActive", default=1),
        pick("TimeZoneSidKey", nillable=False, default="UTC"),
        pick("LocaleSidKey", nillable=False, default="en_US"),
        pick("LanguageLocaleKey", nillable=False, default="en_US"),
        fixed("picklist", "UserType", nillable=False, default="Standard"),
        ref("ManagerId", "User", children="ManagedUsers"),
        fixed("datetime", "LastLoginDate"),
        *(field for field in system_fields() if field.name != "IsDeleted"),
    ),
)

GROUP = SObject(
    "Group",
    "00G",
    label="Group",
    plural="Groups",
    required=("Name",),
    soft_delete=False,
    fields=(
        record_id(),
        text("Name", 40, nillable=False),
        text("DeveloperName", 80),
        pick("Type", "Queue", "Regular", updateable=False, default="Queue"),
        of("email", "Email"),
        *(field for field in system_fields() if field.name != "IsDeleted"),
    ),
)

RECORD_TYPE = SObject(
    "RecordType",
    "012",
    label="Record Type",
    plural="Record Types",
    writable=False,
    soft_delete=False,
    fields=(
        record_id(),
        fixed("string", "Name", length=80),
        fixed("string", "DeveloperName", length=80),
        fixed("picklist", "SobjectType"),
        fixed("string", "Description"),
        fixed("boolean", "IsActive", default=1),
        *(field for field in system_fields() if field.name != "IsDeleted"),
    ),
)

ORGANIZATION = SObject(
    "Organization",
    "00D",
    label="Organization",
    plural="Organization",
    writable=False,
    soft_delete=False,
    fields=(
        record_id(),
        fixed("string", "Name", length=80),
        fixed("string", "InstanceName", length=10),
        fixed("picklist", "OrganizationType"),
        fixed("picklist", "LanguageLocaleKey"),
        fixed("picklist", "TimeZoneSidKey"),
        fixed("picklist", "DefaultLocaleSidKey"),
        fixed("boolean", "IsSandbox"),
        fixed("int", "FiscalYearStartMonth", default=1),
        *(field for field in system_fields() if field.name != "IsDeleted"),
    ),
)

STAGE = _picklist_entity(
    "OpportunityStage",
    "Opportunity Stage",
    fixed("boolean", "IsActive", default=1),
    fixed("boolean", "IsClosed"),
    fixed("boolean", "IsWon"),
    fixed("picklist", "ForecastCategory"),
    fixed("picklist", "ForecastCategoryName"),
    fixed("percent", "DefaultProbability"),
    fixed("string", "Description"),
)
LEAD_STATUS = _picklist_entity(
    "LeadStatus", "Lead Status Value", fixed("boolean", "IsDefault"), fixed("boolean", "IsConverted")
)
TASK_STATUS = _picklist_entity(
    "TaskStatus", "Task Status Value", fixed("boolean", "IsDefault"), fixed("boolean", "IsClosed")
)
TASK_PRIORITY = _picklist_entity(
    "TaskPriority", "Task Priority Value", fixed("boolean", "IsDefault"), fixed("boolean", "IsHighPriority")
)

SETUP_OBJECTS = (USER, GROUP, RECORD_TYPE, ORGANIZATION, STAGE, LEAD_STATUS, TASK_STATUS, TASK_PRIORITY)
