"""HubSpot's own Python and Node clients against the embedded portal."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
from hubspot.crm.contacts import BatchReadInputSimplePublicObjectId
from hubspot.crm.deals import PublicObjectSearchRequest, SimplePublicObjectInput
from hubspot.crm.deals.exceptions import ApiException
from hubspot.crm.objects.tasks import SimplePublicObjectInputForCreate

from .conftest import Serve
from .hubspot_demo import DEALS, OWNER, TOKEN, HubSpotDemo, start

NODE = Path(__file__).parent / "hubspot_node"


@pytest.fixture
def hubspot(serve: Serve, tmp_path: Path) -> HubSpotDemo:
    return start(serve, tmp_path)


@pytest.fixture
def client(hubspot: HubSpotDemo) -> Any:
    return HubSpot(access_token=TOKEN, host=hubspot.url, base_url=hubspot.url)


def test_pages(client: Any) -> None:
    deals = client.crm.deals.get_all(properties=["dealname"], properties_with_history=["dealstage"])
    assert len({deal.id for deal in deals}) == DEALS
    assert deals[0].properties_with_history["dealstage"][0].value == "qualifiedtobuy"


def test_search_update_and_refusal(client: Any) -> None:
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "amount", "operator": "LT", "value": "300"}]}],
        sorts=[{"propertyName": "hs_object_id", "direction": "DESCENDING"}],
        properties=["amount"],
        limit=200,
    )
    api = client.crm.deals.search_api
    found = api.do_search(public_object_search_request=request)
    assert [deal.properties["amount"] for deal in found.results] == ["200", "100", "0"]
    change = SimplePublicObjectInput(properties={"dealstage": "closedwon"})
    deal = client.crm.deals.basic_api.update(found.results[0].id, change)
    assert deal.properties["hs_is_closed_won"] == "true"
    bad = SimplePublicObjectInput(properties={"amount": "much"})
    with pytest.raises(ApiException) as refused:
        client.crm.deals.basic_api.update(deal.id, bad)
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["errors"][0]["code"] == "INVALID_FLOAT"


def test_a_task_and_its_association(client: Any, hubspot: HubSpotDemo) -> None:
    deal_id = hubspot.deal_ids(1)[0]
    task = client.crm.objects.tasks.basic_api.create(
        SimplePublicObjectInputForCreate(
            properties={"hs_timestamp": "2026-11-25T09:00:00.000Z", "hs_task_subject": "Ask"},
            associations=[
                {
                    "to": {"id": deal_id},
                    "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 216}],
                }
            ],
        )
    )
    read = client.crm.associations.v4.batch_api.get_page(
        "deals", "tasks", BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": deal_id}])
    )
    assert read.results[0].to[0].to_object_id == task.id
    page = client.crm.associations.v4.basic_api.get_page("deals", deal_id, "tasks")
    assert page.results[0].association_types[0].type_id == 215


def test_207_is_seen(client: Any, hubspot: HubSpotDemo) -> None:
    contact_id = hubspot.create("contacts", {"email": "a@b.example"})
    request = BatchReadInputSimplePublicObjectId(
        inputs=[{"id": contact_id}, {"id": "7"}], properties=["email"], properties_with_history=[]
    )
    body, status, headers = client.crm.contacts.batch_api.read_with_http_info(request)
    assert (status, body.num_errors, body.results[0].id) == (207, 1, contact_id)
    assert headers["X-HubSpot-Correlation-Id"]


def test_settings(client: Any) -> None:
    assert [owner.id for owner in client.crm.owners.owners_api.get_page().results] == [OWNER]
    pipelines = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert [pipeline.label for pipeline in pipelines] == ["Sales Pipeline", "Renewals"]
    names = {each.name for each in client.crm.properties.core_api.get_all("contacts").results}
    assert {"lifecyclestage", "lastmodifieddate", "pain"} <= names
    assert client.crm.objects.leads.basic_api.get_page().results == []


def test_tokens_and_raw_requests(client: Any, hubspot: HubSpotDemo) -> None:
    tokens = client.oauth.tokens_api.create(
        grant_type="refresh_token",
        client_id="stagesync-demo-client",
        client_secret="stagesync-demo-secret",
        refresh_token="stagesync-demo-refresh",
    )
    assert tokens.expires_in == 1800
    answer = client.api_request({"path": "/account-info/v3/details"})
    assert answer.json()["portalId"] == hubspot.portal.portal_id


def test_the_node_client(hubspot: HubSpotDemo) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node 18+ is not installed (apt-get install nodejs npm), then: make node")
    if not (NODE / "node_modules" / "@hubspot" / "api-client").is_dir():
        pytest.skip(f"the Node packages are not installed: make node (npm ci in {NODE.relative_to(NODE.parents[2])})")
    run = subprocess.run(
        [node, "journey.mjs", hubspot.url, TOKEN], cwd=NODE, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["deals"] == DEALS
    assert seen["notes"] == "1"
    assert seen["history"] == ["appointmentscheduled", "qualifiedtobuy"]
    assert seen["refused"] == "VALIDATION_ERROR"
    assert hubspot.read("tasks", seen["taskId"], "hs_task_subject")["hs_task_subject"] == "Write down the pain"
