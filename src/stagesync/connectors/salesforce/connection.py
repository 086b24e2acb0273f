"""Where a Salesforce org is, how to get in, and how patient to be."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stagesync.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class SalesforceConnection:
    """One Salesforce org.

    ``connection`` is its name in the configuration. There is exactly one way to log in: ``client_secret`` (client
    credentials; ``login_url`` is then the org's My Domain, ``https://acme.my.salesforce.com``), ``private_key`` (JWT
    bearer, for ``username``; called for its PEM text at each login; ``audience`` follows the login URL if left out),
    or a ready ``access_token`` with its ``instance_url``, which cannot be renewed. ``timeout`` is (connect, read) in
    seconds for each call. ``proxy`` is a URL, perhaps with a password in it. ``budget`` is the share of the calls of
    24 hours that the org allows after which StageSync stops, because other integrations draw from the same pool.
    A whole reading of a table of more records than ``bulk_above`` goes by Bulk API 2.0.
    """

    connection: str
    login_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    private_key: Callable[[], str] | None = field(default=None, repr=False)
    audience: str | None = None
    access_token: str | None = field(default=None, repr=False)
    instance_url: str | None = None
    api_version: str = "67.0"
    timeout: tuple[float, float] = (3.05, 60)
    ca_bundle: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    budget: float = 0.8
    bulk_above: int = 50_000
    task_table: str = "Task"
    task_key: str = "StageSync_Key__c"
    fallback_owner: str | None = None
    owner_country: str | None = None


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a call that is safe to repeat is tried, and how many seconds lie between two tries at most.

    ``longest_wait`` also caps a ``Retry-After``: urllib3 would sleep whatever the server says.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0


def origin(url: str, setting: str) -> str:
    """``scheme://host[:port]`` of a URL; refuses what would send the token in clear over a network."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number, half an IPv6 address
        is_url = None
    if not is_url or not parts.hostname:
        raise ConfigurationError(f"{setting}: {url!r} is not a URL such as https://acme.my.salesforce.com")
    if parts.username or parts.password:
        raise ConfigurationError(f"{setting}: a user name or password in the URL is not used; remove it")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(f"{setting}: {url} would send the token in clear; use https://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def proxy_url(url: str | None) -> str | None:
    """A proxy's URL, checked; the text of an error shows none of it, since it may hold a password."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        named = None
    if not named:
        raise ConfigurationError("proxy: write a URL such as http://proxy.example:3128")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
