"""The objects that sales people work on: leads, accounts, contacts, opportunities, campaigns."""

from __future__ import annotations

from stagesync.sandbox.salesforce.fields import (
    PERSON_ACCOUNTS,
    Field,
    SObject,
    currency_code,
    fixed,
    flag,
    long_text,
    of,
    pick,
    record_id,
    ref,
    system_fields,
    text,
)

LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
RATINGS = ("Hot", "Warm", "Cold")
INDUSTRIES = (
    "Agriculture", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting",
    "Education", "Electronics", "Energy", "Engineering", "Entertainment", "Finance", "Government",
    "Healthcare", "Hospitality", "Insurance", "Manufacturing", "Media", "Not For Profit", "Other", "Retail",
    "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities",
)  # fmt: skip
ROLES = (
    "Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator",
    "Executive Sponsor", "Influencer", "Technical Buyer", "Other",
)  # fmt: skip
LOSS_REASONS = ("Price", "No Decision", "Lost to Competitor", "No Budget", "Timing", "Other")
FORECAST_NAMES = ("Omitted", "Pipeline", "Best Case", "Commit", "Closed")


def _person_name() -> tuple[Field, ...]:
    return (
        text("LastName", 80, nillable=False),
        text("FirstName", 40),
        pick("Salutation", "Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
        fixed("string", "Name", length=121, nillable=False),
    )


def _address(prefix: str = "") -> tuple[Field, ...]:
    return (
        Field(f"{prefix}Street", "textarea", length=255),
        text(f"{prefix}City", 40),
        text(f"{prefix}State", 80),
        text(f"{prefix}PostalCode", 20),
        text(f"{prefix}Country", 80),
    )


def _import_key() -> Field:
    # External but not unique, as import tools leave it: an upsert by it may meet several records (300).
    return text("Import_Key__c", 80, label="Import Key", external_id=True, indexed=True)


def _owner(*targets: str) -> Field:
    return ref("OwnerId", *targets, nillable=False, indexed=True)


LEAD = SObject(
    "Lead",
    "00Q",
    label="Lead",
    plural="Leads",
    required=("LastName", "Company"),
    fields=(
        record_id(),
        fixed("reference", "MasterRecordId", reference_to=("Lead",)),
        *_person_name(),
        text("Company", nillable=False),
        text("Title", 128),
        *_address(),
        of("phone", "Phone"),
        of("phone", "MobilePhone"),
        of("email", "Email", indexed=True),
        of("url", "Website"),
        long_text("Description"),
        pick("LeadSource", *LEAD_SOURCES),
        pick("Status", nillable=False),
        pick("Industry", *INDUSTRIES),
        pick("Rating", *RATINGS),
        of("currency", "AnnualRevenue"),
        currency_code(),
        of("int", "NumberOfEmployees"),
        _owner("Group", "User"),
        ref("RecordTypeId", "RecordType"),
        flag("HasOptedOutOfEmail"),
        flag("DoNotCall"),
        flag("IsUnreadByOwner", default=1),
        fixed("boolean", "IsConverted"),
        fixed("date", "ConvertedDate"),
        fixed("reference", "ConvertedAccountId", reference_to=("Account",)),
        fixed("reference", "ConvertedContactId", reference_to=("Contact",)),
        fixed("reference", "ConvertedOpportunityId", reference_to=("Opportunity",)),
        *system_fields(),
        fixed("date", "LastActivityDate"),
        long_text("Pain__c", 32_768, label="Pain"),
        flag("Budget_Confirmed__c", label="Budget Confirmed"),
        _import_key(),
    ),
)

ACCOUNT = SObject(
    "Account",
    "001",
    label="Account",
    plural="Accounts",
    required=("Name",),
    fields=(
        record_id(),
        text("Name", nillable=False),
        pick("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Other"),
        ref("ParentId", "Account", relationship="Parent", children="ChildAccounts"),
        *_address("Billing"),
        *_address("Shipping"),
        of("phone", "Phone"),
        text("AccountNumber", 40),
        of("url", "Website"),
        pick("Industry", *INDUSTRIES),
        of("currency", "AnnualRevenue"),
        currency_code(),
        fixed("boolean", "IsPersonAccount", feature=PERSON_ACCOUNTS),
        fixed("reference", "PersonContactId", reference_to=("Contact",), feature=PERSON_ACCOUNTS),
        of("email", "PersonEmail", feature=PERSON_ACCOUNTS),
        of("int", "NumberOfEmployees"),
        pick("Rating", *RATINGS),
        long_text("Description"),
        pick("AccountSource", *LEAD_SOURCES),
        _owner("User"),
        ref("RecordTypeId", "RecordType"),
        *system_fields(),
        fixed("date", "LastActivityDate"),
    ),
)

CONTACT = SObject(
    "Contact",
    "003",
    label="Contact",
    plural="Contacts",
    required=("LastName",),
    fields=(
        record_id(),
        ref("AccountId", "Account", indexed=True, children="Contacts"),
        *_person_name(),
        *_address("Mailing"),
        of("phone", "Phone"),
        of("phone", "MobilePhone"),
        of("email", "Email", indexed=True),
        text("Title", 128),
        text("Department", 80),
        pick("LeadSource", *LEAD_SOURCES),
        long_text("Description"),
        ref("ReportsToId", "Contact"),
        fixed("boolean", "IsPersonAccount", feature=PERSON_ACCOUNTS),
        _owner("User"),
        flag("HasOptedOutOfEmail"),
        flag("DoNotCall"),
        *system_fields(),
        fixed("date", "LastActivityDate"),
    ),
)

_OPEN_ACTIVITY = (
    '(EXISTS (SELECT 1 FROM "Task" WHERE "WhatId" = {t}."Id" AND "IsDeleted" = 0 AND "IsClosed" = 0) OR '
    'EXISTS (SELECT 1 FROM "Event" WHERE "WhatId" = {t}."Id" AND "IsDeleted" = 0 AND "EndDateTime" >= {now}))'
)
_OVERDUE_TASK = (
    '(EXISTS (SELECT 1 FROM "Task" WHERE "WhatId" = {t}."Id" AND "IsDeleted" = 0 AND "IsClosed" = 0 '
    'AND "ActivityDate" < {today}))'
)
_YEAR = 'CAST(substr({t}."CloseDate", 1, 4) AS INTEGER)'
_QUARTER = '((CAST(substr({t}."CloseDate", 6, 2) AS INTEGER) + 2) / 3)'

OPPORTUNITY = SObject(
    "Opportunity",
    "006",
    label="Opportunity",
    plural="Opportunities",
    required=("Name", "StageName", "CloseDate"),
    fields=(
        record_id(),
        ref("AccountId", "Account", indexed=True, children="Opportunities"),
        ref("RecordTypeId", "RecordType"),
        text("Name", 120, nillable=False),
        long_text("Description"),
        pick("StageName", nillable=False),
        of("currency", "Amount"),
        currency_code(),
        of("percent", "Probability"),
        fixed("currency", "ExpectedRevenue", computed='({t}."Amount" * {t}."Probability" / 100.0)'),
        of("double", "TotalOpportunityQuantity"),
        of("date", "CloseDate", nillable=False),
        pick("Type", "Existing Business", "New Business"),
        text("NextStep"),
        pick("LeadSource", *LEAD_SOURCES),
        fixed("boolean", "IsClosed"),
        fixed("boolean", "IsWon"),
        fixed("picklist", "ForecastCategory", nillable=False, default="Pipeline"),
        pick("ForecastCategoryName", *FORECAST_NAMES),
        ref("CampaignId", "Campaign", children="Opportunities"),
        fixed("boolean", "HasOpportunityLineItem"),
        _owner("User"),
        ref("ContactId", "Contact"),
        *system_fields(),
        fixed("date", "LastActivityDate"),
        fixed("datetime", "LastStageChangeDate"),
        fixed("int", "FiscalQuarter", computed=_QUARTER),
        fixed("int", "FiscalYear", computed=_YEAR),
        fixed("string", "Fiscal", length=6, computed=f"({_YEAR} || ' ' || {_QUARTER})"),
        fixed("boolean", "HasOpenActivity", computed=_OPEN_ACTIVITY),
        fixed("boolean", "HasOverdueTask", computed=_OVERDUE_TASK),
        long_text("Pain__c", 32_768, label="Pain"),
        flag("Budget_Confirmed__c", label="Budget Confirmed"),
        _import_key(),
        pick("Loss_Reason__c", *LOSS_REASONS, label="Loss Reason"),
    ),
)

CONTACT_ROLE = SObject(
    "OpportunityContactRole",
    "00K",
    label="Opportunity Contact Role",
    plural="Opportunity Contact Roles",
    required=("OpportunityId", "ContactId"),
    fields=(
        record_id(),
        ref(
            "OpportunityId",
            "Opportunity",
            nillable=False,
            updateable=False,
            indexed=True,
            children="OpportunityContactRoles",
        ),
        ref("ContactId", "Contact", nillable=False, indexed=True, children="OpportunityContactRoles"),
        pick("Role", *ROLES),
        flag("IsPrimary"),
        *system_fields(),
    ),
)

CAMPAIGN = SObject(
    "Campaign",
    "701",
    label="Campaign",
    plural="Campaigns",
    required=("Name",),
    fields=(
        record_id(),
        text("Name", 80, nillable=False),
        pick("Type", "Conference", "Webinar", "Email", "Advertisement", "Referral Program", "Other"),
        pick("Status", "Planned", "In Progress", "Completed", "Aborted"),
        of("date", "StartDate"),
        of("date", "EndDate"),
        flag("IsActive"),
        long_text("Description"),
        _owner("User"),
        *system_fields(),
        fixed("date", "LastActivityDate"),
    ),
)

CAMPAIGN_MEMBER = SObject(
    "CampaignMember",
    "00v",
    label="Campaign Member",
    plural="Campaign Members",
    required=("CampaignId",),
    fields=(
        record_id(),
        ref("CampaignId", "Campaign", nillable=False, updateable=False, indexed=True, children="CampaignMembers"),
        ref("LeadId", "Lead", updateable=False, indexed=True, children="CampaignMembers"),
        ref("ContactId", "Contact", updateable=False, indexed=True, children="CampaignMembers"),
        pick("Status", "Sent", "Responded"),
        flag("HasResponded"),
        fixed("date", "FirstRespondedDate"),
        *system_fields(),
    ),
)

SALES_OBJECTS = (LEAD, ACCOUNT, CONTACT, OPPORTUNITY, CONTACT_ROLE, CAMPAIGN, CAMPAIGN_MEMBER)
