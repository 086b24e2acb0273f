"""The embedded org as jsforce, a client nobody here wrote, sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import node_clients
from .salesforce_keys import pair
from .salesforce_world import World


def printed(script: str, *arguments: str) -> Any:
    """What a script of jsforce printed."""
    return node_clients.printed("jsforce", "jsforce", script, *arguments)


def test_a_jwt_login_by_jsforce(salesforce: World, tmp_path: Path) -> None:
    salesforce.clock.now = datetime.now(UTC)
    salesforce.org.public_key = pair("first").public
    key = tmp_path / "key.pem"
    key.write_text(pair("first").private, encoding="utf-8")
    user = "integration@stagesync.example"
    said = (salesforce.url, salesforce.org.client_id, user, str(key))
    seen = printed("jwt.mjs", *said)
    assert seen["user"] == user
    assert seen["usage"] == {"used": salesforce.org.calls_used, "limit": 100_000}
    refused = printed("jwt.mjs", *said, "https://evil.example")
    assert (refused["refused"], refused["message"]) == ("invalid_grant", "audience is invalid")
    key.write_text(pair("second").private, encoding="utf-8")
    assert printed("jwt.mjs", *said)["message"] == "invalid assertion"


def test_a_journey_by_jsforce(salesforce: World) -> None:
    salesforce.org.insert_many("Lead", ({"LastName": f"L{i:04d}", "Company": "Acme"} for i in range(4500)))
    seen = printed("journey.mjs", salesforce.url, salesforce.org.client_id, salesforce.org.client_secret)
    assert seen["userId"] == salesforce.org.integration_user_id
    assert seen["organizationId"] == salesforce.org.org_id
    assert seen["username"] == "integration@stagesync.example"
    assert seen["pages"] == [2000, 2000, 500]
    assert seen["names"] == [f"L{i:04d}" for i in range(4500)]
    assert seen["fetched"] == 4500
    assert seen["created"] is True
    assert seen["changed"] is True
    read = seen["read"]
    assert (read["LastName"], read["Company"]) == ("Müller", "Jsforce & Co")
    assert (read["Status"], read["Budget_Confirmed__c"]) == ("Qualified", True)
    assert seen["upserts"] == [True, False, True]
    assert [(one["Subject"], one["Who"]["Name"]) for one in seen["found"]] == [("Stage check 2", "Müller")]
    assert seen["several"][0]["success"] is True
    assert seen["several"][1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert [one["success"] for one in seen["updated"]] == [True, False]
    assert [one["created"] for one in seen["upserted"]] == [True, True, False]
    assert seen["upserted"][0]["id"] == seen["upserted"][2]["id"]
    bulk = seen["bulk"]
    assert [row["LastName"] for row in bulk["rows"]] == [f"L{i:04d}" for i in range(4500)]
    assert {row["Company"] for row in bulk["rows"]} == {"Acme"}
    assert {row["Owner.IsActive"] for row in bulk["rows"]} == {"true"}
    assert bulk["opened"] == "UploadComplete"
    assert (bulk["info"]["state"], bulk["info"]["numberRecordsProcessed"]) == ("JobComplete", 4500)
    assert "not supported by Bulk Query" in bulk["refused"]
    assert salesforce.org.calls["POST /jobs/query"] == 3
    assert salesforce.org.database.value("SELECT COUNT(*) FROM _job") == 1, "one was deleted by its client"
    stage = next(one for one in seen["described"]["fields"] if one["name"] == "StageName")
    assert (stage["type"], stage["custom"], stage["nillable"]) == ("picklist", False, False)
    assert [one["value"] for one in stage["picklistValues"]][:2] == ["Prospecting", "Qualification"]
    assert seen["described"]["keyPrefix"] == "006"
    assert {"Tasks", "OpportunityHistories"} <= {
        one["relationshipName"] for one in seen["described"]["childRelationships"]
    }
    assert "OpportunityHistory" in seen["objects"]
    assert seen["refused"] == "INVALID_FIELD"
    assert "INVALID_LOGIN" in seen["wrongPassword"]
    assert seen["left"] == 0
