"""What HubSpot does with a write: refuses it, ignores it, or derives more from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .hubspot_demo import GONE, OWNER, HubSpotDemo, start


@pytest.fixture
def hubspot(serve: Serve, tmp_path: Path) -> HubSpotDemo:
    return start(serve, tmp_path)


def codes(hubspot: HubSpotDemo, kind: str, record_id: str, values: dict[str, str]) -> dict[str, str]:
    response = hubspot.patch(kind, record_id, values)
    assert response.status_code == 400, response.text
    body = response.json()
    inner = json.loads(body["message"].removeprefix("Property values were not valid: "))
    found = {error["context"]["propertyName"][0]: error["code"] for error in body["errors"]}
    assert {each["name"]: each["error"] for each in inner} == found
    assert all(each["portalId"] == hubspot.portal.portal_id for each in inner)
    return found


def test_every_bad_value_is_named(hubspot: HubSpotDemo) -> None:
    found = codes(
        hubspot,
        "deals",
        hubspot.deal_ids(1)[0],
        {
            "no_such_property": "x",
            "amount": "€ 3.500,00",
            "closedate": "next week",
            "budget_confirmed": "maybe",
            "dealtype": "gift",
            "hs_is_closed": "true",
            "hubspot_owner_id": "9586504",
        },
    )
    assert found == {
        "no_such_property": "PROPERTY_DOESNT_EXIST",
        "amount": "INVALID_FLOAT",
        "closedate": "INVALID_LONG",
        "budget_confirmed": "INVALID_OPTION",
        "dealtype": "INVALID_OPTION",
        "hs_is_closed": "READ_ONLY_VALUE",
        "hubspot_owner_id": "INVALID_OWNER_ID",
    }


def test_a_deactivated_owner_is_refused(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    assert codes(hubspot, "deals", deal_id, {"hubspot_owner_id": GONE}) == {"hubspot_owner_id": "INVALID_OWNER_ID"}


@pytest.mark.parametrize("value", ["2026-12-24T00:00:00Z", "1798070400000", "2026-12-24"])
def test_moments_are_stored_in_one_form(hubspot: HubSpotDemo, value: str) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    assert hubspot.patch("deals", deal_id, {"closedate": value}).status_code == 200
    assert hubspot.read("deals", deal_id, "closedate")["closedate"] == "2026-12-24T00:00:00.000Z"


def test_an_empty_text_clears(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    hubspot.patch("deals", deal_id, {"amount": ""})
    assert hubspot.read("deals", deal_id, "amount")["amount"] is None


def test_lifecycle_moves_back_only_after_it_was_cleared(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example", "lifecyclestage": "customer"})
    hubspot.clock.advance(hours=1)
    ignored = hubspot.patch("contacts", contact_id, {"lifecyclestage": "lead"})
    assert ignored.status_code == 200
    assert ignored.json()["properties"]["lifecyclestage"] == "customer"
    assert ignored.json()["updatedAt"] == "2026-11-20T09:00:00.000Z"
    hubspot.patch("contacts", contact_id, {"lifecyclestage": ""})
    assert hubspot.read("contacts", contact_id, "lifecyclestage")["lifecyclestage"] is None
    hubspot.patch("contacts", contact_id, {"lifecyclestage": "lead"})
    values = hubspot.read("contacts", contact_id, "lifecyclestage", "hs_lifecyclestage_customer_date")
    assert (values["lifecyclestage"], values["hs_lifecyclestage_customer_date"]) == ("lead", None)


def test_lifecycle_moves_forward_at_once(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example", "lifecyclestage": "lead"})
    assert hubspot.patch("contacts", contact_id, {"lifecyclestage": "opportunity"}).status_code == 200
    assert hubspot.read("contacts", contact_id, "lifecyclestage")["lifecyclestage"] == "opportunity"


def test_a_deal_raises_its_contact(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example", "lifecyclestage": "lead"})
    deal_id = hubspot.create("deals", {"dealname": "New"}, (contact_id, 3))
    assert hubspot.read("contacts", contact_id, "lifecyclestage")["lifecyclestage"] == "opportunity"
    hubspot.patch("deals", deal_id, {"dealstage": "closedwon"})
    assert hubspot.read("contacts", contact_id, "lifecyclestage")["lifecyclestage"] == "customer"


def test_closing_a_deal_derives_the_rest(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    hubspot.clock.advance(hours=1)
    hubspot.patch("deals", deal_id, {"dealstage": "closedwon"})
    hubspot.clock.advance(seconds=90)
    names = (
        "hs_is_closed",
        "hs_is_closed_won",
        "hs_is_closed_lost",
        "hs_deal_stage_probability",
        "closedate",
        "hs_v2_date_entered_current_stage",
        "hs_v2_date_entered_closedwon",
        "hs_v2_date_exited_qualifiedtobuy",
        "hs_v2_time_in_current_stage",
    )
    moment = "2026-11-20T10:00:00.000Z"
    values = hubspot.read("deals", deal_id, *names)
    assert [values[name] for name in names] == ["true", "true", "false", "1.0", *[moment] * 4, "90000"]
    hubspot.patch("deals", deal_id, {"dealstage": "contractsent"})
    values = hubspot.read("deals", deal_id, "hs_is_closed", "hs_is_closed_won", "closedate")
    assert (values["hs_is_closed"], values["hs_is_closed_won"]) == ("false", "false")


def test_a_stage_belongs_to_its_pipeline(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    assert codes(hubspot, "deals", deal_id, {"dealstage": "139663274"}) == {"dealstage": "INVALID_OPTION"}
    assert codes(hubspot, "deals", deal_id, {"pipeline": "139663272"}) == {"dealstage": "INVALID_OPTION"}
    assert codes(hubspot, "deals", deal_id, {"pipeline": "nowhere"}) == {"pipeline": "INVALID_OPTION"}
    both = {"pipeline": "139663272", "dealstage": "139663274"}
    assert hubspot.patch("deals", deal_id, both).status_code == 200


def test_a_new_deal_is_in_the_default_pipeline(hubspot: HubSpotDemo) -> None:
    values = hubspot.read("deals", hubspot.create("deals", {"dealname": "New"}), "pipeline", "dealstage")
    assert (values["pipeline"], values["dealstage"]) == ("default", "appointmentscheduled")


def test_a_lead_needs_a_name_and_a_contact(hubspot: HubSpotDemo) -> None:
    nameless: dict[str, str] = {}
    for properties in (nameless, {"hs_lead_name": "Ada"}):
        assert hubspot.call("POST", "/crm/v3/objects/leads", {"properties": properties}).status_code == 400
    contact_id = hubspot.create("contacts", {"email": "a@b.example"})
    lead_id = hubspot.create("leads", {"hs_lead_name": "Ada"}, (contact_id, 578))
    values = hubspot.read("leads", lead_id, "hs_pipeline_stage", "hs_primary_contact_id", "hs_lead_is_open")
    assert (values["hs_pipeline_stage"], values["hs_primary_contact_id"]) == ("new-stage-id", contact_id)
    hubspot.patch("leads", lead_id, {"hs_pipeline_stage": "unqualified-stage-id"})
    assert hubspot.read("leads", lead_id, "hs_lead_is_open")["hs_lead_is_open"] == "false"


ACTIVITY = (
    "num_notes",
    "num_contacted_notes",
    "notes_last_contacted",
    "notes_last_updated",
    "notes_next_activity_date",
)
PAST, AHEAD = "2026-11-19T08:00:00.000Z", "2026-11-25T09:00:00.000Z"
LOGGED: list[tuple[str, str, int, list[Any]]] = [
    ("tasks", AHEAD, 216, ["1", None, None, None, AHEAD]),
    ("notes", PAST, 214, ["1", None, None, PAST, None]),
    ("calls", PAST, 206, ["1", "1", PAST, PAST, None]),
    ("emails", PAST, 210, ["1", "1", PAST, PAST, None]),
    ("meetings", AHEAD, 212, ["1", "1", None, None, AHEAD]),
]


@pytest.mark.parametrize(("kind", "moment", "type_id", "expected"), LOGGED)
def test_what_a_logged_activity_does_to_its_deal(
    hubspot: HubSpotDemo, kind: str, moment: str, type_id: int, expected: list[Any]
) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    activity_id = hubspot.create(kind, {"hs_timestamp": moment}, (deal_id, type_id))
    values = hubspot.read("deals", deal_id, *ACTIVITY)
    assert [values[name] for name in ACTIVITY] == expected
    assert values["hs_lastmodifieddate"] == "2026-11-20T09:00:00.000Z"
    hubspot.call("DELETE", f"/crm/v3/objects/{kind}/{activity_id}")
    values = hubspot.read("deals", deal_id, *ACTIVITY)
    assert (values["num_notes"], values["notes_next_activity_date"]) == ("0", None)


def test_a_finished_task_is_no_longer_next(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    task_id = hubspot.create("tasks", {"hs_timestamp": AHEAD}, (deal_id, 216))
    hubspot.patch("tasks", task_id, {"hs_task_status": "COMPLETED"})
    assert hubspot.read("deals", deal_id, *ACTIVITY)["notes_next_activity_date"] is None
    values = hubspot.read("tasks", task_id, "hs_task_completion_date", "hs_task_is_completed")
    assert values["hs_task_completion_date"] == "2026-11-20T09:00:00.000Z"


def test_an_incoming_mail_is_a_reply(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example"})
    hubspot.create("emails", {"hs_timestamp": PAST, "hs_email_direction": "INCOMING_EMAIL"}, (contact_id, 198))
    found = hubspot.read("contacts", contact_id, "hs_sales_email_last_replied")
    assert found["hs_sales_email_last_replied"] == PAST


def test_a_task_needs_a_due_date(hubspot: HubSpotDemo) -> None:
    response = hubspot.call("POST", "/crm/v3/objects/tasks", {"properties": {"hs_task_subject": "Ask"}})
    assert response.status_code == 400
    assert response.json()["context"] == {"properties": ["hs_timestamp"]}


def test_the_wrong_direction_of_an_association_is_refused_and_nothing_is_stored(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    body = {
        "properties": {"hs_timestamp": AHEAD},
        "associations": [
            {"to": {"id": deal_id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 215}]}
        ],
    }
    assert hubspot.call("POST", "/crm/v3/objects/tasks", body).status_code == 400
    assert hubspot.ok("GET", "/crm/v3/objects/tasks")["results"] == []


def test_required_properties_hold_only_for_2026_09(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    hubspot.portal.require_properties("deals", ["hs_next_step"], stage="presentationscheduled")
    body = {"properties": {"dealstage": "presentationscheduled"}}
    refused = hubspot.call("PATCH", f"/crm/objects/2026-09/deals/{deal_id}", body)
    assert refused.status_code == 400
    assert refused.json()["category"] == "VALIDATION_ERROR"
    assert refused.json()["context"] == {"properties": ["hs_next_step"]}
    assert hubspot.call("PATCH", f"/crm/objects/2026-03/deals/{deal_id}", body).status_code == 200


def test_a_malformed_body_is_400(hubspot: HubSpotDemo) -> None:
    for body in (["x"], {"properties": "x"}, {"properties": {"amount": None}}, {"properties": {"amount": ["1"]}}):
        response = hubspot.call("POST", "/crm/v3/objects/deals", body)
        assert response.status_code == 400
        assert response.json()["category"] == "VALIDATION_ERROR"


def test_an_owner_change_is_dated(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.create("deals", {"dealname": "New"})
    hubspot.patch("deals", deal_id, {"hubspot_owner_id": OWNER})
    found = hubspot.read("deals", deal_id, "hubspot_owner_assigneddate")
    assert found["hubspot_owner_assigneddate"] == "2026-11-20T09:00:00.000Z"
