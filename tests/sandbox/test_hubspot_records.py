"""Single records: lists, strings and nulls, history, archive, merge."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from stagesync.sandbox.hubspot import writing
from stagesync.sandbox.hubspot.records import Source

from .conftest import Serve
from .hubspot_demo import DEALS, HubSpotDemo, start


@pytest.fixture
def hubspot(serve: Serve, tmp_path: Path) -> HubSpotDemo:
    return start(serve, tmp_path)


def test_every_record_is_listed_once_in_id_order(hubspot: HubSpotDemo) -> None:
    ids: list[int] = []
    query = {"limit": "100"}
    while True:
        page = hubspot.ok("GET", "/crm/v3/objects/deals", **query)
        ids.extend(int(record["id"]) for record in page["results"])
        if "paging" not in page:
            break
        assert page["paging"]["next"]["link"].startswith(hubspot.url)
        query["after"] = page["paging"]["next"]["after"]
    assert len(ids) == DEALS
    assert all(before < after for before, after in pairwise(ids))


@pytest.mark.parametrize(("query", "status"), [({}, 10), ({"limit": "3"}, 3)])
def test_page_size(hubspot: HubSpotDemo, query: dict[str, str], status: int) -> None:
    assert len(hubspot.ok("GET", "/crm/v3/objects/deals", **query)["results"]) == status


@pytest.mark.parametrize(
    "query", [{"limit": "101"}, {"limit": "0"}, {"limit": "51", "propertiesWithHistory": "dealstage"}, {"after": "x"}]
)
def test_page_size_is_bounded(hubspot: HubSpotDemo, query: dict[str, str]) -> None:
    response = hubspot.call("GET", "/crm/v3/objects/deals", **query)
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"


def test_unset_is_null_unknown_is_left_out_and_all_is_text(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    values = hubspot.read("deals", deal_id, "closedate", "amount", "no_such_property", "hs_is_closed")
    assert values["closedate"] is None
    assert "no_such_property" not in values
    assert (values["amount"], values["hs_is_closed"], values["hs_object_id"]) == ("0", "false", deal_id)


@pytest.mark.parametrize("name", ["deals", "deal", "0-3"])
def test_objects_answer_to_each_of_their_names(hubspot: HubSpotDemo, name: str) -> None:
    assert hubspot.ok("GET", f"/crm/v3/objects/{name}")["results"]


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_dated_paths_answer_the_same(hubspot: HubSpotDemo, version: str) -> None:
    assert hubspot.ok("GET", f"/crm/objects/{version}/deals") | {"paging": 0} == hubspot.ok(
        "GET", "/crm/v3/objects/deals"
    ) | {"paging": 0}


def test_history_has_the_seeded_value_and_each_writer(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    hubspot.clock.advance(hours=1)
    hubspot.patch("deals", deal_id, {"dealstage": "contractsent"})
    found = hubspot.ok("GET", f"/crm/v3/objects/deals/{deal_id}", propertiesWithHistory="dealstage")
    newest, seeded = found["propertiesWithHistory"]["dealstage"]
    assert (newest["value"], newest["sourceType"], newest["timestamp"]) == (
        "contractsent",
        "INTEGRATION",
        "2026-11-20T10:00:00.000Z",
    )
    assert (seeded["value"], seeded["sourceType"]) == ("qualifiedtobuy", "IMPORT")


def test_history_is_as_deep_as_hubspot_keeps_it(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    for number in range(25):
        hubspot.clock.advance(minutes=1)
        hubspot.patch("deals", deal_id, {"amount": str(number)})
    found = hubspot.ok("GET", f"/crm/v3/objects/deals/{deal_id}", propertiesWithHistory="amount")
    values = [entry["value"] for entry in found["propertiesWithHistory"]["amount"]]
    assert values == [str(number) for number in range(24, 4, -1)]


def test_added_history_is_told(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    moment = hubspot.clock()
    hubspot.portal.add_history(
        [("deals", int(deal_id), "dealstage", "qualifiedtobuy", moment, "AUTOMATION_PLATFORM", "workflow:7", None)]
    )
    found = hubspot.ok("GET", f"/crm/v3/objects/deals/{deal_id}", propertiesWithHistory="dealstage")
    assert found["propertiesWithHistory"]["dealstage"][0]["sourceId"] == "workflow:7"


def test_a_write_moves_the_modified_date_and_a_repeated_one_does_not(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    hubspot.clock.advance(hours=1)
    first = hubspot.patch("deals", deal_id, {"amount": "7"}).json()
    assert first["updatedAt"] == first["properties"]["hs_lastmodifieddate"] == "2026-11-20T10:00:00.000Z"
    hubspot.clock.advance(hours=1)
    assert hubspot.patch("deals", deal_id, {"amount": "7"}).json()["updatedAt"] == first["updatedAt"]


def test_contacts_are_dated_by_lastmodifieddate(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "Buyer@Firm.example"})
    values = hubspot.read("contacts", contact_id, "hs_lastmodifieddate", "email")
    assert values["hs_lastmodifieddate"] is None
    assert values["lastmodifieddate"] == "2026-11-20T09:00:00.000Z"
    assert values["email"] == "buyer@firm.example"


def test_a_taken_email_is_a_conflict(hubspot: HubSpotDemo) -> None:
    first = hubspot.create("contacts", {"email": "buyer@firm.example"})
    response = hubspot.call("POST", "/crm/v3/objects/contacts", {"properties": {"email": "BUYER@firm.example"}})
    assert response.status_code == 409
    assert response.json()["message"] == f"Contact already exists. Existing ID: {first}"


def test_a_contact_can_be_found_by_email(hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "buyer@firm.example"})
    found = hubspot.ok("GET", "/crm/v3/objects/contacts/buyer@firm.example", idProperty="email")
    assert found["id"] == contact_id


def test_archived_records_are_apart(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    for _ in range(2):
        assert hubspot.call("DELETE", f"/crm/v3/objects/deals/{deal_id}").status_code == 204
    assert hubspot.call("GET", f"/crm/v3/objects/deals/{deal_id}").status_code == 404
    assert hubspot.patch("deals", deal_id, {"amount": "1"}).status_code == 404
    assert deal_id not in hubspot.deal_ids(100)
    (archived,) = hubspot.ok("GET", "/crm/v3/objects/deals", archived="true")["results"]
    assert (archived["id"], archived["archivedAt"]) == (deal_id, "2026-11-20T09:00:00.000Z")


def test_a_merge_makes_a_new_record_that_answers_for_both(hubspot: HubSpotDemo) -> None:
    winner, loser = hubspot.deal_ids(2)
    contact_id = int(hubspot.create("contacts", {"firstname": "Ada"}))
    hubspot.portal.associate_many("deals", "contacts", [(int(loser), contact_id)])
    merged = hubspot.ok("POST", "/crm/v3/objects/deals/merge", {"primaryObjectId": winner, "objectIdToMerge": loser})
    assert merged["id"] not in {winner, loser}
    for old in (winner, loser):
        found = hubspot.ok("GET", f"/crm/v3/objects/deals/{old}", properties="hs_merged_object_ids,amount")
        assert found["id"] == merged["id"]
        assert found["properties"]["hs_merged_object_ids"] == f"{winner};{loser}"
        assert found["properties"]["amount"] == "0"
    found = hubspot.ok("GET", f"/crm/v3/objects/deals/{merged['id']}", associations="contacts")
    assert found["associations"]["contacts"]["results"][0]["id"] == str(contact_id)
    assert hubspot.ok("GET", "/crm/v3/objects/deals", archived="true")["results"] == []


def test_nothing_there_is_404_with_a_correlation_id(hubspot: HubSpotDemo) -> None:
    for path in ("/crm/v3/objects/deals/1", "/crm/v3/objects/deals/abc", "/crm/v3/nonsense"):
        response = hubspot.call("GET", path)
        assert response.status_code == 404
        assert response.json()["correlationId"] == response.headers["X-HubSpot-Correlation-Id"]


def test_somebody_else_writes(hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    rep = Source(type="CRM_UI", id="userId:9586504", user_id=9586504)
    writing.edit(hubspot.portal, "deals", int(deal_id), {"dealstage": "contractsent"}, rep)
    found = hubspot.ok("GET", f"/crm/v3/objects/deals/{deal_id}", propertiesWithHistory="dealstage")
    newest = found["propertiesWithHistory"]["dealstage"][0]
    assert (newest["sourceType"], newest["updatedByUserId"]) == ("CRM_UI", 9586504)


def test_an_address_with_too_many_properties_is_414(hubspot: HubSpotDemo) -> None:
    names = ",".join(f"property_number_{number}" for number in range(1000))
    assert hubspot.call("GET", "/crm/v3/objects/deals", properties=names).status_code == 414


def test_a_portal_reopened_is_the_same(hubspot: HubSpotDemo, tmp_path: Path) -> None:
    again = type(hubspot.portal)(tmp_path / "hubspot.db", clock=hubspot.clock)
    assert again.metadata.pipeline("deals", "139663272") == hubspot.portal.metadata.pipeline("deals", "139663272")
    assert again.metadata.properties("tasks") == hubspot.portal.metadata.properties("tasks")
    assert again.new_id("deals") > max(int(deal_id) for deal_id in hubspot.deal_ids(100))


def test_answers_are_compressed_when_the_client_can_read_it(hubspot: HubSpotDemo) -> None:
    response = hubspot.call("GET", "/crm/v3/objects/deals", limit="100")
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(response.json()["results"]) == 100
