"""What happened between people: tasks, events, mails, and the histories of stage and status."""

from __future__ import annotations

from stagesync.sandbox.salesforce.fields import (
    Field,
    SObject,
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

_WHAT = ("Account", "Campaign", "Opportunity")
_WHO = ("Contact", "Lead")


def _activity(children: str) -> tuple[Field, ...]:
    return (
        ref("WhoId", *_WHO, indexed=True, children=children),
        ref("WhatId", *_WHAT, indexed=True, children=children),
        Field("Subject", "combobox", length=255),
        long_text("Description"),
        fixed("reference", "AccountId", reference_to=("Account",), indexed=True),
        fixed("boolean", "IsArchived"),
        flag("IsReminderSet"),
        of("datetime", "ReminderDateTime"),
    )


TASK = SObject(
    "Task",
    "00T",
    label="Task",
    plural="Tasks",
    fields=(
        record_id(),
        *_activity("Tasks"),
        of("date", "ActivityDate"),
        pick("Status", nillable=False),
        pick("Priority", nillable=False),
        fixed("boolean", "IsHighPriority"),
        ref("OwnerId", "Group", "User", nillable=False, indexed=True),
        fixed("boolean", "IsClosed"),
        pick("Type", "Call", "Email", "Meeting", "Other"),
        pick("TaskSubtype", "Task", "Email", "Call", "ListEmail", "Cadence", "LinkedIn", updateable=False),
        pick("CallType", "Internal", "Inbound", "Outbound"),
        text("CallDisposition"),
        text("CallObject"),
        of("int", "CallDurationInSeconds"),
        fixed("datetime", "CompletedDateTime"),
        fixed("boolean", "IsRecurrence"),
        *system_fields(),
        text("StageSync_Key__c", 255, label="StageSync Key", external_id=True, unique=True),
    ),
)

EVENT = SObject(
    "Event",
    "00U",
    label="Event",
    plural="Events",
    fields=(
        record_id(),
        *_activity("Events"),
        text("Location"),
        flag("IsAllDayEvent"),
        of("datetime", "StartDateTime"),
        of("datetime", "EndDateTime"),
        of("int", "DurationInMinutes"),
        of("date", "ActivityDate"),
        of("datetime", "ActivityDateTime"),
        ref("OwnerId", "User", nillable=False, indexed=True),
        pick("Type", "Call", "Email", "Meeting", "Other"),
        pick("ShowAs", "Busy", "OutOfOffice", "Free"),
        pick("EventSubtype", "Event", updateable=False),
        flag("IsPrivate"),
        fixed("boolean", "IsChild"),
        fixed("boolean", "IsGroupEvent"),
        fixed("boolean", "IsRecurrence"),
        *system_fields(),
    ),
)

EVENT_RELATION = SObject(
    "EventRelation",
    "0RE",
    label="Event Relation",
    plural="Event Relations",
    required=("EventId", "RelationId"),
    fields=(
        record_id(),
        ref("EventId", "Event", nillable=False, updateable=False, indexed=True, children="EventRelations"),
        ref(
            "RelationId",
            "Contact",
            "Lead",
            "User",
            nillable=False,
            updateable=False,
            indexed=True,
            children="EventRelations",
        ),
        pick("Status", "New", "Accepted", "Declined"),
        of("datetime", "RespondedDate"),
        text("Response"),
        flag("IsInvitee", default=1),
        flag("IsParent"),
        flag("IsWhat"),
        *system_fields(),
    ),
)

EMAIL_MESSAGE = SObject(
    "EmailMessage",
    "02s",
    label="Email Message",
    plural="Email Messages",
    fields=(
        record_id(),
        fixed("string", "ParentId", length=18),
        ref("ActivityId", "Task", updateable=False, indexed=True),
        text("Subject", 3000),
        long_text("TextBody", 131_072),
        long_text("HtmlBody", 131_072),
        text("FromName", 1000),
        text("FromAddress", 1000),
        text("ToAddress", 4000),
        text("CcAddress", 4000),
        text("BccAddress", 4000),
        flag("Incoming"),
        flag("HasAttachment"),
        pick("Status", "0", "1", "2", "3", "4", "5", nillable=False, default="0"),
        of("datetime", "MessageDate"),
        text("MessageIdentifier"),
        text("ThreadIdentifier"),
        flag("IsExternallyVisible"),
        flag("IsTracked"),
        ref(
            "RelatedToId",
            *_WHAT,
            relationship="RelatedTo",
            indexed=True,
            children="Emails",
        ),
        *system_fields(),
    ),
)

EMAIL_RELATION = SObject(
    "EmailMessageRelation",
    "0Ar",
    label="Email Message Relation",
    plural="Email Message Relations",
    required=("EmailMessageId", "RelationType"),
    fields=(
        record_id(),
        ref(
            "EmailMessageId",
            "EmailMessage",
            nillable=False,
            updateable=False,
            indexed=True,
            children="EmailMessageRelations",
        ),
        ref("RelationId", "Contact", "Lead", "User", updateable=False, indexed=True, children="EmailMessageRelations"),
        pick(
            "RelationType",
            "ToAddress",
            "CcAddress",
            "BccAddress",
            "FromAddress",
            "OtherAddress",
            nillable=False,
            updateable=False,
        ),
        text("RelationAddress", 4000, updateable=False),
        *system_fields(),
    ),
)

OPPORTUNITY_HISTORY = SObject(
    "OpportunityHistory",
    "008",
    label="Opportunity: Stage History",
    plural="Opportunity: Stage History",
    writable=False,
    fields=(
        record_id(),
        fixed(
            "reference",
            "OpportunityId",
            reference_to=("Opportunity",),
            indexed=True,
            children="OpportunityHistories",
        ),
        fixed("reference", "CreatedById", reference_to=("User",)),
        fixed("datetime", "CreatedDate"),
        fixed("picklist", "StageName"),
        fixed("currency", "Amount"),
        fixed("currency", "ExpectedRevenue"),
        fixed("date", "CloseDate"),
        fixed("percent", "Probability"),
        fixed("picklist", "ForecastCategory"),
        fixed("currency", "PrevAmount"),
        fixed("date", "PrevCloseDate"),
        fixed("datetime", "SystemModstamp", indexed=True),
        fixed("boolean", "IsDeleted"),
    ),
)


def _field_history(name: str, parent: str) -> SObject:
    return SObject(
        name,
        "017",
        label=name,
        plural=name,
        writable=False,
        fields=(
            record_id(),
            fixed("boolean", "IsDeleted"),
            fixed("reference", f"{parent}Id", reference_to=(parent,), indexed=True, children="Histories"),
            fixed("reference", "CreatedById", reference_to=("User",)),
            fixed("datetime", "CreatedDate", indexed=True),
            fixed("picklist", "Field"),
            fixed("picklist", "DataType"),
            fixed("string", "OldValue", filterable=False),
            fixed("string", "NewValue", filterable=False),
        ),
    )


LEAD_HISTORY = _field_history("LeadHistory", "Lead")
OPPORTUNITY_FIELD_HISTORY = _field_history("OpportunityFieldHistory", "Opportunity")

ACTIVITY_OBJECTS = (
    TASK,
    EVENT,
    EVENT_RELATION,
    EMAIL_MESSAGE,
    EMAIL_RELATION,
    OPPORTUNITY_HISTORY,
    LEAD_HISTORY,
    OPPORTUNITY_FIELD_HISTORY,
)
