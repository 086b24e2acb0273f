"""The one way to call an org: the current token, one renewal, patience for what is safe to repeat, our own errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec
import requests
import structlog
from simple_salesforce.api import Salesforce
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import HTTPError

from stagesync.connectors.bodies import whole_body
from stagesync.connectors.lately import Lately
from stagesync.connectors.salesforce.connection import Patience, SalesforceConnection, proxy_url
from stagesync.connectors.salesforce.failures import (
    CutOff,
    DailyLimitReached,
    Refusal,
    Unreachable,
    cut_off,
    unreachable,
)
from stagesync.connectors.salesforce.limits import Meter
from stagesync.connectors.salesforce.sobjects import Described
from stagesync.connectors.salesforce.tokens import Token, Tokens
from stagesync.connectors.salesforce.transport import mount_plain_http, open_session
from stagesync.errors import ConnectionFailed, CredentialsRefused

log = structlog.get_logger(__name__)

UNSEEN = frozenset({"INVALID_FIELD", "INVALID_TYPE"})
"""What a query is refused with when it names what the user may not see, or no longer."""
T = TypeVar("T")
Decode = Callable[[bytes], T]
DecodeAnswer = Callable[[bytes, Mapping[str, str]], T]
Sleep = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP call. ``path`` is relative to the API version, or absolute when it begins with ``/services/``.

    ``reads`` says that it changes nothing, so that it may be repeated after any failure.
    """

    method: str
    path: str
    reads: bool
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class OrgSession:
    """Calls to one org, shared by its Reader and its Writer; may be used by several threads."""

    def __init__(
        self,
        connection: SalesforceConnection,
        patience: Patience,
        sleep: Sleep = time.sleep,
        memory: Described | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self.patience = patience
        self.sleep = sleep
        self.lately = Lately(timer)
        self.meter = Meter(connection)
        proxy = proxy_url(connection.proxy)
        self._session = open_session(connection.timeout, self.meter, connection.ca_bundle, proxy)
        self._tokens = Tokens(connection, self._session)
        self._memory = memory or Described()
        self._lock = threading.Lock()
        self._client: tuple[Token, Salesforce, str] | None = None
        self.server_time: datetime | None = None
        """The org's own clock (aware, whole seconds) at its latest answer; None before, or when it does not tell."""

    @property
    def instance(self) -> str:
        """The org's own origin, in the spelling that a person can open."""
        return self._token().instance

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """The OAuth scopes of the token; None where the org did not say (a ready token)."""
        return self._token().scopes

    @property
    def described(self) -> Described:
        """What this user of this org was shown before, and may remember."""
        token = self._token()
        return self._memory.now_for((token.instance, token.user, self.connection.api_version))

    def call(self, call: Call, decode: Decode[T]) -> T:
        """The decoded answer. ``decode`` raises ``ValueError`` for what is cut off or malformed.

        Errors: :class:`~stagesync.connectors.salesforce.failures.Refusal`, ``Unreachable``, ``CutOff``,
        ``CredentialsRefused`` and ``LimitReached``: all are :class:`~stagesync.errors.ConnectionFailed`.
        """
        return self.answer(call, lambda body, _headers: decode(body))

    def answer(self, call: Call, decode: DecodeAnswer[T]) -> T:
        """As :meth:`call`, for an answer that says something in its headers too."""
        self._token()
        return self._patiently(lambda: self._authorised(call, decode), reads=call.reads)

    def close(self) -> None:
        """Give the pooled connections back; a later call opens new ones."""
        self._session.close()

    def _token(self) -> Token:
        """The current token."""
        return self._login(lambda: self._patiently(self._tokens.current, reads=True))

    def _login(self, ask: Callable[[], Token]) -> Token:
        """A token. A login that fails is no write that may have landed, whatever its own answer was."""
        try:
            return ask()
        except CredentialsRefused:
            raise
        except ConnectionFailed as error:
            raise Unreachable(str(error), sent=False) from error

    def _patiently(self, attempt: Callable[[], T], *, reads: bool) -> T:
        retrying = Retrying(
            stop=stop_after_attempt(self.patience.tries),
            wait=self._wait,
            retry=retry_if_exception(lambda error: _passing(error, reads=reads)),
            before_sleep=self._tell,
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(attempt)

    def _wait(self, state: RetryCallState) -> float:
        """Exponential with full jitter; a ``Retry-After`` is obeyed up to the longest wait."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Refusal) and error.retry_after is not None:
            return min(error.retry_after, self.patience.longest_wait)
        jitter = wait_random_exponential(multiplier=self.patience.first_wait, max=self.patience.longest_wait)
        return jitter(state)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "salesforce.call.repeated",
            connection=self.connection.connection,
            attempt=state.attempt_number,
            error=type(error).__name__,
            status=getattr(error, "status", None),
        )

    def _authorised(self, call: Call, decode: DecodeAnswer[T]) -> T:
        """One try, and a second one with a new token when the first was stale: the same headers both times."""
        token = self._tokens.current()
        try:
            return self._once(token, call, decode)
        except Refusal as error:
            if error.error.code in UNSEEN:
                self._memory.seen.clear()
            if not error.stale_token:
                raise
            if not self._tokens.renewable:
                raise CredentialsRefused(
                    f"{error} (connection {self.connection.connection} has a ready access token and no client id and "
                    f"secret to renew it with: give a new token, or another way to log in)"
                ) from error
        return self._once(self._login(lambda: self._tokens.renew(token)), call, decode)

    def _once(self, token: Token, call: Call, decode: DecodeAnswer[T]) -> T:
        client, base = self._client_for(token)
        path = call.path if call.path.startswith("/services/") else self.versioned(call.path)
        url = base + path
        body = None if call.body is None else msgspec.json.encode(call.body)
        try:
            response = client._call_salesforce(
                call.method, url, params=dict(call.params), data=body, headers=dict(call.headers), stream=True
            )
            with closing(response):
                content = whole_body(response.raw)
        except DailyLimitReached as error:
            self.meter.refused(error)
            raise
        except (requests.RequestException, HTTPError) as error:
            raise unreachable(error, token.instance + path) from error
        self._hear(response.headers.get("Date"))
        try:
            return decode(content, response.headers)
        except ValueError as error:
            raise cut_off(token.instance + path, len(content)) from error

    def _hear(self, date: str | None) -> None:
        with suppress(ValueError, TypeError):
            moment = parsedate_to_datetime(date or "")
            self.server_time = moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def versioned(self, path: str) -> str:
        """The absolute path of a resource of the API version."""
        return f"/services/data/v{self.connection.api_version}/{path}"

    def _client_for(self, token: Token) -> tuple[Salesforce, str]:
        """The library's object for a token (cheap to build, no I/O) and the base of its URLs."""
        with self._lock:
            if self._client is None or self._client[0] != token:
                base = mount_plain_http(self._session, token.instance, self.connection.timeout, self.meter)
                client = Salesforce(
                    session_id=token.access_token,
                    instance_url=base,
                    session=self._session,
                    version=self.connection.api_version,
                    object_pairs_hook=dict,
                )
                client.headers["X-PrettyPrint"] = "0"
                self._client = (token, client, base)
            return self._client[1], self._client[2]


def _passing(error: BaseException, *, reads: bool) -> bool:
    """Whether a failure may pass by itself and the call is safe to repeat."""
    if isinstance(error, Refusal):
        return error.busy if reads else error.rejected
    if isinstance(error, Unreachable):
        return reads or not error.sent
    return reads and isinstance(error, CutOff)
