"""How to reach one HubSpot portal."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from stagesync.connectors.hubspot.paths import PATHS
from stagesync.connectors.hubspot.tokens import OAuthApp
from stagesync.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class HubSpotConnection:
    """One portal, as the settings describe it.

    ``connection`` is the name that people gave it; every message begins with it. ``access_token`` is a service
    key's or a private app's bearer token; ``oauth`` stands in its place for an app that renews its tokens. ``timeout``
    is the seconds to connect and to wait for bytes. ``budget`` is the share of the day's calls after which StageSync
    stops, because other integrations draw from the same pool; ``calls`` in ten seconds and ``searches`` in a second
    are never exceeded (without ``calls`` the portal's answers say how many).
    ``task_table`` is the object that tasks are written to and ``task_key`` its property for a change's key,
    made with ``hasUniqueValue`` (without one, keys are written into the bodies of tasks instead).

    Raises :class:`ConfigurationError` for what cannot work, before anything is sent.
    """

    connection: str
    access_token: str = field(default="", repr=False)
    oauth: OAuthApp | None = None
    base_url: str = "https://api.hubapi.com"
    timeout: tuple[float, float] = (5, 60)
    budget: float = 0.8
    calls: int | None = None
    searches: int = 4
    task_table: str = "tasks"
    task_key: str = "stagesync_key"
    api_version: str = "v3"

    def __post_init__(self) -> None:
        """Refuse a token in clear text over a network, an unknown version, a token with a line break."""
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        token = _app_fault(self.oauth) if self.oauth is not None else _token_fault(self.access_token)
        fault = token or _url_fault(self.base_url) or _version_fault(self.api_version)
        if fault:
            raise ConfigurationError(f"connection {self.connection}: {fault}")


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
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
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
