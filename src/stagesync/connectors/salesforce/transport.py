"""The HTTP session under simple-salesforce: timeouts, headers, TLS and refusals are settled here, once for all calls.

The library sets no timeout, follows the environment (``~/.netrc`` replaces the bearer token, ``*_PROXY`` and
``REQUESTS_CA_BUNDLE`` interfere), turns errors into classes without the response's headers, and always says https.
"""

from __future__ import annotations

import ssl
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from stagesync.connectors.salesforce.failures import refusal
from stagesync.connectors.salesforce.limits import HEADER, Meter
from stagesync.errors import ConfigurationError

Timeout = tuple[float, float]


class MeteredAdapter(HTTPAdapter):
    """An adapter that never waits for ever, and counts what is sent. Raises LimitReached instead of sending."""

    def __init__(self, timeout: Timeout, meter: Meter) -> None:
        self.timeout = timeout
        self.meter = meter
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        place = str(request.url).partition("?")[0]
        self.meter.sending(str(request.method), place)
        try:
            response = super().send(request, *args, **kwargs)
        finally:
            self.meter.ended(place)
        self.meter.heard(response.headers.get(HEADER))
        return response


class PlainHTTPAdapter(MeteredAdapter):
    """Speaks http where simple-salesforce can only say https; mounted for one loopback origin alone."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = "http://" + str(request.url).removeprefix("https://")
        kwargs["proxies"] = {}  # what stays on this machine needs no proxy
        return super().send(request, *args, **kwargs)


def open_session(
    timeout: Timeout, meter: Meter, ca_bundle: Path | None = None, proxy: str | None = None
) -> requests.Session:
    """A session that raises :class:`~stagesync.connectors.salesforce.failures.Refusal` for every status from 300 on.

    A redirect is such a refusal too: requests would turn a redirected PATCH into a GET and call it a success.
    Raises ConfigurationError for a bundle of certificates that cannot be read.
    """
    product = f"StageSync/{version('stagesync')}"
    session = requests.Session()
    session.trust_env = False
    session.verify = _checked(ca_bundle) if ca_bundle else True
    if proxy is not None:
        session.proxies = {"https": proxy}
    session.headers.update(
        {
            "User-Agent": product,
            "Accept-Encoding": "gzip, deflate",
            # Updating a lead re-runs the assignment rules by default and may change its owner:
            # developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_autoassign.htm
            "Sforce-Auto-Assign": "FALSE",
            "Sforce-Call-Options": f"client={product}",
        }
    )
    session.mount("https://", MeteredAdapter(timeout, meter))
    session.mount("http://", MeteredAdapter(timeout, meter))
    session.hooks["response"].append(_refuse)
    return session


def _checked(ca_bundle: Path) -> str:
    try:
        ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:  # an SSLError is one too
        raise ConfigurationError(
            f"ca_bundle: {ca_bundle} cannot be read as certificates in PEM form: {error.strerror or error}"
        ) from error
    return str(ca_bundle)


def mount_plain_http(session: requests.Session, origin: str, timeout: Timeout, meter: Meter) -> str:
    """The https spelling of an origin; a plain one (loopback, already checked) is spoken as http underneath."""
    if origin.startswith("https://"):
        return origin
    spelling = "https://" + origin.removeprefix("http://")
    # With the slash: "https://127.0.0.1:80" would be a prefix of port 8099 as well.
    session.mount(spelling + "/", PlainHTTPAdapter(timeout, meter))
    return spelling


def _refuse(response: requests.Response, *_: Any, **__: Any) -> None:
    if response.status_code >= 300:
        raise refusal(response)
