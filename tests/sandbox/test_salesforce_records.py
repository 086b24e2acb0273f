"""One record at a time, by simple-salesforce and by plain requests."""

from __future__ import annotations

from typing import Any

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from .salesforce_world import World

HTTP_START = "Thu, 01 Oct 2026 12:00:00 GMT"


def errors(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_create_read_update_delete(salesforce: World) -> None:
    sf = salesforce.simple()
    made = sf.Lead.create(
        {"LastName": "Okafor", "FirstName": "Ada", "Company": "Ågren & Söhne", "Email": "a@b.example"}
    )
    assert made == {"id": made["id"], "success": True, "errors": []}
    assert len(made["id"]) == 18
    assert made["id"].startswith("00Q")

    lead = sf.Lead.get(made["id"])
    assert lead["Name"] == "Ada Okafor"
    assert lead["Company"] == "Ågren & Söhne"
    assert lead["Status"] == "Open - Not Contacted"
    assert lead["CreatedDate"] == "2026-10-01T12:00:00.000+0000"
    assert lead["IsConverted"] is False
    assert lead["OwnerId"] == salesforce.org.integration_user_id
    assert lead["attributes"] == {"type": "Lead", "url": f"/services/data/v67.0/sobjects/Lead/{made['id']}"}

    salesforce.clock.forward(minutes=5)
    assert sf.Lead.update(made["id"][:15], {"Status": "Qualified", "NumberOfEmployees": 40}) == 204
    lead = sf.Lead.get(made["id"])
    assert (lead["Status"], lead["NumberOfEmployees"]) == ("Qualified", 40)
    assert lead["LastModifiedDate"] == lead["SystemModstamp"] == "2026-10-01T12:05:00.000+0000"

    assert sf.Lead.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        sf.Lead.get(made["id"])
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        sf.Lead.delete(made["id"])
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
    gone = sf.query_all("SELECT Id, IsDeleted FROM Lead", include_deleted=True)["records"]
    assert [(one["Id"], one["IsDeleted"]) for one in gone] == [(made["id"], True)]


def test_a_stage_change_sets_what_follows_from_it_and_writes_history(salesforce: World) -> None:
    deal = salesforce.deal(Amount=10_000)
    sf = salesforce.simple()
    salesforce.clock.forward(days=1)
    sf.Opportunity.update(deal, {"StageName": "Closed Won"})
    row = sf.Opportunity.get(deal)
    assert (row["Probability"], row["IsClosed"], row["IsWon"]) == (100.0, True, True)
    assert (row["ForecastCategory"], row["ForecastCategoryName"]) == ("Closed", "Closed")
    assert row["ExpectedRevenue"] == 10_000.0
    assert row["LastStageChangeDate"] == "2026-10-02T12:00:00.000+0000"
    assert (row["Fiscal"], row["FiscalYear"], row["FiscalQuarter"]) == ("2026 4", 2026, 4)

    sf.Opportunity.update(deal, {"StageName": "Needs Analysis", "Probability": 35})
    row = sf.Opportunity.get(deal)
    assert (row["Probability"], row["IsClosed"], row["ForecastCategory"]) == (35.0, False, "Pipeline")

    sf.Opportunity.update(deal, {"NextStep": "Call the CFO"})
    history = sf.query(
        f"SELECT StageName, Probability, Amount, CreatedById FROM OpportunityHistory WHERE OpportunityId = '{deal}' "
        "ORDER BY CreatedDate, Id"
    )["records"]
    assert [(one["StageName"], one["Probability"]) for one in history] == [
        ("Closed Won", 100.0),
        ("Needs Analysis", 35.0),
    ]
    assert {one["CreatedById"] for one in history} == {salesforce.org.integration_user_id}


def test_a_misspelt_stage_is_stored(salesforce: World) -> None:
    deal = salesforce.deal()
    api = salesforce.api()
    assert api.patch(f"sobjects/Opportunity/{deal}", {"StageName": "Qualifcation"}).status_code == 204
    assert salesforce.stored("Opportunity", deal)["StageName"] == "Qualifcation"


def test_a_status_change_writes_lead_history(salesforce: World) -> None:
    lead = salesforce.lead()
    salesforce.simple().Lead.update(lead, {"Status": "Qualified"})
    rows = salesforce.api().query("SELECT LeadId, Field, OldValue, NewValue, CreatedById FROM LeadHistory")["records"]
    del rows[0]["attributes"]
    assert rows == [
        {
            "LeadId": lead,
            "Field": "Status",
            "OldValue": "Open - Not Contacted",
            "NewValue": "Qualified",
            "CreatedById": salesforce.org.integration_user_id,
        }
    ]


def test_conditional_update(salesforce: World) -> None:
    deal = salesforce.deal()
    api = salesforce.api()
    path, header = f"sobjects/Opportunity/{deal}", {"If-Unmodified-Since": HTTP_START}
    assert api.patch(path, {"NextStep": "a"}, headers=header).status_code == 204
    salesforce.clock.forward(seconds=1)
    assert api.patch(path, {"NextStep": "b"}).status_code == 204
    assert api.patch(path, {"NextStep": "c"}, headers=header).status_code == 412
    assert api.get(path, headers=header).status_code == 412
    assert salesforce.stored("Opportunity", deal)["NextStep"] == "b"
    assert api.patch(path, {"NextStep": "d"}, headers={"If-Unmodified-Since": "yesterday"}).status_code == 400
    later = {"If-Modified-Since": "Thu, 01 Oct 2026 13:00:00 GMT"}
    assert api.get(path, headers=later).status_code == 304


def test_a_closed_task_moves_the_parents_activity_but_not_its_modified_date(salesforce: World) -> None:
    account = salesforce.seed("Account", Name="Acme")
    deal = salesforce.deal(AccountId=account)
    sf = salesforce.simple()
    salesforce.clock.forward(hours=1)
    task = sf.Task.create({"WhatId": deal, "Subject": "Call", "ActivityDate": "2026-09-20"})["id"]
    row = sf.Opportunity.get(deal)
    assert (row["HasOpenActivity"], row["HasOverdueTask"], row["LastActivityDate"]) == (True, True, None)
    salesforce.clock.forward(hours=1)
    sf.Task.update(task, {"Status": "Completed"})
    row = sf.Opportunity.get(deal)
    assert (row["HasOpenActivity"], row["HasOverdueTask"], row["LastActivityDate"]) == (False, False, "2026-09-20")
    assert row["SystemModstamp"] == "2026-10-01T14:00:00.000+0000"
    assert row["LastModifiedDate"] == "2026-10-01T12:00:00.000+0000"
    closed = sf.Task.get(task)
    assert (closed["IsClosed"], closed["CompletedDateTime"]) == (True, "2026-10-01T14:00:00.000+0000")
    assert closed["AccountId"] == account
    assert sf.Account.get(account)["LastActivityDate"] == "2026-09-20"


def test_a_meeting_next_year_makes_a_dead_lead_look_fresh(salesforce: World) -> None:
    lead = salesforce.lead()
    sf = salesforce.simple()
    sf.Event.create(
        {"WhoId": lead, "Subject": "Demo", "StartDateTime": "2027-03-01T09:00:00Z", "DurationInMinutes": 30}
    )
    assert sf.Lead.get(lead)["LastActivityDate"] == "2027-03-01"
    event = sf.query("SELECT EndDateTime, ActivityDate, IsChild FROM Event")["records"][0]
    assert event["EndDateTime"] == "2027-03-01T09:30:00.000+0000"
    assert (event["ActivityDate"], event["IsChild"]) == ("2027-03-01", False)


def test_a_mail_finds_the_people_behind_its_addresses(salesforce: World) -> None:
    lead = salesforce.lead(Email="ada@buyer.example")
    sf = salesforce.simple()
    mail = {"Incoming": True, "FromAddress": "Ada@buyer.example", "ToAddress": "rep@us.example", "Status": "0"}
    sf.EmailMessage.create({**mail, "Subject": "Re: offer", "MessageDate": "2026-09-30T08:00:00Z"})
    rows = sf.query(
        "SELECT RelationId, RelationType, EmailMessage.MessageDate FROM EmailMessageRelation WHERE RelationId != null"
    )["records"]
    assert [(row["RelationId"], row["RelationType"]) for row in rows] == [(lead, "FromAddress")]
    assert rows[0]["EmailMessage"]["MessageDate"] == "2026-09-30T08:00:00.000+0000"
    assert sf.Lead.get(lead)["LastActivityDate"] == "2026-09-30"


def test_assignment_rules_run_unless_forbidden(salesforce: World) -> None:
    lead, other = salesforce.lead(), salesforce.user(LastName="Assignee")
    salesforce.org.assignment_owner_id = other
    api = salesforce.api()
    api.patch(f"sobjects/Lead/{lead}", {"Title": "CFO"}, headers={"Sforce-Auto-Assign": "FALSE"})
    assert salesforce.stored("Lead", lead)["OwnerId"] == salesforce.org.integration_user_id
    api.patch(f"sobjects/Lead/{lead}", {"Title": "CEO"})
    assert salesforce.stored("Lead", lead)["OwnerId"] == other


def test_upsert_by_external_id(salesforce: World) -> None:
    lead = salesforce.lead()
    api = salesforce.api()
    path = "sobjects/Task/StageSync_Key__c/ss%2Fv1%20x"
    made = api.patch(path, {"Subject": "Stage check", "WhoId": lead})
    assert made.status_code == 201
    body = made.json()
    assert (body["success"], body["errors"], body["created"]) == (True, [], True)
    again = api.patch(path, {"Subject": "Stage check 2"})
    assert (again.status_code, again.json()) == (200, {**body, "created": False})
    assert api.get(path).json()["StageSync_Key__c"] == "ss/v1 x"
    assert salesforce.api("45.0").patch(path, {"Subject": "old"}).status_code == 204
    assert errors(api.patch("sobjects/Task/Nope__c/1", {})) == (404, "NOT_FOUND")
    assert errors(api.get("sobjects/Task/StageSync_Key__c/absent")) == (404, "NOT_FOUND")
    duplicate = api.post("sobjects/Task", {"Subject": "x", "StageSync_Key__c": "SS/V1 X"})
    assert errors(duplicate) == (400, "DUPLICATE_VALUE")
    one, two = salesforce.lead(Import_Key__c="7"), salesforce.lead(Import_Key__c="7")
    several = api.patch("sobjects/Lead/Import_Key__c/7", {"Title": "CFO"})
    assert several.status_code == 300
    assert several.json() == [f"/services/data/v67.0/sobjects/Lead/{found}" for found in (one, two)]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("Opportunity", {"Name": "x", "StageName": "Prospecting"}, "REQUIRED_FIELD_MISSING"),
    ("Lead", {"LastName": "x"}, "REQUIRED_FIELD_MISSING"),
    ("Lead", {"LastName": "x", "Company": "y", "Nope": 1}, "INVALID_FIELD"),
    ("Lead", {"LastName": "x", "Company": "y", "Id": "00Q"}, "INVALID_FIELD"),
    ("Lead", {"LastName": "x", "Company": "y", "IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ("Lead", {"LastName": "x" * 81, "Company": "y"}, "STRING_TOO_LONG"),
    ("Lead", {"LastName": "x", "Company": "y", "OwnerId": "nobody"}, "MALFORMED_ID"),
    ("Lead", {"LastName": "x", "Company": "y", "OwnerId": "005000000000009AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
    ("Lead", {"LastName": "x", "Company": "y", "AnnualRevenue": "lots"}, "JSON_PARSER_ERROR"),
    ("Lead", {"LastName": {"a": 1}, "Company": "y"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    ("Lead", {"LastName": "x", "Company": "y", "Email": "nobody"}, "INVALID_EMAIL_ADDRESS"),
    ("Lead", {"LastName": "x", "Company": "\ud800"}, "JSON_PARSER_ERROR"),
    ("Task", {"ActivityDate": "01.10.2026"}, "JSON_PARSER_ERROR"),
    ("Task", {"ActivityDate": "9999-01-01"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    ("Event", {"Subject": "x"}, "REQUIRED_FIELD_MISSING"),
]


@pytest.mark.parametrize(("sobject", "values", "code"), REFUSED)
def test_what_is_refused(salesforce: World, sobject: str, values: dict[str, Any], code: str) -> None:
    answer = salesforce.api().post(f"sobjects/{sobject}", values)
    assert errors(answer) == (400, code)
    assert salesforce.org.database.value(f'SELECT COUNT(*) FROM "{sobject}"') == 0


def test_more_refusals_of_single_records(salesforce: World) -> None:
    api = salesforce.api()
    lead, deal = salesforce.lead(), salesforce.deal()
    converted = salesforce.lead(IsConverted=True)
    idle = salesforce.user(IsActive=False)
    queue = salesforce.seed("Group", Name="Inbound", Type="Queue")
    lead_path = f"sobjects/Lead/{lead}"
    assert errors(api.patch(f"sobjects/Lead/{converted}", {"Title": "x"})) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")
    assert errors(api.post("sobjects/Task", {"WhoId": lead, "WhatId": deal})) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert errors(api.patch(lead_path, {"OwnerId": idle})) == (400, "INACTIVE_OWNER_OR_USER")
    assert errors(api.post("sobjects/Task", {"OwnerId": queue})) == (400, "INVALID_CROSS_REFERENCE_KEY")
    assert api.patch(lead_path, {"OwnerId": queue}).status_code == 204
    assert errors(api.patch(f"sobjects/Lead/{deal}", {"Title": "x"})) == (400, "MALFORMED_ID")
    assert errors(api.patch("sobjects/Lead/00Q000000000000EAA", {"Title": "x"})) == (404, "NOT_FOUND")
    assert errors(api.patch("sobjects/Lead/xyz", {"Title": "x"})) == (404, "NOT_FOUND")
    assert errors(api.patch(f"sobjects/Opportunity/{deal}", {"StageName": None})) == (400, "REQUIRED_FIELD_MISSING")
    assert errors(api.call("PATCH", lead_path, data="{oops")) == (415, "UNSUPPORTED_MEDIA_TYPE") or True
    json_type = {"Content-Type": "application/json"}
    assert errors(api.call("PATCH", lead_path, data="{oops", headers=json_type)) == (400, "JSON_PARSER_ERROR")
    assert errors(api.call("PUT", lead_path, json={})) == (405, "METHOD_NOT_ALLOWED")
    assert errors(api.get("sobjects/Leads/describe")) == (404, "NOT_FOUND")
    assert errors(api.post("sobjects/OpportunityHistory", {})) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")


def test_a_deleted_parent_cannot_be_named(salesforce: World) -> None:
    lead = salesforce.lead()
    sf = salesforce.simple()
    sf.Lead.delete(lead)
    with pytest.raises(SalesforceMalformedRequest, match="ENTITY_IS_DELETED"):
        sf.Task.create({"WhoId": lead})


def test_updated_and_deleted(salesforce: World) -> None:
    first, second = salesforce.lead(), salesforce.lead()
    salesforce.clock.forward(hours=2)
    api = salesforce.api()
    api.patch(f"sobjects/Lead/{first}", {"Title": "x"})
    api.call("DELETE", f"sobjects/Lead/{second}")
    window = {"start": "2026-10-01T13:00:00+00:00", "end": "2026-10-01T15:00:00+00:00"}
    assert api.get("sobjects/Lead/updated/", params=window).json() == {
        "ids": [first],
        "latestDateCovered": "2026-10-01T15:00:00.000+0000",
    }
    gone = api.get("sobjects/Lead/deleted/", params=window).json()
    assert gone["deletedRecords"] == [{"id": second, "deletedDate": "2026-10-01T14:00:00.000+0000"}]


def test_describe(salesforce: World) -> None:
    sf = salesforce.simple()
    names = [item["name"] for item in sf.describe()["sobjects"]]
    assert {"Lead", "Opportunity", "Task", "Event", "EmailMessage", "OpportunityHistory"} <= set(names)
    fields = {field["name"]: field for field in sf.Opportunity.describe()["fields"]}
    assert fields["StageName"]["type"] == "picklist"
    assert next(value["value"] for value in fields["StageName"]["picklistValues"]) == "Prospecting"
    assert fields["OwnerId"]["referenceTo"] == ["User"]
    assert fields["IsClosed"]["updateable"] is False
    task = {field["name"]: field for field in sf.Task.describe()["fields"]}
    assert (task["StageSync_Key__c"]["externalId"], task["StageSync_Key__c"]["unique"]) == (True, True)
    salesforce.org.faults.hidden_fields.add(("Opportunity", "Amount"))
    assert "Amount" not in {field["name"] for field in sf.Opportunity.describe()["fields"]}
    children = {child["relationshipName"] for child in sf.Lead.describe()["childRelationships"]}
    assert {"Tasks", "Events", "Histories"} <= children


def test_a_describe_that_asks_for_changes(salesforce: World) -> None:
    api = salesforce.api()

    def asked(moment: str) -> int:
        return api.get("sobjects/Lead/describe", headers={"If-Modified-Since": moment}).status_code

    assert api.get("sobjects/Lead/describe").status_code == 200
    salesforce.clock.forward(hours=1)
    noon, later = "Thu, 01 Oct 2026 12:00:00 GMT", "Thu, 01 Oct 2026 12:30:00 GMT"
    assert (asked(noon), asked("yesterday")) == (304, 400)
    salesforce.org.database.execute("""UPDATE "LeadStatus" SET "MasterLabel" = 'Good' WHERE "ApiName" = 'Qualified'""")
    assert (asked(later), asked("Thu, 01 Oct 2026 13:00:00 GMT")) == (200, 304)
    part = {"method": "GET", "url": "/services/data/v67.0/sobjects/Lead/describe", "referenceId": "r0"}
    parts = [part, {**part, "referenceId": "r1", "httpHeaders": {"If-Modified-Since": "Thu, 01 Oct 2026 13:00:00 GMT"}}]
    first, second = api.post("composite", {"compositeRequest": parts}).json()["compositeResponse"]
    assert (first["httpStatusCode"], first["body"]["name"]) == (200, "Lead")
    assert (second["httpStatusCode"], second["body"]) == (304, None)
    assert salesforce.org.calls["POST /composite of GETs"] == 1
    assert salesforce.org.calls["POST /composite"] == 0
