"""Owners, pipelines, properties, tokens, scopes, limits and faults."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from stagesync.sandbox.hubspot.limits import Limits

from .conftest import Serve
from .hubspot_demo import GONE, OWNER, USER, HubSpotDemo, start


@pytest.fixture
def hubspot(serve: Serve, tmp_path: Path) -> HubSpotDemo:
    return start(serve, tmp_path)


@pytest.mark.parametrize("path", ["/crm/v3/owners", "/crm/v3/owners/", "/crm/owners/2026-03", "/crm/owners/2026-09"])
def test_active_owners(hubspot: HubSpotDemo, path: str) -> None:
    (owner,) = hubspot.ok("GET", path)["results"]
    assert (owner["id"], owner["userId"], owner["type"]) == (OWNER, USER, "PERSON")


def test_deactivated_owners_are_asked_for(hubspot: HubSpotDemo) -> None:
    (owner,) = hubspot.ok("GET", "/crm/v3/owners", archived="true")["results"]
    assert (owner["id"], owner["userId"], owner["userIdIncludingInactive"]) == (GONE, None, 9586505)
    assert hubspot.call("GET", f"/crm/v3/owners/{GONE}").status_code == 404
    assert hubspot.ok("GET", f"/crm/v3/owners/{GONE}", archived="true")["archived"] is True


def test_an_owner_by_user_id_or_email(hubspot: HubSpotDemo) -> None:
    assert hubspot.ok("GET", f"/crm/v3/owners/{USER}", idProperty="userId")["id"] == OWNER
    assert len(hubspot.ok("GET", "/crm/v3/owners", email="REP@rival.example")["results"]) == 1
    assert hubspot.ok("GET", "/crm/v3/owners", email="no@rival.example")["results"] == []


def test_pipelines_say_everything_in_text(hubspot: HubSpotDemo) -> None:
    sales, renewals = hubspot.ok("GET", "/crm/v3/pipelines/deals")["results"]
    ends = {stage["id"]: stage["metadata"] for stage in sales["stages"] if stage["metadata"]["isClosed"] == "true"}
    assert ends == {
        "closedwon": {"isClosed": "true", "probability": "1.0"},
        "closedlost": {"isClosed": "true", "probability": "0.0"},
    }
    assert [stage["displayOrder"] for stage in sales["stages"]] == list(range(7))
    assert hubspot.ok("GET", f"/crm/pipelines/2026-09/deals/{renewals['id']}") == renewals
    path = f"/crm/v3/pipelines/deals/{renewals['id']}/stages"
    assert hubspot.ok("GET", path)["results"] == renewals["stages"]
    assert hubspot.ok("GET", f"{path}/139663275")["label"] == "Renewed"


@pytest.mark.parametrize(
    ("name", "first"), [("leads", "new-stage-id"), ("0-136", "new-stage-id"), ("contacts", "subscriber")]
)
def test_other_pipelines(hubspot: HubSpotDemo, name: str, first: str) -> None:
    (pipeline,) = hubspot.ok("GET", f"/crm/v3/pipelines/{name}")["results"]
    assert pipeline["stages"][0]["id"] == first


def test_properties_tell_what_may_be_written(hubspot: HubSpotDemo) -> None:
    found = {each["name"]: each for each in hubspot.ok("GET", "/crm/v3/properties/deals")["results"]}
    assert found["hs_is_closed"]["modificationMetadata"]["readOnlyValue"] is True
    assert found["amount"]["modificationMetadata"]["readOnlyValue"] is False
    assert found["dealstage"]["externalOptions"] is True
    stages = hubspot.ok("GET", "/crm/properties/2026-03/contacts/lifecyclestage")["options"]
    assert [stage["value"] for stage in stages][:2] == ["subscriber", "lead"]


def test_a_property_can_be_made_once(hubspot: HubSpotDemo) -> None:
    body = {
        "name": "agent_key",
        "label": "Agent key",
        "groupName": "taskinformation",
        "type": "string",
        "fieldType": "text",
        "hasUniqueValue": True,
    }
    made = hubspot.call("POST", "/crm/v3/properties/tasks", body)
    assert made.status_code == 201
    assert made.json()["hasUniqueValue"] is True
    assert hubspot.call("POST", "/crm/v3/properties/tasks", body).status_code == 409
    assert hubspot.ok("GET", "/crm/v3/properties/tasks/agent_key")["type"] == "string"
    assert hubspot.call("POST", "/crm/v3/properties/tasks", {"name": "x"}).status_code == 400
    assert hubspot.call("GET", "/crm/v3/properties/tasks/nothing").status_code == 404


def test_the_account_and_the_token(hubspot: HubSpotDemo) -> None:
    details = hubspot.ok("GET", "/account-info/v3/details")
    assert (details["portalId"], details["timeZone"]) == (hubspot.portal.portal_id, "Europe/Berlin")
    info = hubspot.ok("POST", "/oauth/v2/private-apps/get/access-token-info", {"tokenKey": hubspot.token})
    assert info["hubId"] == hubspot.portal.portal_id
    assert "crm.objects.deals.write" in info["scopes"]
    connected = [each["id"] for each in hubspot.ok("GET", "/calling/v1/dispositions") if each["label"] == "Connected"]
    assert connected == ["f240bbac-87c9-4f6e-bf70-924b57d47db7"]


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/v3/token", "/oauth/2026-09/token"])
def test_a_refreshed_token_lives_for_thirty_minutes(hubspot: HubSpotDemo, path: str) -> None:
    form = {
        "grant_type": "refresh_token",
        "client_id": "stagesync-demo-client",
        "client_secret": "stagesync-demo-secret",
        "refresh_token": "stagesync-demo-refresh",
    }
    answer = requests.post(hubspot.url + path, data=form, timeout=10).json()
    assert (answer["expires_in"], answer["token_type"]) == (1800, "bearer")
    hubspot.token = answer["access_token"]
    hubspot.ok("GET", "/crm/v3/objects/deals")
    hubspot.clock.advance(minutes=30, seconds=7)
    refused = hubspot.call("GET", "/crm/v3/objects/deals")
    assert (refused.status_code, refused.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert "expired 7 second(s) ago" in refused.json()["message"]
    wrong = requests.post(hubspot.url + path, data={**form, "refresh_token": "x"}, timeout=10)
    assert (wrong.status_code, wrong.json()["status"]) == (400, "BAD_REFRESH_TOKEN")


def test_an_unknown_or_revoked_token_is_401(hubspot: HubSpotDemo) -> None:
    hubspot.portal.faults.token_revoked = True
    assert hubspot.call("GET", "/crm/v3/objects/deals").json()["category"] == "INVALID_AUTHENTICATION"
    hubspot.portal.faults.token_revoked = False
    hubspot.token = "another"
    assert hubspot.call("GET", "/crm/v3/objects/deals").status_code == 401
    assert requests.get(hubspot.url + "/crm/v3/objects/deals", timeout=10).status_code == 401


def test_a_read_only_token_reads_and_does_not_write(hubspot: HubSpotDemo) -> None:
    hubspot.portal.faults.read_only_token = True
    deal_id = hubspot.deal_ids(1)[0]
    hubspot.ok("POST", "/crm/v3/objects/deals/search", {})
    refused = hubspot.patch("deals", deal_id, {"amount": "1"})
    assert (refused.status_code, refused.json()["category"]) == (403, "MISSING_SCOPES")
    assert refused.json()["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.deals.write"]}


def test_a_portal_without_leads(hubspot: HubSpotDemo) -> None:
    hubspot.portal.faults.leads_absent = True
    for path in ("/crm/v3/objects/leads", "/crm/v3/pipelines/leads", "/crm/v4/associations/tasks/leads/labels"):
        assert hubspot.call("GET", path).status_code == 403


def test_outages_pass(hubspot: HubSpotDemo) -> None:
    hubspot.portal.faults.fail_next(1, 502)
    hubspot.portal.faults.fail_next(1, 477, retry_after=86400)
    hubspot.portal.faults.fail_next(1, 423)
    first = hubspot.call("GET", "/crm/v3/objects/deals")
    assert (first.status_code, first.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    second = hubspot.call("GET", "/crm/v3/objects/deals")
    assert (second.status_code, second.headers["Retry-After"]) == (477, "86400")
    assert hubspot.call("GET", "/crm/v3/objects/deals").status_code == 423
    assert hubspot.call("GET", "/crm/v3/objects/deals").status_code == 200


def test_a_connection_cut_after_the_task_was_stored(hubspot: HubSpotDemo) -> None:
    hubspot.portal.faults.drop_after_task_create = 1
    body = {"properties": {"hs_timestamp": "2026-11-25T09:00:00Z", "hs_task_subject": "Ask"}}
    with pytest.raises(requests.ConnectionError):
        hubspot.call("POST", "/crm/v3/objects/tasks", body)
    assert len(hubspot.ok("GET", "/crm/v3/objects/tasks")["results"]) == 1
    assert hubspot.call("POST", "/crm/v3/objects/tasks", body).status_code == 201


def test_the_ten_second_window(serve: Serve, tmp_path: Path) -> None:
    hubspot = start(serve, tmp_path, Limits(ten_secondly=3))
    remaining = [hubspot.call("GET", "/crm/v3/owners").headers["X-HubSpot-RateLimit-Remaining"] for _ in range(3)]
    assert remaining == ["2", "1", "0"]
    refused = hubspot.call("GET", "/crm/v3/owners")
    assert refused.status_code == 429
    assert refused.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "category" not in refused.json()
    hubspot.timer.seconds += 10.1
    assert hubspot.call("GET", "/crm/v3/owners").status_code == 200


def test_searches_have_a_limit_of_their_own_and_no_headers(serve: Serve, tmp_path: Path) -> None:
    hubspot = start(serve, tmp_path, Limits(ten_secondly=1, search_secondly=2))
    answers = [hubspot.call("POST", "/crm/v3/objects/deals/search", {}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["policyName"] == "SECONDLY"
    assert not [name for answer in answers for name in answer.headers if "ratelimit" in name.lower()]
    hubspot.timer.seconds += 1.1
    assert hubspot.call("POST", "/crm/v3/objects/deals/search", {}).status_code == 200


def test_the_day_ends_at_the_portals_midnight(serve: Serve, tmp_path: Path) -> None:
    hubspot = start(serve, tmp_path, Limits(daily=2))
    usage = hubspot.ok("GET", "/account-info/v3/api-usage/daily/private-apps")["results"][0]
    assert (usage["usageLimit"], usage["currentUsage"]) == (2, 1)
    assert usage["resetsAt"] == "2026-11-20T23:00:00.000Z"
    hubspot.ok("GET", "/crm/v3/owners")
    refused = hubspot.call("GET", "/crm/v3/owners")
    assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
    hubspot.clock.advance(hours=14)
    assert hubspot.call("GET", "/crm/v3/owners").status_code == 200


def test_calls_are_counted_by_template(hubspot: HubSpotDemo) -> None:
    hubspot.deal_ids(1)
    hubspot.call("POST", "/crm/objects/2026-09/deals/search", {})
    assert hubspot.portal.calls["GET /crm/v3/objects/{object_type}"] == 1
    assert hubspot.portal.calls["POST /crm/objects/2026-09/{object_type}/search"] == 1
