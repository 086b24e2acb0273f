"""Batches: partial answers, whole refusals, upserts, associations."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Serve
from .hubspot_demo import HubSpotDemo, start


@pytest.fixture
def hubspot(serve: Serve, tmp_path: Path) -> HubSpotDemo:
    return start(serve, tmp_path)


def test_reading_some_that_are_gone_is_207(hubspot: HubSpotDemo) -> None:
    ids = hubspot.deal_ids(20)
    body = {"inputs": [{"id": each} for each in [*ids, "999"]], "properties": ["dealname"]}
    response = hubspot.call("POST", "/crm/v3/objects/deals/batch/read", body)
    assert response.status_code == 207
    found = response.json()
    read = [record["id"] for record in found["results"]]
    assert sorted(read) == sorted(ids)
    assert read != ids, "HubSpot does not answer in the order asked"
    assert found["numErrors"] == 1
    assert found["errors"][0]["context"] == {"ids": ["999"]}
    assert found["errors"][0]["category"] == "OBJECT_NOT_FOUND"


def test_batch_sizes_are_bounded(hubspot: HubSpotDemo) -> None:
    ids = [{"id": str(number)} for number in range(101)]
    assert hubspot.call("POST", "/crm/v3/objects/deals/batch/read", {"inputs": ids}).status_code == 400
    history = {"inputs": ids[:51], "propertiesWithHistory": ["dealstage"]}
    assert hubspot.call("POST", "/crm/v3/objects/deals/batch/read", history).status_code == 400


def test_one_bad_value_fails_the_whole_update(hubspot: HubSpotDemo) -> None:
    good, bad = hubspot.deal_ids(2)
    body = {
        "inputs": [
            {"id": good, "properties": {"amount": "1"}},
            {"id": bad, "properties": {"dealstage": "nowhere"}},
        ]
    }
    response = hubspot.call("POST", "/crm/v3/objects/deals/batch/update", body)
    assert response.status_code == 400
    assert hubspot.read("deals", good, "amount")["amount"] == "0"


def test_an_update_of_one_that_is_gone_is_207_and_the_rest_is_done(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    body = {
        "inputs": [
            {"id": deal_id, "properties": {"amount": "5"}},
            {"id": "999", "objectWriteTraceId": "row-2", "properties": {"amount": "5"}},
        ]
    }
    response = hubspot.call("POST", "/crm/v3/objects/deals/batch/update", body)
    assert response.status_code == 207
    assert response.json()["errors"][0]["context"] == {"ids": ["999"], "objectWriteTraceId": ["row-2"]}
    assert hubspot.read("deals", deal_id, "amount")["amount"] == "5"


def test_an_id_twice_in_a_batch_is_refused(hubspot: HubSpotDemo) -> None:
    one = {"id": hubspot.deal_ids(1)[0], "properties": {"amount": "5"}}
    assert hubspot.call("POST", "/crm/v3/objects/deals/batch/update", {"inputs": [one, one]}).status_code == 400


def test_creates_are_all_or_none_unless_traced(hubspot: HubSpotDemo) -> None:
    inputs = [{"properties": {"dealname": "good"}}, {"properties": {"amount": "much"}}]
    assert hubspot.call("POST", "/crm/v3/objects/deals/batch/create", {"inputs": inputs}).status_code == 400
    traced = [{**each, "objectWriteTraceId": f"row-{number}"} for number, each in enumerate(inputs)]
    response = hubspot.call("POST", "/crm/v3/objects/deals/batch/create", {"inputs": traced})
    assert response.status_code == 207
    assert len(response.json()["results"]) == 1
    assert response.json()["errors"][0]["context"] == {"objectWriteTraceId": ["row-1"]}


def test_an_upsert_makes_a_task_once(hubspot: HubSpotDemo) -> None:
    path = "/crm/v3/objects/tasks/batch/upsert"
    one = {
        "idProperty": "stagesync_key",
        "id": "3f2a",
        "properties": {"hs_timestamp": "2026-11-25T09:00:00Z", "hs_task_subject": "Ask"},
    }
    first = hubspot.ok("POST", path, {"inputs": [one]})["results"][0]
    second = hubspot.ok("POST", path, {"inputs": [one]})["results"][0]
    assert (first["new"], second["new"]) == (True, False)
    assert first["id"] == second["id"]
    found = hubspot.ok("GET", "/crm/v3/objects/tasks/3f2a", idProperty="stagesync_key")
    assert found["id"] == first["id"]


def test_an_upsert_by_a_property_that_is_not_unique_is_refused(hubspot: HubSpotDemo) -> None:
    one = {"idProperty": "hs_task_subject", "id": "Ask", "properties": {}}
    response = hubspot.call("POST", "/crm/v3/objects/tasks/batch/upsert", {"inputs": [one]})
    assert response.status_code == 400


def test_batch_archive(hubspot: HubSpotDemo) -> None:
    ids = hubspot.deal_ids(3)
    body = {"inputs": [{"id": each} for each in [*ids, "999"]]}
    assert hubspot.call("POST", "/crm/v3/objects/deals/batch/archive", body).status_code == 204
    assert not set(ids) & set(hubspot.deal_ids(10))


@pytest.mark.parametrize("path", ["/crm/v4/associations", "/crm/associations/2026-09"])
def test_associations_in_batches(hubspot: HubSpotDemo, path: str) -> None:
    deal_id, lonely = hubspot.deal_ids(2)
    contact_id = hubspot.create("contacts", {"email": "a@b.example"})
    inputs = [
        {
            "from": {"id": deal_id},
            "to": {"id": contact_id},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
        }
    ]
    created = hubspot.call("POST", f"{path}/deals/contacts/batch/create", {"inputs": inputs})
    assert created.status_code == 201
    read = hubspot.call("POST", f"{path}/deals/contacts/batch/read", {"inputs": [{"id": deal_id}, {"id": lonely}]})
    assert read.status_code == 207
    (found,) = read.json()["results"]
    assert found["from"]["id"] == deal_id
    assert str(found["to"][0]["toObjectId"]) == contact_id
    assert isinstance(found["to"][0]["toObjectId"], str) == ("2026-09" in path)
    assert found["to"][0]["associationTypes"] == [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
    assert read.json()["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    pair = {"inputs": [{"from": {"id": deal_id}, "to": [{"id": contact_id}]}]}
    assert hubspot.call("POST", f"{path}/deals/contacts/batch/archive", pair).status_code == 204
    again = hubspot.call("POST", f"{path}/contacts/deals/batch/read", {"inputs": [{"id": contact_id}]})
    assert again.json()["results"] == []


def test_associations_are_paged_for_each_record(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    contacts = [int(hubspot.create("contacts", {"email": f"{number}@b.example"})) for number in range(5)]
    hubspot.portal.associate_many("deals", "contacts", [(int(deal_id), each) for each in contacts])
    hubspot.portal.association_page_size = 2
    found: list[str] = []
    one = {"id": deal_id}
    while True:
        body = hubspot.ok("POST", "/crm/v4/associations/deals/contacts/batch/read", {"inputs": [one]})
        (result,) = body["results"]
        found.extend(str(to["toObjectId"]) for to in result["to"])
        if "paging" not in result:
            break
        one = {"id": deal_id, "after": result["paging"]["next"]["after"]}
    assert found == [str(each) for each in contacts]


def test_the_default_association_can_be_repeated(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example"})
    lead_id = hubspot.create("leads", {"hs_lead_name": "Ada"}, (contact_id, 578))
    task_id = hubspot.create("tasks", {"hs_timestamp": "2026-11-25T09:00:00Z"})
    for version in ("v4/objects", "objects/2026-09"):
        path = f"/crm/{version}/tasks/{task_id}/associations/default/leads/{lead_id}"
        found = hubspot.ok("PUT", path)
        assert {each["associationSpec"]["associationTypeId"] for each in found["results"]} == {646, 647}
    assert hubspot.read("leads", lead_id, "num_notes")["num_notes"] == "1"
    labels = hubspot.ok("GET", "/crm/v4/associations/tasks/leads/labels")["results"]
    assert [label["typeId"] for label in labels] == [647]


def test_the_first_company_is_the_primary_one(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    first, second = (hubspot.create("companies", {"name": name}) for name in ("First", "Second"))
    for company_id in (first, second):
        hubspot.ok("PUT", f"/crm/v4/objects/deals/{deal_id}/associations/default/companies/{company_id}")
    found = hubspot.ok("GET", f"/crm/v4/objects/deals/{deal_id}/associations/companies")["results"]
    types = {str(each["toObjectId"]): [kind["typeId"] for kind in each["associationTypes"]] for each in found}
    assert types == {first: [5, 341], second: [341]}
    values = hubspot.read("companies", first, "num_associated_deals")
    assert values["num_associated_deals"] == "1"


def test_the_list_of_one_record_is_gone_from_2026_09(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    status = {
        version: hubspot.call("GET", f"/crm/objects/{version}/deals/{deal_id}/associations/contacts").status_code
        for version in ("2026-03", "2026-09")
    }
    assert status == {"2026-03": 200, "2026-09": 404}


def test_archived_records_are_not_associated(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example"})
    deal_id = hubspot.create("deals", {"dealname": "New"}, (contact_id, 3))
    hubspot.call("DELETE", f"/crm/v3/objects/contacts/{contact_id}")
    found = hubspot.call("POST", "/crm/v4/associations/deals/contacts/batch/read", {"inputs": [{"id": deal_id}]})
    assert found.json()["results"] == []
