"""The properties and pipelines of a new portal, and the custom ones that StageSync's packs read.

A row is name, label and type; ``!`` before a type marks a value that only HubSpot sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES
from stagesync.sandbox.hubspot.definitions import Option, PropertyDefinition, PropertyType, Stage
from stagesync.sandbox.hubspot.portal import Portal

_Rows = tuple[tuple[str, str, str], ...]

_EVERYWHERE: _Rows = (
    ("hs_object_id", "Record ID", "!number"),
    ("hs_createdate", "Object create date/time", "!datetime"),
    ("hs_lastmodifieddate", "Object last modified date/time", "!datetime"),
    ("hubspot_owner_id", "Owner", "owner"),
    ("hubspot_owner_assigneddate", "Owner assigned date", "!datetime"),
    ("hubspot_team_id", "Team", "!string"),
    ("hs_merged_object_ids", "Merged record IDs", "!string"),
    ("hs_created_by_user_id", "Created by user ID", "!number"),
    ("hs_updated_by_user_id", "Updated by user ID", "!number"),
)

_LOGGED: _Rows = (
    ("num_notes", "Number of Sales Activities", "!number"),
    ("num_contacted_notes", "Number of times contacted", "!number"),
    ("notes_last_contacted", "Last Contacted", "!datetime"),
    ("notes_last_updated", "Last Activity Date", "!datetime"),
    ("notes_next_activity_date", "Next Activity Date", "!datetime"),
    ("hs_latest_meeting_activity", "Latest meeting activity", "!datetime"),
    ("engagements_last_meeting_booked", "Date of last meeting booked in meetings tool", "!datetime"),
    ("hs_last_sales_activity_timestamp", "Last Engagement Date", "!datetime"),
    ("hs_sales_email_last_replied", "Recent Sales Email Replied Date", "!datetime"),
)

_STAGED: _Rows = (
    ("hs_v2_date_entered_current_stage", "Date entered current stage", "!datetime"),
    ("hs_v2_time_in_current_stage", "Time in current stage", "!number"),
)

_ACTIVITY: _Rows = (("hs_timestamp", "Activity date", "datetime"),)

_OWN: Mapping[str, _Rows] = {
    "contacts": (
        ("email", "Email", "string"),
        ("firstname", "First Name", "string"),
        ("lastname", "Last Name", "string"),
        ("jobtitle", "Job Title", "string"),
        ("company", "Company Name", "string"),
        ("phone", "Phone Number", "phone_number"),
        ("mobilephone", "Mobile Phone Number", "phone_number"),
        ("website", "Website URL", "string"),
        ("city", "City", "string"),
        ("country", "Country/Region", "string"),
        ("industry", "Industry", "string"),
        ("numemployees", "Number of Employees", "company_size"),
        ("message", "Message", "textarea"),
        ("createdate", "Create Date", "!datetime"),
        ("lastmodifieddate", "Last Modified Date", "!datetime"),
        ("lifecyclestage", "Lifecycle Stage", "lifecycle"),
        ("hs_lead_status", "Lead Status", "lead_status"),
        ("hs_buying_role", "Buying Role", "buying_role"),
        ("hs_sales_email_last_opened", "Recent Sales Email Opened Date", "!datetime"),
        ("hs_sales_email_last_clicked", "Recent Sales Email Clicked Date", "!datetime"),
        ("hs_email_last_reply_date", "Last marketing email reply date", "!datetime"),
        ("hs_sa_first_engagement_date", "Date of first engagement", "!datetime"),
        ("hs_sa_first_engagement_descr", "Description of first engagement", "!string"),
        ("hs_analytics_source", "Original Traffic Source", "!string"),
        ("hs_predictivecontactscore_v2", "Likelihood to close", "!number"),
        ("hs_calculated_merged_vids", "Merged vids with timestamps", "!string"),
        ("hs_all_contact_vids", "All vids for a contact", "!string"),
        ("num_associated_deals", "Number of Associated Deals", "!number"),
        ("associatedcompanyid", "Primary Associated Company ID", "!number"),
        ("hubspotscore", "HubSpot Score", "!number"),
    ),
    "companies": (
        ("name", "Company name", "string"),
        ("domain", "Company Domain Name", "string"),
        ("website", "Website URL", "string"),
        ("phone", "Phone Number", "phone_number"),
        ("industry", "Industry", "string"),
        ("city", "City", "string"),
        ("country", "Country/Region", "string"),
        ("description", "Description", "textarea"),
        ("numberofemployees", "Number of Employees", "number"),
        ("annualrevenue", "Annual Revenue", "number"),
        ("createdate", "Create Date", "!datetime"),
        ("lifecyclestage", "Lifecycle Stage", "lifecycle"),
        ("hs_lead_status", "Lead Status", "lead_status"),
        ("num_associated_contacts", "Number of Associated Contacts", "!number"),
        ("num_associated_deals", "Number of Associated Deals", "!number"),
    ),
    "deals": (
        ("dealname", "Deal Name", "string"),
        ("amount", "Amount", "number"),
        ("deal_currency_code", "Currency", "string"),
        ("closedate", "Close Date", "datetime"),
        ("createdate", "Create Date", "!datetime"),
        ("dealstage", "Deal Stage", "stage"),
        ("pipeline", "Pipeline", "stage"),
        ("dealtype", "Deal Type", "deal_type"),
        ("description", "Deal Description", "textarea"),
        ("hs_next_step", "Next Step", "string"),
        ("hs_priority", "Priority", "priority"),
        ("closed_lost_reason", "Closed Lost Reason", "textarea"),
        ("closed_won_reason", "Closed Won Reason", "textarea"),
        ("hs_forecast_amount", "Forecast Amount", "number"),
        ("hs_manual_forecast_category", "Forecast category", "forecast"),
        ("hs_is_closed", "Is Deal Closed?", "!bool"),
        ("hs_is_closed_won", "Is Closed Won", "!bool"),
        ("hs_is_closed_lost", "Is Closed Lost", "!bool"),
        ("hs_deal_stage_probability", "Deal probability", "!number"),
        ("hs_closed_amount", "Closed Deal Amount", "!number"),
        ("hs_projected_amount", "Weighted amount", "!number"),
        ("days_to_close", "Days to close", "!number"),
        ("num_associated_contacts", "Number of Associated Contacts", "!number"),
        ("hs_primary_associated_company", "Primary Associated Company", "!number"),
    ),
    "leads": (
        ("hs_lead_name", "Lead name", "string"),
        ("hs_lead_type", "Lead type", "lead_type"),
        ("hs_lead_label", "Lead label", "lead_label"),
        ("hs_pipeline", "Lead pipeline", "stage"),
        ("hs_pipeline_stage", "Lead pipeline stage", "stage"),
        ("hs_lead_is_open", "Is lead open", "!bool"),
        ("hs_lead_disqualification_reason", "Lead disqualification reason", "string"),
        ("hs_lead_disqualification_note", "Lead disqualification note", "textarea"),
        ("hs_primary_contact_id", "Primary contact ID", "!number"),
    ),
    "tasks": (
        ("hs_task_subject", "Task Title", "string"),
        ("hs_task_body", "Task Notes", "html"),
        ("hs_task_status", "Task Status", "task_status"),
        ("hs_task_priority", "Priority", "task_priority"),
        ("hs_task_type", "Task Type", "task_type"),
        ("hs_task_reminders", "Task Reminders", "datetime"),
        ("hs_task_completion_date", "Completed at", "!datetime"),
        ("hs_task_is_completed", "Is completed", "!bool"),
    ),
    "calls": (
        ("hs_call_title", "Call Title", "string"),
        ("hs_call_body", "Call notes", "html"),
        ("hs_call_direction", "Call direction", "call_direction"),
        ("hs_call_disposition", "Call outcome", "string"),
        ("hs_call_duration", "Call duration", "number"),
        ("hs_call_status", "Call Status", "call_status"),
        ("hs_call_from_number", "From Number", "string"),
        ("hs_call_to_number", "To Number", "string"),
        ("hs_activity_type", "Call and meeting type", "string"),
    ),
    "emails": (
        ("hs_email_subject", "Email subject", "string"),
        ("hs_email_text", "Email body", "textarea"),
        ("hs_email_html", "HTML body", "html"),
        ("hs_email_direction", "Email Direction", "email_direction"),
        ("hs_email_status", "Email send status", "email_status"),
        ("hs_email_headers", "Email headers", "textarea"),
        ("hs_email_thread_id", "Email thread id", "string"),
        ("hs_email_from_email", "Email From Address", "!string"),
        ("hs_email_to_email", "Email To Address", "!string"),
    ),
    "meetings": (
        ("hs_meeting_title", "Meeting name", "string"),
        ("hs_meeting_body", "Meeting description", "html"),
        ("hs_internal_meeting_notes", "Internal meeting notes", "html"),
        ("hs_meeting_start_time", "Meeting start time", "datetime"),
        ("hs_meeting_end_time", "Meeting end time", "datetime"),
        ("hs_meeting_outcome", "Meeting outcome", "meeting_outcome"),
        ("hs_meeting_location", "Meeting location", "string"),
        ("hs_meeting_external_url", "External URL", "string"),
        ("hs_activity_type", "Call and meeting type", "string"),
    ),
    "notes": (
        ("hs_note_body", "Note body", "html"),
        ("hs_attachment_ids", "Attached file IDs", "string"),
    ),
    "communications": (
        ("hs_communication_channel_type", "Channel Type", "channel"),
        ("hs_communication_logged_from", "Logged from", "string"),
        ("hs_communication_body", "Communication body", "html"),
    ),
}

_OPTIONS: Mapping[str, str] = {
    "lifecycle": "subscriber=Subscriber lead=Lead marketingqualifiedlead=Marketing_Qualified_Lead"
    " salesqualifiedlead=Sales_Qualified_Lead opportunity=Opportunity customer=Customer"
    " evangelist=Evangelist other=Other",
    "lead_status": "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING",
    "buying_role": "BLOCKER BUDGET_HOLDER CHAMPION DECISION_MAKER END_USER EXECUTIVE_SPONSOR INFLUENCER"
    " LEGAL_AND_COMPLIANCE OTHER",
    "deal_type": "newbusiness=New_Business existingbusiness=Existing_Business",
    "priority": "low=Low medium=Medium high=High",
    "forecast": "OMIT PIPELINE BEST_CASE COMMIT CLOSED",
    "lead_type": "NEW_BUSINESS RE_ATTEMPT UPSELL",
    "lead_label": "HOT WARM COLD",
    "task_status": "NOT_STARTED IN_PROGRESS WAITING COMPLETED DEFERRED",
    "task_priority": "NONE LOW MEDIUM HIGH",
    "task_type": "TODO CALL EMAIL LINKED_IN",
    "call_direction": "INBOUND OUTBOUND",
    "call_status": "BUSY CALLING_CRM_USER CANCELED COMPLETED CONNECTING FAILED IN_PROGRESS MISSED NO_ANSWER"
    " QUEUED RINGING",
    "email_direction": "EMAIL INCOMING_EMAIL FORWARDED_EMAIL",
    "email_status": "SENT SENDING SCHEDULED FAILED BOUNCED",
    "meeting_outcome": "SCHEDULED COMPLETED RESCHEDULED NO_SHOW CANCELED",
    "channel": "CUSTOM_CHANNEL_CONVERSATION LINKEDIN_MESSAGE SMS WHATS_APP",
}
# A portal's contact size field lists ranges; companies hold the number.
_COMPANY_SIZES = ("1-5", "5-25", "25-50", "50-100", "100-500", "500-1000", "1000+")


def standard_metadata(portal: Portal) -> None:
    """Give an empty portal HubSpot's properties and pipelines, and StageSync's custom properties."""
    with portal.database.transaction():
        for kind in OBJECT_TYPES:
            extra = _ACTIVITY if kind.is_activity else _LOGGED + (_STAGED if kind.pipeline else ())
            for row in (*_OWN[kind.name], *_EVERYWHERE, *extra):
                portal.add_property(kind.name, definition(*row))
        for name in ("contacts", "companies"):
            _add_lifecycle_dates(portal, name)
        _add_custom_properties(portal)
        _add_pipelines(portal)


def definition(name: str, label: str, spec: str) -> PropertyDefinition:
    """A property from a row of the tables above."""
    read_only, word = spec.startswith("!"), spec.lstrip("!")
    if word in _OPTIONS:
        field_type = "radio" if word == "lifecycle" else "checkbox" if word == "buying_role" else "select"
        return PropertyDefinition(
            name=name,
            label=label,
            type="enumeration",
            field_type=field_type,
            options=tuple(_options(_OPTIONS[word].split())),
        )
    if word == "company_size":
        sizes = tuple(Option(label=size, value=size) for size in _COMPANY_SIZES)
        return PropertyDefinition(name=name, label=label, type="enumeration", options=sizes)
    if word in {"owner", "stage"}:
        return PropertyDefinition(name=name, label=label, type="enumeration", external_options=True)
    if word in {"textarea", "html"}:
        return PropertyDefinition(name=name, label=label, field_type=word)
    return PropertyDefinition(name=name, label=label, type=cast(PropertyType, word), read_only=read_only)


def _options(words: Iterable[str]) -> Iterable[Option]:
    for word in words:
        value, _, label = word.partition("=")
        yield Option(value=value, label=(label or value.capitalize()).replace("_", " "))


def _add_lifecycle_dates(portal: Portal, object_type: str) -> None:
    for option in portal.metadata.properties(object_type)["lifecyclestage"].options:
        portal.add_property(
            object_type,
            PropertyDefinition(
                name=f"hs_lifecyclestage_{option.value}_date",
                label=f"Became a {option.label} Date",
                type="datetime",
                read_only=True,
            ),
        )


def _add_custom_properties(portal: Portal) -> None:
    pain = PropertyDefinition(
        name="pain",
        label="Pain",
        field_type="textarea",
        description="The problem, in the buyer's words",
        hubspot_defined=False,
    )
    portal.add_property("contacts", pain)
    portal.add_property("deals", pain)
    portal.add_property(
        "deals",
        PropertyDefinition(
            name="budget_confirmed",
            label="Budget confirmed",
            type="bool",
            options=(Option(label="Yes", value="true"), Option(label="No", value="false")),
            hubspot_defined=False,
        ),
    )
    portal.add_property(
        "tasks",
        PropertyDefinition(name="stagesync_key", label="StageSync key", unique=True, hubspot_defined=False),
    )


def _deal_stage(stage_id: str, label: str, probability: str) -> Stage:
    closed = str(probability in {"1.0", "0.0"}).lower()
    return Stage(id=stage_id, label=label, metadata={"isClosed": closed, "probability": probability})


def _lead_stage(stage_id: str, label: str, state: str) -> Stage:
    closed = str(state in {"QUALIFIED", "UNQUALIFIED"}).lower()
    return Stage(id=stage_id, label=label, metadata={"isClosed": closed, "leadState": state})


def _add_pipelines(portal: Portal) -> None:
    portal.add_pipeline(
        "deals",
        "default",
        "Sales Pipeline",
        [
            _deal_stage("appointmentscheduled", "Appointment Scheduled", "0.2"),
            _deal_stage("qualifiedtobuy", "Qualified To Buy", "0.4"),
            _deal_stage("presentationscheduled", "Presentation Scheduled", "0.6"),
            _deal_stage("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
            _deal_stage("contractsent", "Contract Sent", "0.9"),
            _deal_stage("closedwon", "Closed Won", "1.0"),
            _deal_stage("closedlost", "Closed Lost", "0.0"),
        ],
    )
    portal.add_pipeline(
        "deals",
        "139663272",
        "Renewals",
        [
            _deal_stage("139663273", "Renewal due", "0.5"),
            _deal_stage("139663274", "In negotiation", "0.7"),
            _deal_stage("139663275", "Renewed", "1.0"),
            _deal_stage("139663276", "Churned", "0.0"),
        ],
    )
    portal.add_pipeline(
        "leads",
        "lead-pipeline-id",
        "Lead pipeline",
        [
            _lead_stage("new-stage-id", "New", "NEW"),
            _lead_stage("attempting-stage-id", "Attempting", "IN_PROGRESS"),
            _lead_stage("connected-stage-id", "Connected", "IN_PROGRESS"),
            _lead_stage("qualified-stage-id", "Qualified", "QUALIFIED"),
            _lead_stage("unqualified-stage-id", "Unqualified", "UNQUALIFIED"),
        ],
    )
    for name, pipeline_id in (
        ("contacts", "contacts-lifecycle-pipeline"),
        ("companies", "companies-lifecycle-pipeline"),
    ):
        stages = portal.metadata.properties(name)["lifecyclestage"].options
        portal.add_pipeline(
            name,
            pipeline_id,
            "Lifecycle Stage Pipeline",
            [Stage(id=option.value, label=option.label, metadata={}) for option in stages],
        )
