"""The HTTP session under simple-salesforce: timeouts, headers, TLS and refusals are settled here, once for all calls.

The library sets no timeout, follows the environment (``~/.netrc`` replaces the bearer token, ``*_PROXY`` and
``REQUESTS_CA_BUNDLE`` interfere), turns errors into classes without the response's headers, and always says https.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from stagesync.connectors.salesforce.failures import refusal

Timeout = tuple[float, float]


class TimedAdapter(HTTPAdapter):
    """An adapter that never waits for ever."""

    def __init__(self, timeout: Timeout) -> None:
        self.timeout = timeout
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        return super().send(request, *args, **kwargs)


class PlainHTTPAdapter(TimedAdapter):
    """Speaks http where simple-salesforce can only say https; mounted for one loopback origin alone."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = "http://" + str(request.url).removeprefix("https://")
        return super().send(request, *args, **kwargs)


def open_session(timeout: Timeout, ca_bundle: str | None) -> requests.Session:
    """A session that raises :class:`~stagesync.connectors.salesforce.failures.Refusal` for every status from 300 on.

    A redirect is such a refusal too: requests would turn a redirected PATCH into a GET and call it a success.
    """
    product = f"StageSync/{version('stagesync')}"
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_bundle or True
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
    session.mount("https://", TimedAdapter(timeout))
    session.mount("http://", TimedAdapter(timeout))
    session.hooks["response"].append(_refuse)
    return session


def mount_plain_http(session: requests.Session, origin: str, timeout: Timeout) -> str:
    """The https spelling of an origin; a plain one (loopback, already checked) is spoken as http underneath."""
    if origin.startswith("https://"):
        return origin
    spelling = "https://" + origin.removeprefix("http://")
    # With the slash: "https://127.0.0.1:80" would be a prefix of port 8099 as well.
    session.mount(spelling + "/", PlainHTTPAdapter(timeout))
    return spelling


def _refuse(response: requests.Response, *_: Any, **__: Any) -> None:
    if response.status_code >= 300:
        raise refusal(response)
