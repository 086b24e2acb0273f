"""An operator logs in to Salesforce in each way that the settings know."""

from __future__ import annotations

import requests

from stagesync.sandbox.server import Sandbox
from tests.sandbox.salesforce_keys import pair

from .conftest import Deploy
from .deployment import Deployment

USER = "integration@stagesync.example"


def sales(agent: Deployment, **words: object) -> Deployment:
    """The deployment with Salesforce alone and another way to log in."""
    agent.only("salesforce")
    said = agent.words["connections"]["salesforce"]
    for name in ("login_url", "client_id", "client_secret"):
        said.pop(name, None)
    said.update(words)
    agent.save()
    return agent


def test_a_private_key_from_a_file_and_from_the_environment(still: Sandbox, deploy: Deploy) -> None:
    client = {"client_id": {"env": "JOURNEY_SALESFORCE_ID"}, "username": USER, "login_url": still.url}
    agent = sales(deploy(still), **client, private_key={"file": "key.pem"})
    missing = agent.run("audit")
    assert missing.code == 2
    assert "connection 'salesforce', private_key: the secret file" in missing.err
    (agent.folder / "key.pem").write_text(pair("first").private.splitlines()[0] + "\nhush\n")
    broken = agent.run("audit")
    assert broken.code == 2
    assert "the key cannot be read; is the file whole" in broken.err
    assert "hush" not in broken.said
    (agent.folder / "key.pem").write_text(pair("first").private)
    done = agent.run("audit")
    assert done.code in (0, 1), done.said
    sales(agent, **client, private_key={"env": "JOURNEY_KEY"})
    assert agent.run("audit", environment={"JOURNEY_KEY": pair("first").private.strip()}).code == done.code


def test_a_user_who_is_not_approved(sandbox: Sandbox, deploy: Deploy) -> None:
    sandbox.org.faults.unapproved_users.add(USER)
    client = {"client_id": {"env": "JOURNEY_SALESFORCE_ID"}, "username": USER, "login_url": sandbox.url}
    agent = sales(deploy(sandbox), **client, private_key={"env": "JOURNEY_KEY"})
    refused = agent.run("audit", environment={"JOURNEY_KEY": pair("first").private.strip()})
    assert refused.code == 5
    assert f"check username {USER}; let the app's policy say" in refused.err


def test_a_token_that_is_ready(still: Sandbox, deploy: Deploy) -> None:
    fields = {"grant_type": "client_credentials", "client_id": still.client_id, "client_secret": still.client_secret}
    token = requests.post(f"{still.url}/services/oauth2/token", data=fields, timeout=10).json()["access_token"]
    agent = sales(deploy(still), instance_url=still.url, access_token={"env": "JOURNEY_TOKEN"})
    assert agent.run("audit", environment={"JOURNEY_TOKEN": token}).code in (0, 1)
    ended = agent.run("audit", environment={"JOURNEY_TOKEN": "00D!ended"})
    assert ended.code == 5
    assert "give a new token, or another way to log in" in ended.err
    assert "00D!ended" not in ended.said
