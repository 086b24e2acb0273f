"""What can be wrong with a connection is said before anything is sent."""

from __future__ import annotations

import pytest

from stagesync.connectors.hubspot import HubSpotConnection
from stagesync.connectors.hubspot.paths import PATHS
from stagesync.errors import ConfigurationError


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9/", "https://api.hubapi.com"]
)
def test_addresses_that_work(url: str) -> None:
    assert HubSpotConnection(connection="acme", access_token="t", base_url=url).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.hubapi.com", "clear text"),
        ("http://127.0.0.1.example.com", "clear text"),
        ("ftp://api.hubapi.com", "not an address"),
        ("https://", "not an address"),
        ("https://me:secret@api.hubapi.com", "user name"),
        ("https://api.hubapi.com:port", "not an address"),
        ("https://bücher.example", "not an address"),
        ("https://api.hubapi.com/a b", "not an address"),
        ("https://api.hubapi.com/\nx", "not an address"),
    ],
)
def test_addresses_that_do_not(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        HubSpotConnection(connection="acme", access_token="t", base_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "line\n", "tökén"])
def test_tokens_that_cannot_be_sent(token: str) -> None:
    with pytest.raises(ConfigurationError, match="access token") as caught:
        HubSpotConnection(connection="acme", access_token=token)
    assert not token or token not in str(caught.value)


def test_the_token_is_not_shown() -> None:
    assert "keep-me-quiet" not in repr(HubSpotConnection(connection="acme", access_token="keep-me-quiet"))


def test_versions_are_named() -> None:
    with pytest.raises(ConfigurationError, match="v3, 2026-03, 2026-09"):
        HubSpotConnection(connection="acme", access_token="t", api_version="v4")


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_dated_paths_hold_no_legacy_version(version: str) -> None:
    paths = PATHS[version]
    assert all("/v3" not in path and "/v4" not in path for path in (paths.list, paths.associate, paths.owners))
