"""Calls to an org: tokens, patience, refusals. The faults here are those that a server cannot make on request."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
import responses

from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.connectors.salesforce.connection import origin
from stagesync.connectors.salesforce.failures import CutOff, Refusal, Unreachable, unsettled
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.errors import ConfigurationError, ConnectionFailed, CredentialsRefused

ORG = "https://acme.my.salesforce.com"
TOKEN = f"{ORG}/services/oauth2/token"
LIMITS = f"{ORG}/services/data/v67.0/limits"
QUICK = Patience(tries=4, first_wait=0.001, longest_wait=0.01)
READ = Call(method="GET", path="limits", reads=True)
WRITE = Call(method="POST", path="composite", reads=False, body={"a": 1}, headers={"X-Condition": "yes"})
COMPOSITE = f"{ORG}/services/data/v67.0/composite"


def connection(**changed: Any) -> SalesforceConnection:
    given: dict[str, Any] = {"connection": "sales", "login_url": ORG, "client_id": "me", "client_secret": "hush"}
    return SalesforceConnection(**{**given, **changed})


def session(**changed: Any) -> OrgSession:
    return OrgSession(connection(**changed), QUICK)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def grant(wire: responses.RequestsMock, token: str = "t1") -> None:
    wire.add(responses.POST, TOKEN, json={"access_token": token, "instance_url": ORG})


def error(code: str, message: str = "no") -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


def sent(wire: responses.RequestsMock, url: str) -> list[requests.PreparedRequest]:
    return [call.request for call in wire.calls if str(call.request.url).partition("?")[0] == url]


def test_client_credentials_and_the_headers_of_every_call(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, json={"ok": 1})
    assert session().call(READ, msgspec.json.decode) == {"ok": 1}
    asked = sent(wire, TOKEN)[0]
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(b"me:hush").decode()
    assert asked.body == "grant_type=client_credentials"
    headers = sent(wire, LIMITS)[0].headers
    assert headers["Authorization"] == "Bearer t1"
    assert headers["Sforce-Auto-Assign"] == "FALSE"
    assert headers["X-PrettyPrint"] == "0"
    assert headers["User-Agent"].startswith("StageSync/")
    assert "gzip" in headers["Accept-Encoding"]


def test_a_stale_token_is_renewed_once_and_the_same_headers_are_sent_again(wire: responses.RequestsMock) -> None:
    grant(wire, "t1")
    grant(wire, "t2")
    wire.add(responses.POST, COMPOSITE, status=401, json=error("INVALID_SESSION_ID", "Session expired or invalid"))
    wire.add(responses.POST, COMPOSITE, json={"done": True})
    assert session().call(WRITE, msgspec.json.decode) == {"done": True}
    first, second = sent(wire, COMPOSITE)
    assert (first.headers["Authorization"], second.headers["Authorization"]) == ("Bearer t1", "Bearer t2")
    assert first.headers["X-Condition"] == second.headers["X-Condition"] == "yes"
    assert first.body == second.body == b'{"a":1}'


def test_a_second_401_is_final(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, status=401, json=error("INVALID_SESSION_ID"))
    with pytest.raises(CredentialsRefused, match="limits answered 401: INVALID_SESSION_ID"):
        session().call(READ, msgspec.json.decode)
    assert len(sent(wire, LIMITS)) == 2
    assert len(sent(wire, TOKEN)) == 2


def test_a_permanent_401_asks_for_no_new_token(wire: responses.RequestsMock) -> None:
    grant(wire)
    message = "This session is not valid for use with the REST API"
    wire.add(responses.GET, LIMITS, status=401, json=error("INVALID_SESSION_ID", message))
    with pytest.raises(CredentialsRefused, match="OAuth scope 'api'"):
        session().call(READ, msgspec.json.decode)
    assert len(sent(wire, LIMITS)) == 1


def test_a_ready_token_that_expired_cannot_be_renewed(wire: responses.RequestsMock) -> None:
    wire.add(responses.GET, LIMITS, status=401, json=error("INVALID_SESSION_ID"))
    ready = session(client_id=None, client_secret=None, access_token="t0", instance_url=ORG)
    with pytest.raises(CredentialsRefused, match="no client id and secret"):
        ready.call(READ, msgspec.json.decode)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"error": "invalid_grant", "error_description": "request not supported on this domain"}, "My Domain"),
        ({"error": "invalid_client", "error_description": "invalid client credentials"}, "check the client secret"),
        ({"error": "odd"}, "odd; check login_url"),
    ],
)
def test_refused_credentials_say_what_where_and_what_to_do(
    wire: responses.RequestsMock, body: dict[str, str], hint: str
) -> None:
    wire.add(responses.POST, TOKEN, status=400, json=body)
    with pytest.raises(CredentialsRefused, match=hint) as caught:
        session().call(READ, msgspec.json.decode)
    assert TOKEN in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(sent(wire, TOKEN)) == 1  # repeated failures lock the user out


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_reads_are_patient(wire: responses.RequestsMock, status: int) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, status=status, json=error("UNKNOWN_EXCEPTION"))
    wire.add(responses.GET, LIMITS, status=status, body="<html>")
    wire.add(responses.GET, LIMITS, status=503, body="<html>", headers={"Retry-After": "86400"})
    wire.add(responses.GET, LIMITS, json=[])
    assert session().call(READ, msgspec.json.decode) == []


def test_reads_give_up_and_say_so(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, status=503, json=error("SERVER_UNAVAILABLE"))
    with pytest.raises(ConnectionFailed, match="limits answered 503: SERVER_UNAVAILABLE"):
        session().call(READ, msgspec.json.decode)
    assert len(sent(wire, LIMITS)) == QUICK.tries


@pytest.mark.parametrize(
    ("answer", "may_have_landed"),
    [
        ({"status": 503, "json": error("SERVER_UNAVAILABLE")}, True),
        ({"status": 400, "json": error("JSON_PARSER_ERROR")}, False),
        ({"status": 404, "body": "<html>"}, True),
        ({"status": 302, "body": ""}, False),
        ({"body": requests.ReadTimeout("slow")}, True),
        ({"body": requests.ConnectionError("reset")}, True),
        ({"body": b'{"compositeResp'}, True),
    ],
)
def test_writes_are_sent_once(wire: responses.RequestsMock, answer: dict[str, Any], may_have_landed: bool) -> None:
    grant(wire)
    wire.add(responses.POST, COMPOSITE, **answer)
    with pytest.raises(ConnectionFailed) as caught:
        session().call(WRITE, msgspec.json.decode)
    assert len(sent(wire, COMPOSITE)) == 1
    assert unsettled(caught.value) is may_have_landed


def test_a_write_that_was_turned_away_is_repeated(wire: responses.RequestsMock) -> None:
    grant(wire)
    busy = error("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
    wire.add(responses.POST, COMPOSITE, status=403, json=busy)
    wire.add(responses.POST, COMPOSITE, json={})
    assert session().call(WRITE, msgspec.json.decode) == {}


def test_the_daily_limit_is_not_tried_again(wire: responses.RequestsMock) -> None:
    grant(wire)
    used = error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    wire.add(responses.GET, LIMITS, status=403, json=used)
    with pytest.raises(ConnectionFailed, match="last 24 hours are used up") as caught:
        session().call(READ, msgspec.json.decode)
    assert not isinstance(caught.value, CredentialsRefused)
    assert len(sent(wire, LIMITS)) == 1


def test_a_missing_permission_is_about_the_credentials(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, status=403, json=error("API_DISABLED_FOR_ORG", "API is not enabled"))
    with pytest.raises(CredentialsRefused, match="API Enabled"):
        session().call(READ, msgspec.json.decode)


def test_a_version_that_the_org_does_not_serve_is_told_with_the_remedy(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, status=404, json=error("NOT_FOUND", "The requested resource does not exist"))
    with pytest.raises(Refusal, match=r"does not exist\. If the org does not serve .* set api_version"):
        session().call(READ, msgspec.json.decode)


@pytest.mark.parametrize("answer", [{"status": 404, "body": b"<html>"}, {"body": b"<html>"}])
def test_a_login_url_at_which_there_is_no_org_is_told_with_the_remedy(
    wire: responses.RequestsMock, answer: dict[str, Any]
) -> None:
    wire.add(responses.POST, TOKEN, **answer)
    with pytest.raises(ConnectionFailed, match="set login_url and instance_url to the org's My Domain"):
        session().call(READ, msgspec.json.decode)


def test_a_redirect_is_refused_and_not_followed(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.POST, COMPOSITE, status=302, headers={"Location": "https://elsewhere.example/x"})
    with pytest.raises(Refusal, match="a redirect; set login_url"):
        session().call(WRITE, msgspec.json.decode)
    assert len(wire.calls) == 2


def test_a_cut_off_answer_is_read_again(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, body=b'{"records":[')
    wire.add(responses.GET, LIMITS, body=b'{"records":[]}')
    assert session().call(READ, msgspec.json.decode) == {"records": []}


def test_an_answer_that_stays_cut_off_is_a_failure(wire: responses.RequestsMock) -> None:
    grant(wire)
    wire.add(responses.GET, LIMITS, body=b'{"records":[')
    with pytest.raises(CutOff, match="12 bytes that cannot be decoded"):
        session().call(READ, msgspec.json.decode)


BUSY_LOGIN = {"error": "unknown_error", "error_description": "retry your request"}
FAILED_LOGINS: list[dict[str, Any]] = [
    {"body": requests.ReadTimeout("slow")},
    {"status": 503},
    {"body": b"<html>"},
    {"status": 400, "json": BUSY_LOGIN},
]


@pytest.mark.parametrize("answer", FAILED_LOGINS)
def test_a_login_that_fails_is_no_write_that_may_have_landed(
    wire: responses.RequestsMock, answer: dict[str, Any]
) -> None:
    wire.add(responses.POST, TOKEN, **answer)
    with pytest.raises(Unreachable) as caught:
        session().call(WRITE, msgspec.json.decode)
    assert not unsettled(caught.value)
    assert len(sent(wire, TOKEN)) == QUICK.tries


@pytest.mark.parametrize("answer", FAILED_LOGINS)
def test_a_login_that_fails_once_is_tried_again(wire: responses.RequestsMock, answer: dict[str, Any]) -> None:
    wire.add(responses.POST, TOKEN, **answer)
    grant(wire)
    wire.add(responses.GET, LIMITS, json={"ok": 1})
    assert session().call(READ, msgspec.json.decode) == {"ok": 1}


@pytest.mark.parametrize("answer", FAILED_LOGINS)
def test_neither_is_a_renewal_that_fails(wire: responses.RequestsMock, answer: dict[str, Any]) -> None:
    grant(wire)
    wire.add(responses.POST, TOKEN, **answer)
    wire.add(responses.POST, COMPOSITE, status=401, json=error("INVALID_SESSION_ID"))
    with pytest.raises(Unreachable) as caught:
        session().call(WRITE, msgspec.json.decode)
    assert not unsettled(caught.value)
    assert len(sent(wire, TOKEN)) == 1 + QUICK.tries


def test_a_crm_that_is_down_is_named() -> None:
    reader, _ = connect(connection(login_url="http://127.0.0.1:9"), patience=QUICK)
    with pytest.raises(ConnectionFailed, match=r"cannot reach Salesforce at http://127.0.0.1:9/services/oauth2/token"):
        reader.identity()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost", "https://a.example"])
def test_plain_http_only_to_this_machine(url: str) -> None:
    assert origin(url + "/", "login_url") == url


@pytest.mark.parametrize(
    "url", ["http://acme.my.salesforce.com", "http://10.0.0.1", "ftp://127.0.0.1", "acme", "https://u:p@acme.example"]
)
def test_other_urls_are_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="login_url"):
        connect(connection(login_url=url))


def test_the_instance_of_a_token_is_held_to_the_same_rule(wire: responses.RequestsMock) -> None:
    wire.add(responses.POST, TOKEN, json={"access_token": "t", "instance_url": "http://acme.example"})
    with pytest.raises(ConfigurationError, match="in clear"):
        session().call(READ, msgspec.json.decode)


def test_no_way_in_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="give a client id and secret"):
        session(client_secret=None)
    with pytest.raises(ConfigurationError, match="client_secret and access_token are several ways"):
        session(access_token="t", instance_url=ORG)
    with pytest.raises(ConfigurationError, match="needs instance_url"):
        session(client_secret=None, access_token="t")
    with pytest.raises(ConfigurationError, match="give a login_url too"):
        session(login_url=None)


def test_secrets_are_not_shown() -> None:
    shown = repr(connection(access_token="t0k3n"))
    assert "hush" not in shown
    assert "t0k3n" not in shown
