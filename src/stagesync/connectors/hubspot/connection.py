"""How to reach one HubSpot portal."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from urllib3.util import make_headers

from stagesync.connectors.hubspot.paths import PATHS
from stagesync.connectors.hubspot.tokens import OAuthApp
from stagesync.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class HubSpotConnection:
    """One portal, as the settings describe it.

    ``connection`` is the name that people gave it; every message begins with it. ``access_token`` is a service
    key's or a private app's bearer token; ``oauth`` stands in its place for an app that renews its tokens. ``timeout``
    is the seconds to connect and to wait for bytes. ``ca_bundle`` is a file of certificates in place of the well-known
    ones, ``proxy`` a URL, perhaps with a password in it; what stays on this machine goes without. ``budget`` is the
    share of the day's calls after which StageSync stops, because other integrations draw from the same pool;
    ``calls`` in ten seconds and ``searches`` in a second are never exceeded (without ``calls`` the portal's answers
    say how many).
    ``task_table`` is the object that tasks are written to and ``task_key`` its property for a change's key,
    made with ``hasUniqueValue`` (without one, keys are written into the bodies of tasks instead).

    Raises :class:`ConfigurationError` for what cannot work, before anything is sent.
    """

    connection: str
    access_token: str = field(default="", repr=False)
    oauth: OAuthApp | None = None
    base_url: str = "https://api.hubapi.com"
    timeout: tuple[float, float] = (5, 60)
    ca_bundle: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    budget: float = 0.8
    calls: int | None = None
    searches: int = 4
    task_table: str = "tasks"
    task_key: str = "stagesync_key"
    api_version: str = "v3"

    @property
    def way(self) -> dict[str, Any]:
        """The way to the portal, as the official client is told it; None for what it chooses itself."""
        host = urlsplit(self.base_url).hostname or ""
        parts = urlsplit(self.proxy) if self.proxy and not _is_loopback(host) else None
        named = parts is not None and parts.username is not None
        password = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts and named else None
        return {
            "ssl_ca_cert": str(self.ca_bundle) if self.ca_bundle else None,
            "proxy": parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts else None,
            "proxy_headers": make_headers(proxy_basic_auth=password) if password else None,
        }

    def __post_init__(self) -> None:
        """Refuse a token in clear text over a network, an unknown version, a token with a line break."""
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        token = _app_fault(self.oauth) if self.oauth is not None else _token_fault(self.access_token)
        fault = token or _url_fault(self.base_url) or _version_fault(self.api_version) or _way_fault(self)
        if fault:
            raise ConfigurationError(f"connection {self.connection}: {fault}")


def _way_fault(connection: HubSpotConnection) -> str | None:
    """What is wrong with the way there; no word shows the proxy, which may hold a password."""
    if connection.ca_bundle is not None:
        try:
            ssl.create_default_context(cafile=connection.ca_bundle)
        except OSError as error:  # an SSLError is one too
            said = error.strerror or error
            return f"ca_bundle: {connection.ca_bundle} cannot be read as certificates in PEM form: {said}"
    if connection.proxy is None:
        return None
    try:
        parts = urlsplit(connection.proxy)
        named = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        named = None
    return None if named else "proxy: write a URL such as http://proxy.example:3128"


def _token_fault(token: str) -> str | None:
    if not token:
        return "there is no access token; set the variable or the file that the connection names"
    if not token.isascii() or not token.isprintable() or " " in token:
        return "the access token holds a blank, a line break or a character that no token has; copy it again"
    return None


def _app_fault(app: OAuthApp) -> str | None:
    missing = [name for name in ("client_id", "client_secret", "refresh_token") if not getattr(app, name)]
    return f"to renew the access token, {' and '.join(missing)} must be given too" if missing else None


def _url_fault(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return f"{url!r} is not an address: {error}"
    if parts.username or parts.password:
        return "the address holds a user name or a password; credentials do not belong there"
    written = url.isascii() and url.isprintable() and " " not in url
    if not written or not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        return f"{url!r} is not an address such as https://api.hubapi.com"
    if parts.scheme == "http" and not _is_loopback(host):
        return f"{url} would send the access token in clear text; use https://"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _version_fault(version: str) -> str | None:
    if version in PATHS:
        return None
    return f"unknown HubSpot API version {version!r}; use one of {', '.join(PATHS)}"
