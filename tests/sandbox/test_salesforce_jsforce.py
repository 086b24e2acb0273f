"""The embedded org as jsforce, a client nobody here wrote, sees it."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .salesforce_keys import pair
from .salesforce_world import World

HERE = Path(__file__).parent / "jsforce"


def journey(world: World) -> dict[str, Any]:
    """What the journey printed."""
    return printed("journey.mjs", world.url, world.org.client_id, world.org.client_secret)


def printed(script: str, *arguments: str) -> dict[str, Any]:
    """What a Node script printed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node 18+ is not installed (apt-get install nodejs npm), then: make node")
    if not (HERE / "node_modules" / "jsforce").is_dir():
        pytest.skip("jsforce is not installed in tests/sandbox/jsforce, run: make node")
    command = [node, str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=HERE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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
    seen = journey(salesforce)
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
    assert seen["stages"] == 10
    assert "OpportunityHistory" in seen["objects"]
    assert seen["refused"] == "INVALID_FIELD"
    assert "INVALID_LOGIN" in seen["wrongPassword"]
    assert seen["left"] == 0
