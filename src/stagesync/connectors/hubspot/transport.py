"""Requests with decoded answers, repeated where that is safe.

Only what is safe to repeat is repeated, see :meth:`ReadTransport.ask` and :meth:`WriteTransport.send`; the official
client repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import TypeVar

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_exponential, wait_random

from stagesync.connectors.hubspot.answers import Undecodable, decode
from stagesync.connectors.hubspot.client import Client, Request
from stagesync.connectors.hubspot.faults import Fault, OutcomeUnknown, Refusal
from stagesync.connectors.hubspot.paths import PATHS
from stagesync.errors import ConnectionFailed
from stagesync.model.crm import Calls

__all__ = ["Client", "ReadTransport", "Request", "WriteTransport"]

T = TypeVar("T")

ATTEMPTS = 6
NO_RESULTS = b'{"results": []}'
TOO_LONG = frozenset({413, 414})
"""What an edge says of a request by its size, without a word of HubSpot's."""
PATIENCE_SECONDS = 180.0  # six silences of a minute each would be too long to keep a run waiting

log = structlog.get_logger()


class ReadTransport:
    """Requests that change nothing."""

    def __init__(self, client: Client) -> None:
        """Share ``client``."""
        self._client = client
        self.connection = client.connection
        self.lately = client.lately
        self.place = client.place
        self.paths = PATHS[client.connection.api_version]

    def ask(self, shape: type[T], request: Request, unread: Callable[[T], str] | None = None) -> T:
        """Read. Repeated after every fault that may pass, cut-off answers too, and where ``unread`` says what of the
        answer could not be read.

        Raises :class:`Refusal` (4xx), ``CredentialsRefused``, ``ConnectionFailed``.
        """

        def once() -> T:
            answer = self._decoded(shape, self._client.call(request))
            if unread is not None and (said := unread(answer)):
                failed = ConnectionFailed(f"{self.place}: HubSpot could not read all that was asked for: {said}")
                raise Fault(failed, landed=False, name="unread")
            return answer

        return self._repeated(once, always=True)

    @property
    def server_time(self) -> datetime | None:
        """The portal's own clock at its latest answer."""
        return self._client.server_time

    def calls(self) -> Calls:
        """The calls so far of all that share the client, and the portal's pool of a day."""
        return self._client.meter.calls()

    def access_token(self) -> str:
        """The token that the next call would use."""
        return self._client.access_token()

    def granted_scopes(self) -> frozenset[str]:
        """What an app's token is good for; empty where none was asked for yet, or it is no app's."""
        return self._client.granted_scopes()

    def set_time_zone(self, name: str | None) -> None:
        """Where the portal is."""
        self._client.set_time_zone(name)

    @property
    def time_zone(self) -> tzinfo:
        """The portal's; UTC before it is known, or where it is not."""
        return self._client.time_zone

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def _repeated(self, once: Callable[[], T], *, always: bool) -> T:
        try:
            return once()
        except Fault as fault:
            return self._after(fault, once, always=always)

    def _after(self, first: Fault, once: Callable[[], T], *, always: bool) -> T:
        """The answer after a first attempt that ended in a fault. Most calls need none of this, which has its price."""
        faults = [first]

        def attempt() -> T:
            if faults:
                raise faults.pop()
            return once()

        policy = Retrying(
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(PATIENCE_SECONDS),
            wait=_pause,
            retry=retry_if_exception(lambda error: isinstance(error, Fault) and (always or not error.landed)),
            sleep=self._client.sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return policy(attempt)
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

    def send(
        self,
        shape: type[T],
        request: Request,
        *,
        idempotent: bool,
        due: Callable[[Request], Request | None] | None = None,
    ) -> T:
        """Write. Repeated where HubSpot did nothing (429, 423, no connection).

        After a fault that may have carried it out it is repeated only when ``idempotent``; else it is an
        :class:`OutcomeUnknown`, as it is when the repeats run out, and where HubSpot has not said a word itself.
        ``due`` says before each repetition what of a batch is to be sent still; None where nothing is, and then the
        answer has no results. Where it cannot tell, nothing more is sent. What may have been carried out once stays
        unknown, whatever becomes of the repetitions.
        """
        faults: list[Fault] = []

        def once() -> T:
            left = _left(request, due, faults[-1]) if faults and due is not None else request
            try:
                return self._decoded(shape, NO_RESULTS if left is None else self._client.call(left))
            except Fault as fault:
                faults.append(fault)
                raise

        try:
            return self._repeated(once, always=idempotent)
        except Refusal as refusal:
            if refusal.status in TOO_LONG or not refusal.rejection.wordless:
                raise
            what = f"something answered in HubSpot's place: {refusal}; look at proxies on the way"
            raise OutcomeUnknown(f"{self.place}: {what}") from refusal
        except OutcomeUnknown:
            raise
        except ConnectionFailed as error:
            if not any(fault.landed for fault in faults):
                raise
            raise OutcomeUnknown(f"{error}; it may have been carried out before that") from error


def _left(request: Request, due: Callable[[Request], Request | None], fault: Fault) -> Request | None:
    try:
        return due(request)
    except (ConnectionFailed, Refusal) as error:
        raise fault.error from error


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
