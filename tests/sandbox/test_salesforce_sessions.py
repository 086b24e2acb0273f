"""Ways in, limits, and the org's bad moods."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession

from .salesforce_keys import pair
from .salesforce_world import START, World

TOKEN = "/services/oauth2/token"


def grant(world: World, fields: dict[str, str], auth: tuple[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    answer = requests.post(world.url + TOKEN, data=fields, auth=auth, timeout=10)
    return answer.status_code, answer.json()


def test_client_credentials_both_ways(salesforce: World) -> None:
    secret = salesforce.org.client_secret
    status, body = grant(salesforce, {"grant_type": "client_credentials"}, (salesforce.org.client_id, secret))
    assert status == 200
    assert set(body) == {"access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"}
    assert (body["instance_url"], body["token_type"]) == (salesforce.url, "Bearer")
    assert body["id"].endswith(f"/id/{salesforce.org.org_id}/{salesforce.org.integration_user_id}")
    stated = {"grant_type": "client_credentials", "client_id": salesforce.org.client_id, "client_secret": secret}
    status, _ = grant(salesforce, stated)
    assert status == 200
    chunked = requests.post(
        salesforce.url + TOKEN,
        data=iter([b"grant_type=client_credentials&", f"client_id=stagesync-demo&client_secret={secret}".encode()]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=10,
    )
    assert chunked.status_code == 200


REFUSED = [
    ({"grant_type": "client_credentials", "client_id": "other", "client_secret": "x"}, "invalid_client_id"),
    ({"grant_type": "client_credentials", "client_id": "stagesync-demo", "client_secret": "x"}, "invalid_client"),
    ({"grant_type": "password", "username": "x", "password": "y"}, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
    ({"grant_type": "magic"}, "unsupported_grant_type"),
    ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}, "invalid_grant"),
]


@pytest.mark.parametrize(("fields", "error"), REFUSED)
def test_refused_grants(salesforce: World, fields: dict[str, str], error: str) -> None:
    status, body = grant(salesforce, fields)
    assert (status, body["error"]) == (400, error)
    assert body["error_description"]


class Elsewhere(requests.Session):
    """Sends whatever goes to salesforce.com to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.trust_env = url, False

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        path = "/" + str(url).split("/", 3)[3]
        return super().request(method, self.url + path, *args, **kwargs)


def test_simple_salesforce_logs_in_by_jwt_client_credentials_and_soap(salesforce: World) -> None:
    # The library stamps the JWT by the machine's clock.
    salesforce.clock.now = datetime.now(UTC)
    salesforce.org.public_key = pair("first").public
    ways: list[dict[str, Any]] = [
        {
            "username": "integration@stagesync.example",
            "consumer_key": "stagesync-demo",
            "privatekey": pair("first").private,
        },
        {
            "consumer_key": "stagesync-demo",
            "consumer_secret": salesforce.org.client_secret,
            "domain": "acme.my",
        },
        {"username": "integration@stagesync.example", "password": "stagesync", "security_token": "TOKEN"},
    ]
    for way in ways:
        sf = Salesforce(session=Elsewhere(salesforce.url), **way)
        assert sf.query("SELECT COUNT() FROM User")["totalSize"] == 1
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid assertion"):
        Salesforce(session=Elsewhere(salesforce.url), **{**ways[0], "privatekey": pair("second").private})
    wrong: dict[str, Any] = {"username": "integration@stagesync.example", "password": "no", "security_token": ""}
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        Salesforce(session=Elsewhere(salesforce.url), **wrong)
    with pytest.raises(SalesforceAuthenticationFailed, match="UNSUPPORTED_API_VERSION"):
        Salesforce(session=Elsewhere(salesforce.url), version="65.0", **ways[2])


def unsigned(**claims: Any) -> str:
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts]
    return ".".join([*encoded, "c2ln"])


def test_jwt_claims_are_checked(salesforce: World) -> None:
    good = {
        "iss": "stagesync-demo",
        "sub": "integration@stagesync.example",
        "aud": "https://login.salesforce.com",
        "exp": str(int((START + timedelta(minutes=3)).timestamp())),
    }
    bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert grant(salesforce, {"grant_type": bearer, "assertion": unsigned(**good)})[0] == 200
    for change, description in (
        ({"aud": "https://evil.example"}, "audience is invalid"),
        ({"sub": "nobody"}, "user hasn't approved this consumer"),
        ({"exp": "1"}, "expired authorization code"),
        ({"iss": "other"}, "client identifier invalid"),
    ):
        status, body = grant(salesforce, {"grant_type": bearer, "assertion": unsigned(**{**good, **change})})
        assert (status, body["error_description"]) == (400, description)


def test_sessions_end(salesforce: World) -> None:
    api, sf = salesforce.api(), salesforce.simple()
    assert api.get("/services/oauth2/userinfo").json()["organization_id"] == salesforce.org.org_id
    salesforce.org.revoke_tokens()
    answer = api.get("limits")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    with pytest.raises(SalesforceExpiredSession):
        sf.query("SELECT Id FROM Lead")
    salesforce.org.sessions.lifetime = timedelta(hours=2)
    api = salesforce.api()
    salesforce.clock.forward(minutes=90)
    assert api.get("limits").status_code == 200
    salesforce.clock.forward(minutes=90)
    assert api.get("limits").status_code == 200
    salesforce.clock.forward(minutes=121)
    assert api.get("limits").status_code == 401
    api = salesforce.api()
    revoked = requests.post(f"{salesforce.url}/services/oauth2/revoke", data={"token": api.token}, timeout=10)
    assert revoked.status_code == 200
    assert api.get("limits").status_code == 401
    salesforce.org.faults.permanent_401 = True
    assert "not valid for use with the REST API" in salesforce.api().get("limits").text


def test_versions_limits_and_headers(salesforce: World) -> None:
    api = salesforce.api()
    versions = requests.get(f"{salesforce.url}/services/data/", timeout=10).json()
    assert (versions[0]["version"], versions[-1]["version"]) == ("31.0", "67.0")
    answer = api.get("limits/", headers={"X-PrettyPrint": "1"})
    assert answer.json()["DailyApiRequests"]["Max"] == 100_000
    assert answer.headers["Date"] == "Thu, 01 Oct 2026 12:00:00 GMT"
    assert answer.headers["Sforce-Limit-Info"] == f"api-usage={salesforce.org.calls_used}/100000"
    assert api.get("/services/data/v67.0/").json()["query"] == "/services/data/v67.0/query"
    assert api.get("/services/data/v30.0/limits").status_code == 410
    assert api.get("/services/data/v99.0/limits").status_code == 404
    assert api.get("jobs/ingest").status_code == 404
    assert salesforce.org.calls["GET /limits"] == 1
    packed = gzip.compress(b'{"LastName": "A", "Company": "B"}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert api.call("POST", "sobjects/Lead", data=packed, headers=headers).status_code == 201
    values = api.get("ui-api/object-info/Opportunity/picklist-values/012000000000000AAA/StageName").json()["values"]
    assert len(values) == 10


def test_outages_and_limits(salesforce: World) -> None:
    api, faults = salesforce.api(), salesforce.org.faults
    faults.unavailable, faults.retry_after = 1, 7
    answer = api.get("limits")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json()[0]["errorCode"] == "SERVER_UNAVAILABLE"
    faults.unavailable, faults.unavailable_html = 1, True
    assert api.get("limits").text.startswith("<html>")
    faults.concurrent_limit = 1
    busy = api.get("limits")
    assert (busy.status_code, busy.json()[0]["message"][:18]) == (403, "ConcurrentRequests")
    assert api.get("limits").status_code == 200
    salesforce.org.calls_limit = salesforce.org.calls_used
    spent = api.get("limits")
    assert (spent.status_code, spent.json()[0]["message"]) == (403, "TotalRequests Limit exceeded.")


def test_write_faults(salesforce: World) -> None:
    api, faults = salesforce.api(), salesforce.org.faults
    lead = salesforce.lead()
    faults.locked_records[lead] = 2
    codes = [api.patch(f"sobjects/Lead/{lead}", {"Title": "x"}).status_code for _ in range(3)]
    assert codes == [400, 400, 204]
    faults.lock_failures = 1
    assert api.post("sobjects/Task", {}).json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    faults.validation_rules[lead] = "Budget first"
    assert api.patch(f"sobjects/Lead/{lead}", {"Title": "y"}).json()[0]["message"] == "Budget first"
    faults.read_only = True
    refused = api.patch(f"sobjects/Lead/{lead}", {"Title": "y"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")


def test_a_connection_lost_after_the_commit(salesforce: World) -> None:
    api = salesforce.api()
    salesforce.org.faults.drop_after_commit = 1
    with pytest.raises(requests.ConnectionError):
        api.post("sobjects/Task", {"Subject": "made, but nobody was told"})
    assert api.query("SELECT COUNT() FROM Task")["totalSize"] == 1


def test_a_connection_is_kept_and_a_body_may_come_in_chunks(salesforce: World) -> None:
    """HTTP/1.1 as a raw socket speaks it: three calls on one connection, the second one with its body in chunks."""
    address = urlsplit(salesforce.url)
    plain = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    plain.connect()
    own = plain.sock.getsockname()
    headers = {"Authorization": f"Bearer {salesforce.token()}", "Content-Type": "application/json"}
    body = b'{"LastName": "Chunk", "Company": "B"}'
    made = "/services/data/v67.0/sobjects/Lead/"
    for method, path, some in (
        ("GET", "/services/data/v67.0/limits/", None),
        ("POST", made, iter([body[:7], body[7:]])),
        ("GET", "/services/data/v67.0/query/?q=SELECT+LastName+FROM+Lead", None),
    ):
        plain.request(method, path, some, headers, encode_chunked=some is not None)
        answer = plain.getresponse()
        said = answer.read()
        assert answer.status in {200, 201}, said
        assert plain.sock is not None
        assert plain.sock.getsockname() == own
    plain.close()
    assert [row["LastName"] for row in json.loads(said)["records"]] == ["Chunk"]


@pytest.mark.parametrize("pretty", ["0", "1"])
def test_a_pretty_answer_says_the_same(salesforce: World, pretty: str) -> None:
    salesforce.lead(LastName="Ünlü", Company="line\nbreak")
    api = salesforce.api()
    path = "query/?q=SELECT+LastName,Company+FROM+Lead"
    plain = api.get(path).json()
    asked = api.get(path, headers={"X-PrettyPrint": pretty})
    assert asked.status_code == 200
    assert asked.json() == plain
    assert plain["records"][0]["Company"] == "line\nbreak"


def test_a_token_carries_the_scopes_of_its_app_and_opens_no_api_without_the_right_one(salesforce: World) -> None:
    fields = {
        "grant_type": "client_credentials",
        "client_id": salesforce.org.client_id,
        "client_secret": salesforce.org.client_secret,
    }
    for scopes, status in ((("api",), 200), (("web", "full"), 200), (("web", "id"), 401), ((), 401)):
        salesforce.org.scopes = scopes
        answer = requests.post(f"{salesforce.url}/services/oauth2/token", data=fields, timeout=10).json()
        assert answer["scope"].split() == list(scopes)
        refused = salesforce.api().get("limits/")
        assert refused.status_code == status
        if status == 401:
            assert "not valid for use with the REST API" in refused.json()[0]["message"]
