"""Where a Salesforce org is, how to get in, and how patient to be."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stagesync.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class SalesforceConnection:
    """One Salesforce org.

    ``connection`` is its name in the configuration. ``login_url`` is the org's My Domain
    (``https://acme.my.salesforce.com``): the client-credentials flow refuses login.salesforce.com and
    test.salesforce.com. A ready ``access_token`` with its ``instance_url`` is used first, when given; without a
    client id and secret it cannot be renewed. ``timeout`` is (connect, read) in seconds for each call.
    """

    connection: str
    login_url: str
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    api_version: str = "67.0"
    access_token: str | None = field(default=None, repr=False)
    instance_url: str | None = None
    timeout: tuple[float, float] = (3.05, 60)
    ca_bundle: Path | None = None
    task_table: str = "Task"
    task_key: str = "StageSync_Key__c"


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
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{setting}: {url!r} is not a URL such as https://acme.my.salesforce.com")
    if parts.username or parts.password:
        raise ConfigurationError(f"{setting}: a user name or password in the URL is not used; remove it")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(f"{setting}: {url} would send the token in clear; use https://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
