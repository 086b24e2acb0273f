"""Search: operators, order, pages, the 10,000 cap and the lagging index."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .hubspot_demo import DEALS, OWNER, START, HubSpotDemo, start


@pytest.fixture
def hubspot(serve: Serve, tmp_path: Path) -> HubSpotDemo:
    return start(serve, tmp_path)


def search(hubspot: HubSpotDemo, *filters: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"filterGroups": [{"filters": list(filters)}], "limit": 200, **more}
    return dict(hubspot.ok("POST", "/crm/v3/objects/deals/search", body))


def where(name: str, operator: str, value: object = None, **more: object) -> dict[str, object]:
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}


@pytest.mark.parametrize(
    ("one", "total"),
    [
        (where("dealstage", "EQ", "qualifiedtobuy"), 115),
        (where("dealstage", "NEQ", "qualifiedtobuy"), 115),
        (where("dealstage", "IN", values=["qualifiedtobuy", "presentationscheduled"]), DEALS),
        (where("dealstage", "NOT_IN", values=["qualifiedtobuy"]), 115),
        (where("amount", "LT", "1000"), 10),
        (where("amount", "LTE", 1000), 11),
        (where("amount", "GT", "900"), DEALS - 10),
        (where("amount", "BETWEEN", "900", highValue="1000"), 2),
        (where("closedate", "HAS_PROPERTY"), 207),
        (where("closedate", "NOT_HAS_PROPERTY"), 23),
        (where("closedate", "GTE", "1798675200000"), 207),
        (where("closedate", "GT", "2026-12-31"), 0),
        (where("dealname", "CONTAINS_TOKEN", "number"), DEALS),
        (where("dealname", "CONTAINS_TOKEN", "22*"), 11),
        (where("dealname", "NOT_CONTAINS_TOKEN", "7"), DEALS - 1),
        (where("dealname", "EQ", "deal NUMBER 7"), 1),
        (where("dealname", "IN", values=["deal number 7"]), 1),
        (where("dealname", "IN", values=["Deal number 7"]), 0),
        (where("hubspot_owner_id", "EQ", OWNER), DEALS),
        (where("hs_is_closed", "EQ", "false"), DEALS),
        (where("hs_lastmodifieddate", "GTE", str(int((START - timedelta(days=5)).timestamp() * 1000))), 5),
        (where("hs_lastmodifieddate", "GTE", "2026-11-15T09:00:00Z"), 5),
    ],
)
def test_operators(hubspot: HubSpotDemo, one: dict[str, Any], total: int) -> None:
    assert search(hubspot, one)["total"] == total


def test_groups_are_alternatives_and_filters_are_joined(hubspot: HubSpotDemo) -> None:
    stage = where("dealstage", "EQ", "qualifiedtobuy")
    groups = [{"filters": [stage, where("amount", "LT", "500")]}, {"filters": [where("amount", "EQ", "700")]}]
    found = hubspot.ok("POST", "/crm/v3/objects/deals/search", {"filterGroups": groups, "properties": ["amount"]})
    assert sorted(int(deal["properties"]["amount"]) for deal in found["results"]) == [0, 200, 400, 700]


def test_query_looks_at_the_searchable_texts(hubspot: HubSpotDemo) -> None:
    found = hubspot.ok("POST", "/crm/v3/objects/deals/search", {"query": "deal 229"})
    assert [deal["properties"]["dealname"] for deal in found["results"]] == ["Deal number 229"]


@pytest.mark.parametrize("sort", [{"propertyName": "amount", "direction": "DESCENDING"}, "-amount"])
def test_one_sort(hubspot: HubSpotDemo, sort: object) -> None:
    found = search(hubspot, where("amount", "LT", "300"), sorts=[sort], properties=["amount"])
    assert [deal["properties"]["amount"] for deal in found["results"]] == ["200", "100", "0"]


def test_all_pages_are_the_whole(hubspot: HubSpotDemo) -> None:
    seen: list[str] = []
    after: str | None = None
    while True:
        more = {"after": after} if after else {}
        page = search(hubspot, where("hs_object_id", "GT", "0"), limit=100, **more)
        seen.extend(deal["id"] for deal in page["results"])
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
    assert len(seen) == len(set(seen)) == page["total"] == DEALS


def test_deals_of_a_contact(hubspot: HubSpotDemo) -> None:
    contact_id = int(hubspot.create("contacts", {"email": "a@b.example"}))
    mine = hubspot.deal_ids(3)
    hubspot.portal.associate_many("deals", "contacts", [(int(deal_id), contact_id) for deal_id in mine])
    found = search(hubspot, where("associations.contact", "EQ", str(contact_id)))
    assert [deal["id"] for deal in found["results"]] == mine
    counted = search(hubspot, where("num_associated_contacts", "EQ", "1"), properties=["num_associated_contacts"])
    assert counted["total"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 200, "after": "9900"},
        {"sorts": ["amount", "dealname"]},
        {"query": "x" * 3001},
        {"filterGroups": [{"filters": [where("nothing", "EQ", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "LIKE", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "EQ", "much")]}]},
        {"filterGroups": [{"filters": [where("amount", "EQ", "1")] * 7}]},
        {"filterGroups": [{"filters": [where("amount", "EQ", "1")]}] * 6},
    ],
)
def test_what_search_refuses(hubspot: HubSpotDemo, body: dict[str, Any]) -> None:
    response = hubspot.call("POST", "/crm/v3/objects/deals/search", body)
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"


def test_the_index_lags_behind_writes(hubspot: HubSpotDemo) -> None:
    hubspot.portal.faults.search_lag_seconds = 5
    changed, gone = hubspot.deal_ids(3)[::2]
    hubspot.patch("deals", changed, {"dealstage": "contractsent"})
    hubspot.patch("deals", changed, {"dealstage": "closedlost"})
    hubspot.call("DELETE", f"/crm/v3/objects/deals/{gone}")
    hubspot.create("deals", {"dealname": "New"})
    assert hubspot.read("deals", changed, "dealstage")["dealstage"] == "closedlost"
    assert search(hubspot, where("dealstage", "EQ", "qualifiedtobuy"))["total"] == 115
    assert search(hubspot, where("hs_object_id", "GT", "0"))["total"] == DEALS
    hubspot.clock.advance(seconds=6)
    assert search(hubspot, where("dealstage", "EQ", "qualifiedtobuy"))["total"] == 113
    assert search(hubspot, where("dealstage", "EQ", "closedlost"))["total"] == 1
    assert search(hubspot, where("hs_object_id", "GT", "0"))["total"] == DEALS


def test_search_shows_no_archived_records(hubspot: HubSpotDemo) -> None:
    hubspot.call("DELETE", f"/crm/v3/objects/deals/{hubspot.deal_ids(1)[0]}")
    assert search(hubspot, where("hs_object_id", "GT", "0"))["total"] == DEALS - 1
