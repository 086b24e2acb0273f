"""One connection to one portal: requests go out, decoded answers or errors for a person come back.

The official client carries the requests: its ``ApiClient`` brings TLS, the pool, authorisation and encoding of
parameters. Its generated methods are not used, for three reasons. They spell v3 and v4 paths, whose support
ends in 2027, while our paths come from one table by version. Each property access builds another client with
another pool, so an ``ApiClient`` is kept instead. And their models cost 17 to 45 times plain decoding
(``_preload_content=False`` hands over the bytes).

The client's own retries are off (``retry=False``): they would repeat the creation of a task. Only what is safe
to repeat is repeated here, see :meth:`ReadTransport.ask` and :meth:`WriteTransport.send`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import structlog
from hubspot import HubSpot
from hubspot.crm.objects.exceptions import ApiException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_exponential, wait_random
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from stagesync.connectors.hubspot.answers import Undecodable, decode
from stagesync.connectors.hubspot.connection import HubSpotConnection
from stagesync.connectors.hubspot.faults import WINDOW_SECONDS, BadStatus, Fault, OutcomeUnknown, meaning
from stagesync.connectors.hubspot.paths import PATHS
from stagesync.errors import ConnectionFailed

T = TypeVar("T")

ATTEMPTS = 6
PATIENCE_SECONDS = 180.0  # six silences of a minute each would be too long to keep a run waiting
CALLS_REMEMBERED = 250  # the highest limit that HubSpot sells for ten seconds

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call: ``names`` fill the braces of ``path``; a ``body`` makes it a POST. A ``search`` has its own limit."""

    path: str
    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    search: bool = False


class Client:
    """The kept ``ApiClient`` of one portal, shared by its reader and writer."""

    def __init__(self, connection: HubSpotConnection, sleep: Callable[[float], None] = time.sleep) -> None:
        """Build the client; nothing is sent yet."""
        self.connection = connection
        self.sleep = sleep
        self.place = f"{connection.connection} ({connection.base_url})"
        url = connection.base_url
        official = HubSpot(access_token=connection.access_token, host=url, base_url=url, retry=False)
        self._api = official.crm.objects.basic_api.api_client
        self._calls: deque[float] = deque(maxlen=CALLS_REMEMBERED)
        self.server_time: datetime | None = None
        """The portal's own clock (aware, whole seconds) at its latest answer; None before, or when it does not tell."""

    def call(self, request: Request) -> bytes:
        """Send one request and return the body of a 2xx.

        Raises :class:`Fault` for what may pass, and what :func:`meaning` makes of other answers.
        """
        self._calls.append(time.monotonic())
        try:
            return self._sent(request)
        except NewConnectionError as error:  # refused, unreachable or unknown host: nothing was sent
            raise self._unreachable(f"cannot connect to {self.place}", error) from error
        except ConnectTimeoutError as error:
            raise self._unreachable(f"{self.place} did not accept a connection in time", error) from error
        except ReadTimeoutError as error:
            seconds = self.connection.timeout[1]
            unknown = OutcomeUnknown(f"{self.place} did not answer within {seconds:g} seconds; try again later")
            raise Fault(unknown, landed=True, name="timeout") from error
        except HTTPError as error:
            unknown = OutcomeUnknown(f"{self.place} broke the connection off ({type(error).__name__}); try again later")
            raise Fault(unknown, landed=True, name="broken") from error

    def close(self) -> None:
        """Give the pooled connections back; harmless when repeated."""
        self._api.rest_client.pool_manager.clear()

    def _sent(self, request: Request) -> bytes:
        try:
            response = self._api.call_api(
                request.path,
                "GET" if request.body is None else "POST",
                path_params=dict(request.names),
                query_params=dict(request.query),
                header_params={
                    "Accept": "application/json",
                    "Content-Type": "application/json",
                    "Accept-Encoding": "gzip",  # the client asks for none; a tenth of the bytes
                },
                body=request.body,
                auth_settings=["oauth2"],
                _preload_content=False,
                _request_timeout=self.connection.timeout,
            )
            body = bytes(response.data)
            self._hear(response.headers.get("Date"))
            return body
        except ApiException as error:
            raise self._refused(error) from error
        except UnicodeDecodeError as error:
            # The client decodes error bodies as UTF-8; when an edge answers in another encoding, the answer
            # is in the context of the decoder's error.
            if isinstance(error.__context__, ApiException):
                raise self._refused(error.__context__) from error
            raise

    def _hear(self, date: str | None) -> None:
        with suppress(ValueError, TypeError):
            moment = parsedate_to_datetime(date or "")
            self.server_time = moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _refused(self, error: ApiException) -> Exception:
        if not error.status:  # the client's way of saying that TLS failed
            reason = str(error.reason).replace("\n", " ")
            return ConnectionFailed(f"{self.place}: the secure connection failed: {reason}")
        body = error.body or b""
        answer = BadStatus(
            status=error.status,
            body=body.encode() if isinstance(body, str) else body,
            headers={name.lower(): value for name, value in (error.headers or {}).items()},
            window=self._window(),
        )
        return meaning(self.place, answer)

    def _window(self) -> float:
        """Seconds until the oldest of our calls leaves the rolling window."""
        now = time.monotonic()
        oldest = next((moment for moment in self._calls if moment > now - WINDOW_SECONDS), now)
        return max(0.5, oldest + WINDOW_SECONDS - now)

    def _unreachable(self, what: str, error: HTTPError) -> Fault:
        cause = type(error).__name__
        failed = ConnectionFailed(f"{what} ({cause}); check the address, the network and the firewall")
        return Fault(failed, landed=False, name="unreachable")


class ReadTransport:
    """Requests that change nothing."""

    def __init__(self, client: Client) -> None:
        """Share ``client``."""
        self._client = client
        self.connection = client.connection
        self.place = client.place
        self.paths = PATHS[client.connection.api_version]

    def ask(self, shape: type[T], request: Request) -> T:
        """Read. Repeated after every fault that may pass, cut-off answers too.

        Raises :class:`Refusal` (4xx), ``CredentialsRefused``, ``ConnectionFailed``.
        """
        return self._repeated(shape, request, always=True)

    @property
    def server_time(self) -> datetime | None:
        """The portal's own clock at its latest answer."""
        return self._client.server_time

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def _repeated(self, shape: type[T], request: Request, *, always: bool) -> T:
        def once() -> T:
            return self._decoded(shape, self._client.call(request))

        policy = Retrying(
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(PATIENCE_SECONDS),
            wait=_pause,
            retry=retry_if_exception(lambda error: isinstance(error, Fault) and (always or not error.landed)),
            sleep=self._client.sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return policy(once)
        except Fault as fault:
            raise fault.error from fault.__cause__

    def _decoded(self, shape: type[T], body: bytes) -> T:
        try:
            return decode(body, shape)
        except Undecodable as error:
            unknown = OutcomeUnknown(f"{self._client.place} sent an answer that cannot be read: {error}")
            raise Fault(unknown, landed=True, name="undecodable") from error


class WriteTransport(ReadTransport):
    """Requests that change something."""

    def send(self, shape: type[T], request: Request, *, idempotent: bool) -> T:
        """Write. Repeated where HubSpot did nothing (429, 423, no connection).

        After a fault that may have carried it out it is repeated only when ``idempotent``; else it is an
        :class:`OutcomeUnknown`, as it is when the repeats run out.
        """
        return self._repeated(shape, request, always=idempotent)


_BACK_OFF = wait_exponential(multiplier=0.5, max=20)
_JITTER = wait_random(0, 1)


def _pause(state: RetryCallState) -> float:
    """What HubSpot asks for plus up to a second, so that several agents do not come back together."""
    fault = _fault(state)
    if fault is None or fault.pause is None:
        return float(_BACK_OFF(state)) + float(_JITTER(state))
    return fault.pause + float(_JITTER(state))


def _fault(state: RetryCallState) -> Fault | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Fault) else None


def _log_retry(state: RetryCallState) -> None:
    fault = _fault(state)
    log.warning(
        "hubspot.retry",
        fault=fault.name if fault else "",
        attempt=state.attempt_number,
        seconds=round(state.upcoming_sleep, 2),
    )
