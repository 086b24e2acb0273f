"""Every way to log in to an org, over HTTP: what works, what is refused, and what an admin is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from stagesync.connectors.base import Reader
from stagesync.connectors.salesforce import Patience, SalesforceConnection, connect
from stagesync.connectors.salesforce.grants import audience_of
from stagesync.errors import ConfigurationError, ConnectionFailed, CredentialsRefused, LedgerError
from stagesync.ledger import Ledger
from stagesync.sandbox.salesforce.metadata import standard_metadata
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.server import routes

from .conftest import Serve
from .salesforce_keys import pair
from .salesforce_world import World
from .tls import over_tls

LOGIN = "POST /services/oauth2/token"
USER = "integration@stagesync.example"
QUICK = Patience(tries=2, first_wait=0.001, longest_wait=0.01)
WAYS = ("client credentials", "JWT bearer", "ready token")


@pytest.fixture
def org(salesforce: World) -> World:
    """An org whose app holds the certificate of one key; its clock is the machine's, by which a JWT expires."""
    salesforce.clock.now = datetime.now(UTC)
    salesforce.org.public_key = pair("first").public
    return salesforce


def words(world: World, way: str) -> dict[str, Any]:
    """What a connection says for a way to log in."""
    if way == "client credentials":
        return {"login_url": world.url, "client_id": world.org.client_id, "client_secret": world.org.client_secret}
    if way == "JWT bearer":
        key = pair("first").private
        return {"login_url": world.url, "client_id": world.org.client_id, "username": USER, "private_key": lambda: key}
    return {"access_token": world.token(), "instance_url": world.url}


def reader(**said: Any) -> Reader:
    return connect(SalesforceConnection(connection="sales", **said), patience=QUICK, sleep=lambda _: None)[0]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_leads_in(org: World, way: str) -> None:
    assert reader(**words(org, way)).identity().key == org.org.org_id


@pytest.mark.parametrize("way", WAYS)
def test_a_token_for_another_org_is_refused(org: World, way: str, serve: Serve, tmp_path: Path) -> None:
    other = Org(":memory:", clock=org.clock, org_id="00D00000000OTHERAA")
    standard_metadata(other)
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.pin("sales", reader(**words(org, way)).identity(), datetime.now(UTC))
        elsewhere = World(other, org.clock, serve(routes(other)))
        identity = reader(**words(elsewhere, way)).identity()
        with pytest.raises(LedgerError, match=f"was org {org.org.org_id}, the token is for 00D00000000OTHERAA"):
            ledger.pin("sales", identity, datetime.now(UTC))


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_new_token_of_another_org_is_not_used(org: World, way: str) -> None:
    sales = reader(**words(org, way))
    sales.identity()
    org.org.revoke_tokens()
    org.org.org_id = "00D00000000OTHERAA"
    with pytest.raises(CredentialsRefused, match="a token of org 00D00000000OTHERAA, the one before was of org"):
        sales.identity()


@pytest.mark.parametrize("way", WAYS[:2])
def test_eight_threads_with_one_expired_session_make_one_login(org: World, way: str) -> None:
    sales = reader(**words(org, way))
    sales.identity()
    org.org.revoke_tokens()
    before, together = org.org.calls[LOGIN], threading.Barrier(8)

    def look(_: int) -> str:
        together.wait(10)
        return sales.identity().key

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(look, range(8))) == [org.org.org_id] * 8
    assert org.org.calls[LOGIN] == before + 1


def test_eight_threads_with_refused_credentials_ask_once(org: World) -> None:
    """Each further attempt would bring the user nearer to being locked out."""
    sales = reader(**words(org, "client credentials"))
    sales.identity()
    org.org.revoke_tokens()
    org.org.client_secret = "another"
    before = org.org.calls[LOGIN]

    def look(_: int) -> str:
        with pytest.raises(CredentialsRefused) as caught:
            sales.identity()
        return str(caught.value)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(look, range(16)))) == 1
    assert org.org.calls[LOGIN] == before + 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("This session is not valid for use with the REST API", "OAuth scope 'api'"),
        ("Connected app is not attached to Agent", "make an app of its own for StageSync"),
    ],
)
def test_a_permanent_401_is_fatal_at_once(org: World, way: str, message: str, hint: str) -> None:
    sales = reader(**words(org, way))
    sales.identity()
    org.org.faults.permanent_401, org.org.faults.permanent_401_message = True, message
    before = org.org.calls_used
    with pytest.raises(CredentialsRefused, match=hint):
        sales.identity()
    assert org.org.calls_used == before + 1


def test_a_ready_token_that_ended_says_what_to_do(org: World) -> None:
    sales = reader(**words(org, "ready token"))
    org.org.revoke_tokens()
    before = org.org.calls[LOGIN]
    with pytest.raises(CredentialsRefused, match="give a new token, or another way to log in"):
        sales.identity()
    assert org.org.calls[LOGIN] == before


# Refusals of the token endpoint

REFUSED = [
    ("invalid_grant", "request not supported on this domain", "set login_url to the org's My Domain"),
    ("invalid_grant", "no client credentials user enabled", "choose a 'run as' user"),
    ("invalid_grant", "audience is invalid", "or https://test.salesforce.com for a sandbox"),
    ("invalid_grant", "Audience validation failed", "set audience to https://login.salesforce.com"),
    ("invalid_grant", "user hasn't approved this consumer", f"check username {USER}; .*pre-authorized"),
    ("invalid_grant", "invalid assertion", "private_key belongs to the certificate"),
    ("invalid_grant", "expired authorization code", "set the clock of this machine"),
    ("invalid_grant", "ip restricted", "accept the address"),
    ("invalid_grant", "login rate exceeded", "wait an hour"),
    ("invalid_grant", "authentication failure", "check login_url, client_id"),
    ("invalid_client_id", "client identifier invalid", "check client_id .the consumer key."),
    ("invalid_client", "invalid client credentials", "check the client secret"),
    ("invalid_app_access", "user is not admin approved to access this app", f"user {USER} a profile or permission set"),
    ("unsupported_grant_type", "grant type not supported", "enable this flow"),
    ("inactive_user", "user is inactive", f"activate the user {USER}"),
    ("inactive_org", "org is locked", "Salesforce's support"),
]


@pytest.mark.parametrize(("error", "description", "hint"), REFUSED, ids=[one[1] for one in REFUSED])
def test_each_refusal_says_what_an_admin_can_do(org: World, error: str, description: str, hint: str) -> None:
    org.org.faults.login_refusal = (error, description)
    sales = reader(**words(org, "JWT bearer"))
    for _ in range(2):
        with pytest.raises(CredentialsRefused, match=f"{error}: {description}; .*{hint}") as caught:
            sales.identity()
        assert "PRIVATE KEY" not in str(caught.value)
    assert org.org.calls[LOGIN] == 1


def test_the_user_must_be_known_and_approved(org: World) -> None:
    for user, approved in (("nobody@stagesync.example", True), (USER, False)):
        org.org.faults.unapproved_users = set() if approved else {user}
        with pytest.raises(CredentialsRefused, match=f"check username {user}"):
            reader(**{**words(org, "JWT bearer"), "username": user}).identity()


def test_the_audience_may_be_said(org: World) -> None:
    said = words(org, "JWT bearer")
    assert reader(**said, audience="https://test.salesforce.com").identity().key == org.org.org_id
    with pytest.raises(CredentialsRefused, match=r"audience is invalid; .*it is https://acme\.example"):
        reader(**said, audience="https://acme.example").identity()


@pytest.mark.parametrize(
    ("login", "audience"),
    [
        ("https://login.salesforce.com", "https://login.salesforce.com"),
        ("https://test.salesforce.com", "https://test.salesforce.com"),
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("http://127.0.0.1:8000", "https://login.salesforce.com"),
    ],
)
def test_the_audience_follows_the_login_url(login: str, audience: str) -> None:
    assert audience_of(login) == audience


@pytest.mark.parametrize(("minutes", "way"), [(30, "behind"), (-30, "ahead of")])
def test_a_wrong_clock_is_named(org: World, minutes: int, way: str) -> None:
    org.clock.now = datetime.now(UTC) + timedelta(minutes=minutes)
    with pytest.raises(CredentialsRefused, match=f"clock of this machine is 1,[78][0-9][0-9] s {way} Salesforce's"):
        reader(**words(org, "JWT bearer")).identity()


def test_a_right_clock_is_not_blamed(org: World) -> None:
    org.org.faults.login_refusal = ("invalid_grant", "invalid assertion")
    with pytest.raises(CredentialsRefused) as caught:
        reader(**words(org, "JWT bearer")).identity()
    assert "clock" not in str(caught.value)


# The private key


def test_the_key_is_read_anew_at_each_login(org: World, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pair("first").private, encoding="utf-8")
    sales = reader(**{**words(org, "JWT bearer"), "private_key": file.read_text})
    sales.identity()
    org.org.public_key = pair("second").public
    org.org.revoke_tokens()
    file.write_text(pair("second").private, encoding="utf-8")
    assert sales.identity().key == org.org.org_id
    org.org.revoke_tokens()
    file.write_text(pair("first").private, encoding="utf-8")
    with pytest.raises(CredentialsRefused, match="invalid assertion; check that private_key belongs"):
        sales.identity()


def test_a_key_in_one_line_is_read(org: World) -> None:
    """As many environments hold it."""
    one_line = pair("first").private.strip().replace("\n", "\\n")
    assert reader(**{**words(org, "JWT bearer"), "private_key": lambda: one_line}).identity().key == org.org.org_id


def locked() -> str:
    lock = BestAvailableEncryption(b"secret")
    return pair("first").key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def elliptic() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (lambda: pair("first").certificate, "this is a certificate"),
        (lambda: pair("first").public, "this is no PEM text"),
        (lambda: "hush", "this is no PEM text"),
        (locked, "locked with a passphrase"),
        (elliptic, "RSA keys of 2048 bits or more"),
        (lambda: pair("short", 1024).private, "RSA keys of 2048 bits or more"),
        (lambda: pair("first").private[:200] + "\n-----END PRIVATE KEY-----\n", "is the file whole"),
    ],
)
def test_a_key_that_cannot_sign_is_a_configuration_error(org: World, text: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"connection sales, private_key: .*{said}") as caught:
        reader(**{**words(org, "JWT bearer"), "private_key": text})
    assert "hush" not in str(caught.value)
    assert org.org.calls_used == 0


# The way to the org


def test_tls_is_checked_against_the_bundle_and_nothing_else(
    org: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(routes(org.org), tmp_path) as url:
        said = {**words(org, "client credentials"), "login_url": url}
        assert reader(**said, ca_bundle=tmp_path / "ca.pem").identity().key == org.org.org_id
        # The environment of a container must neither open nor close the door.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        with pytest.raises(ConnectionFailed, match="TLS handshake failed; check the URL and ca_bundle"):
            reader(**said).identity()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        assert reader(**said, ca_bundle=tmp_path / "ca.pem").identity().key == org.org.org_id


def test_a_netrc_does_not_replace_the_token(org: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin somebody\npassword else\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    for way in WAYS:
        assert reader(**words(org, way)).identity().key == org.org.org_id


def test_a_bundle_that_cannot_be_read_is_a_configuration_error(org: World, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate", encoding="utf-8")
    for bundle in (tmp_path / "none.pem", empty):
        with pytest.raises(ConfigurationError, match=f"ca_bundle: {bundle} cannot be read"):
            reader(**words(org, "client credentials"), ca_bundle=bundle)


def test_a_proxy_is_used_but_for_this_machine(org: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    dead = "http://me:hush@127.0.0.1:9"
    assert reader(**words(org, "client credentials"), proxy=dead).identity().key == org.org.org_id
    away = reader(login_url="https://acme.my.salesforce.com", client_id="me", client_secret="hush", proxy=dead)
    with pytest.raises(ConnectionFailed, match="the proxy lets no connection through; check the setting") as caught:
        away.identity()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["proxy.example:3128", "socks5://proxy.example", "http://", "http://a:hush@b:port"])
def test_what_is_no_proxy_is_a_configuration_error(org: World, url: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy: write a URL") as caught:
        reader(**words(org, "client credentials"), proxy=url)
    assert "hush" not in str(caught.value)


def test_waiting_ends_when_the_timeouts_say(org: World) -> None:
    org.org.faults.latency_seconds = 1.0
    with pytest.raises(ConnectionFailed, match="no answer in time"):
        reader(**words(org, "client credentials"), timeout=(1.0, 0.1)).identity()


# The org's own side


def test_a_connection_lost_before_the_commit(org: World) -> None:
    api = org.api()
    org.org.faults.drop_before_commit = 1
    with pytest.raises(requests.ConnectionError):
        api.post("sobjects/Task", {"Subject": "never made"})
    assert api.query("SELECT COUNT() FROM Task")["totalSize"] == 0
    assert api.post("sobjects/Task", {"Subject": "made"}).status_code == 201


def test_every_answer_says_how_much_is_used(org: World) -> None:
    org.org.app_calls_limit = 250
    api, faults = org.api(), org.org.faults
    faults.unavailable = 1
    answers = [api.get("limits"), api.get("limits"), api.get("sobjects/Nothing")]
    faults.concurrent_limit, faults.retry_after = 1, 3
    answers.append(api.get("limits"))
    faults.daily_limit_reached = True
    answers.append(api.get("limits"))
    assert [answer.status_code for answer in answers] == [503, 200, 404, 403, 403]
    assert answers[3].headers["Retry-After"] == "3"
    for used, answer in enumerate(answers, start=2):
        said = f"api-usage={used}/100000; per-app-api-usage={used}/250(appName=stagesync-demo)"
        assert answer.headers["Sforce-Limit-Info"] == said
    assert org.simple().parse_api_usage(said)["per-app-api-usage"].total == 250
