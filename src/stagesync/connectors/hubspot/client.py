"""One connection to one portal: requests go out at the pace that HubSpot allows, bytes or plain errors come back.

The official client carries the requests: its REST client brings TLS, the pool, proxies and the kinds of body. What is
generated upon it is not used, for three reasons. Its methods spell v3 and v4 paths, whose support ends in 2027, while
our paths come from one table by version. Each property access builds another client with another pool, so one REST
client is kept instead. And its models cost 17 to 45 times plain decoding (``_preload_content=False`` hands over the
bytes).

The client's own retries are off (``retry=False``): they would repeat the creation of a task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hubspot import HubSpot
from hubspot.crm.objects.exceptions import ApiException
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from stagesync.connectors.bodies import whole_body
from stagesync.connectors.hubspot.answers import Granted, Undecodable, decode
from stagesync.connectors.hubspot.connection import HubSpotConnection
from stagesync.connectors.hubspot.faults import (
    BadStatus,
    DayUsedUp,
    Fault,
    OutcomeUnknown,
    Refusal,
    TokenExpired,
    meaning,
)
from stagesync.connectors.hubspot.hosts import OneHost
from stagesync.connectors.hubspot.limits import Headers, Meter, Pace, until_midnight
from stagesync.connectors.hubspot.paths import PATHS
from stagesync.connectors.hubspot.tokens import OAuthApp, Tokens
from stagesync.connectors.lately import Lately
from stagesync.errors import ConnectionFailed, CredentialsRefused, LimitReached

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""TLS did not take the certificate, and nothing was sent."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call: ``names`` fill the braces of ``path``; a ``body`` makes it a POST. A ``search`` has its own limit."""

    path: str
    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    search: bool = False

    @property
    def method(self) -> str:
        """GET, or POST with a body."""
        return "GET" if self.body is None else "POST"

    @property
    def target(self) -> str:
        """Path and query as they are sent. Commas stay as they are, which a query allows: a list of properties has
        many, and the length of a URL is limited."""
        path = self.path.format_map({name: quote(value, safe="") for name, value in self.names.items()})
        return f"{path}?{'&'.join(map(_encoded, self.query.items()))}" if self.query else path


class Client:
    """The kept REST client of one portal, shared by its reader and writer; ``timer`` counts seconds."""

    def __init__(
        self,
        connection: HubSpotConnection,
        sleep: Callable[[float], None] = time.sleep,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Build the client; nothing is sent yet."""
        self.connection = connection
        self.sleep = sleep
        self.lately = Lately(timer)
        self.place = f"{connection.connection} ({connection.base_url})"
        self.meter = Meter(connection.connection, connection.budget)
        self.server_time: datetime | None = None
        """The portal's own clock (aware, whole seconds) at its latest answer; None before, or when it does not tell."""
        self._zone: ZoneInfo | None = None
        self._pace = Pace(calls=connection.calls, searches=connection.searches, sleep=sleep, timer=timer)
        self._tokens = Tokens(connection.oauth or connection.access_token, self._granted, timer)
        url, way = connection.base_url, connection.way
        official = HubSpot(host=url, base_url=url, retry=False, **way).crm.objects.basic_api.api_client
        self._user_agent: str = official.user_agent
        self._rest = official.rest_client
        self._host = OneHost(url, connection.timeout, way["ssl_ca_cert"])
        if not way["proxy"]:
            self._rest.pool_manager.urlopen = self._host.urlopen

    def call(self, request: Request) -> bytes:
        """Send one request and return the body of a 2xx.

        Raises :class:`Fault` for what may pass, and what :func:`meaning` makes of other answers.
        """
        token = self._token(self._tokens.current)
        try:
            return self._counted(request, token)
        except TokenExpired:
            if not self._tokens.renewable:
                raise
            return self._counted(request, self._token(lambda: self._tokens.renew(token)))

    def access_token(self) -> str:
        """The token that the next call would use."""
        return self._token(self._tokens.current)

    def granted_scopes(self) -> frozenset[str]:
        """What an app's token is good for; empty where none was asked for yet, or it is no app's."""
        return self._tokens.scopes

    def set_time_zone(self, name: str | None) -> None:
        """Where the portal is: its day ends there."""
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            self._zone = ZoneInfo(name) if name else None

    @property
    def time_zone(self) -> tzinfo:
        """The portal's; UTC before it is known, or where it is not."""
        return self._zone or UTC

    def close(self) -> None:
        """Give the pooled connections back; harmless when repeated."""
        self._host.close()
        self._rest.pool_manager.clear()

    def _counted(self, request: Request, token: str) -> bytes:
        """Send within the limits; an answer tells more of them."""
        try:
            self.meter.begin(f"{request.method} {request.path.format_map(dict(request.names))}")
        except LimitReached as error:
            raise error.waiting(until_midnight(self.server_time, self._zone)) from None
        ended = self._pace.begin(search=request.search)
        try:
            return self._sent(request, token)
        except Fault as fault:
            if fault.name == "searches":
                self._pace.slow_down()
            raise
        except DayUsedUp as error:
            self.meter.refused(error)
            raise
        finally:
            ended()
            self.meter.end()

    def _sent(self, request: Request, token: str) -> bytes:
        headers = {
            "Accept": JSON,
            # The client asks for no compression; a tenth of the bytes.
            "Accept-Encoding": "gzip",
            "Authorization": f"Bearer {token}",
            "Content-Type": JSON,
            "User-Agent": self._user_agent,
        }
        return self._settled(request.method, request.target, headers, body=request.body)

    def _token(self, ask: Callable[[], str]) -> str:
        """A token. Where asking for one fails, the call that needs it has not been sent."""
        try:
            return ask()
        except Fault as fault:
            failed = ConnectionFailed(str(fault.error))
            raise Fault(failed, landed=False, pause=fault.pause, name=fault.name) from fault

    def _granted(self, app: OAuthApp) -> Granted:
        path = PATHS[self.connection.api_version].token
        try:
            headers = {"Accept": JSON, "Content-Type": FORM, "User-Agent": self._user_agent}
            body = self._settled("POST", path, headers, post_params=list(app.form().items()))
            return decode(body, Granted)
        except Refusal as refusal:
            raise CredentialsRefused(
                f"{self.place}: HubSpot gave no access token: {refusal.token_words}; check client_id, client_secret "
                "and refresh_token, and that the app is still installed in this portal"
            ) from refusal
        except Undecodable as error:
            unknown = ConnectionFailed(f"{self.place} sent a token that cannot be read: {error}")
            raise Fault(unknown, landed=False, name="undecodable") from error

    def _settled(self, method: str, target: str, headers: dict[str, str], **content: Any) -> bytes:
        """The body of a 2xx; everything else is an error of ours."""
        url, timeout = self.connection.base_url + target, self.connection.timeout
        try:
            response = self._rest.request(
                method, url, headers=headers, _preload_content=False, _request_timeout=timeout, **content
            )
            body = whole_body(response)
            self._hear(response.headers)
            return body
        except ApiException as error:
            raise self._refused(error) from error
        except ProxyError as error:
            raise self._fault_of_proxy(error) from error
        # refused, unreachable or unknown host, or none that a host can be called: nothing was sent
        except (NewConnectionError, LocationParseError) as error:
            raise self._unreachable(f"cannot connect to {self.place}", error) from error
        except ConnectTimeoutError as error:
            raise self._unreachable(f"{self.place} did not accept a connection in time", error) from error
        except (ReadTimeoutError, TimeoutError) as error:
            seconds = self.connection.timeout[1]
            unknown = OutcomeUnknown(f"{self.place} did not answer within {seconds:g} seconds; try again later")
            raise Fault(unknown, landed=True, name="timeout") from error
        except HTTPError as error:
            raise self._broken(error) from error

    def _hear(self, headers: Headers) -> None:
        self.meter.heard(headers)
        self._pace.heard(headers)
        with suppress(ValueError, TypeError):
            self.server_time = _moment(headers.get("date", ""))

    def _refused(self, error: ApiException) -> Exception:
        if not error.status:  # the client's way of saying that TLS failed
            reason = str(error.reason).replace("\n", " ")
            failed = f"{self.place}: the secure connection failed; check the address and ca_bundle: {reason}"
            # Behind a proxy it may be one that had been made, and had taken the request.
            if self.connection.way["proxy"] and UNTRUSTED not in reason:
                return Fault(OutcomeUnknown(failed), landed=True, name="tls")
            return ConnectionFailed(failed)
        body = error.body or b""
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        self._hear(headers)
        answer = BadStatus(
            status=error.status,
            body=body.encode() if isinstance(body, str) else body,
            headers=headers,
            window=self._pace.window(),
            until_midnight=until_midnight(self.server_time, self._zone),
        )
        return meaning(self.place, answer)

    def _broken(self, error: HTTPError) -> Fault:
        unknown = OutcomeUnknown(f"{self.place} broke the connection off ({type(error).__name__}); try again later")
        return Fault(unknown, landed=True, name="broken")

    def _fault_of_proxy(self, error: ProxyError) -> Fault:
        """It was not reached, or did not let the call through: nothing was sent. But urllib3 says the same of a call
        that went through and got no answer, because it forgets with a connection that there was one."""
        if isinstance(error.original_error, ConnectionError):
            return self._broken(error)
        failed = ConnectionFailed(
            f"{self.place}: the proxy lets no connection through; check the setting proxy, and the proxy itself"
        )
        return Fault(failed, landed=False, name=type(error).__name__)

    def _unreachable(self, what: str, error: HTTPError) -> Fault:
        cause = type(error).__name__
        failed = ConnectionFailed(f"{what} ({cause}); check the address, the network and the firewall")
        return Fault(failed, landed=False, name="unreachable")


@lru_cache(maxsize=256)
def _encoded(pair: tuple[str, str | int]) -> str:
    """Of a list's many calls, all but one part of the query are alike."""
    return urlencode([pair], safe=",")


@lru_cache(maxsize=1)
def _moment(text: str) -> datetime:
    """Answers come faster than the clock's seconds change."""
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
