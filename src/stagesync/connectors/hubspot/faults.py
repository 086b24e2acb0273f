"""What HubSpot's faults mean and how long each is waited for.

Sources: https://developers.hubspot.com/docs/api-reference/latest/error-handling and
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines, both read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

import msgspec

from stagesync.connectors.hubspot.answers import Rejection, TokenRefusal
from stagesync.connectors.hubspot.limits import WINDOW_SECONDS
from stagesync.errors import ConnectionFailed, CredentialsRefused, LimitReached
from stagesync.model.counting import counted

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
LOCK_SECONDS = 2.0
TIMED_OUT = 408
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_MOVE = timedelta(hours=24)
"""How long HubSpot says that a portal may be on its way."""
SCOPE_REMEDY = "add it to the service key, or leave the object out of the mapping"
DAILY, SECONDLY = "DAILY", "SECONDLY"


class OutcomeUnknown(ConnectionFailed):
    """A request was sent and no answer came that tells whether it took."""


class TokenExpired(CredentialsRefused):
    """401 EXPIRED_AUTHENTICATION: the token was good once."""


class ScopeMissing(CredentialsRefused):
    """403: the token lacks a scope, or the portal's plan lacks the object. ``reason`` is without the place."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DayUsedUp(LimitReached):
    """429 DAILY: no call is worth trying before midnight in the portal's time zone."""


class PortalMoving(LimitReached):
    """477: the portal is on its way to another data centre. No failure; it is back where it was asked for."""


class Refusal(Exception):
    """HubSpot understood and said no (4xx); the caller decides what that means for its records.

    ``token_words`` is what the endpoint for tokens says, in a form of its own.
    """

    def __init__(self, status: int, rejection: Rejection, token_words: str = "") -> None:
        self.status = status
        self.rejection = rejection
        self.token_words = token_words
        super().__init__(f"{rejection.words()} (HTTP {status})")


@contextmanager
def refusals_told(place: str, doing: str) -> Iterator[None]:
    """Turn a refusal that no row is to blame for into an error for a person."""
    try:
        yield
    except Refusal as refusal:
        raise ConnectionFailed(f"{place}: HubSpot refused to {doing}: {refusal}") from refusal
    except ScopeMissing as error:
        raise ScopeMissing(
            f"{place}: HubSpot refused to {doing}: {error.reason}; {SCOPE_REMEDY}", error.reason
        ) from error


class Fault(Exception):
    """A fault that may pass. ``error`` is what it becomes when the patience ends.

    ``landed`` says that the request may have been carried out, so only what is safe to repeat is repeated.
    ``pause`` is how long HubSpot wants to be left alone, in seconds; None leaves it to the policy.
    """

    def __init__(self, error: ConnectionFailed, *, landed: bool, pause: float | None = None, name: str = "") -> None:
        super().__init__(str(error))
        self.error = error
        self.landed = landed
        self.pause = pause
        self.name = name


@dataclass(frozen=True, kw_only=True)
class BadStatus:
    """An answer that is not a 2xx; headers in lower case; ``window`` is what is left of our ten seconds."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    window: float = WINDOW_SECONDS
    until_midnight: timedelta = LimitReached.wait


def meaning(place: str, answer: BadStatus) -> Exception:
    """The exception that an answer deserves. ``place`` opens messages: the connection and its URL."""
    rejection = _rejection(answer.body)
    status = answer.status
    if status == 429:
        return _limited(place, rejection, answer)
    if status in {401, 403, 530}:
        return _unauthorised(place, status, rejection)
    if status == 477:
        asked = _retry_after(answer)
        wait = LimitReached.wait if asked is None else min(timedelta(seconds=asked), LONGEST_MOVE)
        return PortalMoving(
            f"{place}: HubSpot is moving this portal to another data centre (HTTP 477){_until(answer)}"
        ).waiting(wait)
    if status == 423:
        error = ConnectionFailed(f"{place}: HubSpot keeps the records locked (HTTP 423); try again in a minute")
        return Fault(error, landed=False, pause=max(LOCK_SECONDS, _asked(answer) or 0.0), name="locked")
    if status >= 500 or status == TIMED_OUT:
        unknown = OutcomeUnknown(
            f"{place}: HubSpot went on failing (HTTP {status}); see https://status.hubspot.com, then try again"
        )
        return Fault(unknown, landed=True, pause=_asked(answer), name="unavailable")
    if 300 <= status < 400:
        return ConnectionFailed(f"{place}: the server sends the caller elsewhere (HTTP {status}); check the address")
    return Refusal(status, rejection, _token_words(answer.body))


def _limited(place: str, rejection: Rejection, answer: BadStatus) -> Exception:
    policy = _policy(rejection)
    if policy == DAILY:
        return DayUsedUp(
            f"{place}: the portal has used up its API calls for today (HTTP 429, DAILY); the count starts again at "
            "midnight in the portal's time zone, and no call is worth trying before"
        ).waiting(answer.until_midnight)
    pause = 1.0 if policy == SECONDLY else answer.window
    error = ConnectionFailed(
        f"{place}: HubSpot's call limit stayed exhausted (HTTP 429{', ' + policy if policy else ''}); "
        "other integrations may be using it, try again later"
    )
    name = "searches" if policy == SECONDLY else "limited"
    return Fault(error, landed=False, pause=_asked(answer) or pause, name=name)


def _policy(rejection: Rejection) -> str:
    """The name of the limit; where there is none the message tells: "You have reached your daily limit."."""
    name = (rejection.policy_name or "").upper()
    words = (name or rejection.message or "").lower()
    if "daily" in words:
        return DAILY
    return SECONDLY if re.search(r"(?<!ten[_ ])secondly", words) else name


def _unauthorised(place: str, status: int, rejection: Rejection) -> CredentialsRefused:
    if status == 403 and not rejection.wordless:
        scopes = ", ".join(rejection.scopes())
        reason = f"the access token lacks the scope {scopes}" if scopes else f"not allowed: {rejection.words()}"
        return ScopeMissing(f"{place}: {reason}; {SCOPE_REMEDY}", reason)
    if rejection.category == "EXPIRED_AUTHENTICATION":
        return TokenExpired(f"{place}: the access token has expired; put a new one in its place")
    if status == 403:
        return CredentialsRefused(
            f"{place}: something turned the call away without a word of HubSpot's (HTTP 403); look at proxies and "
            "firewalls on the way"
        )
    # Without a category it may have expired as well: an app asks for another one once.
    kind = TokenExpired if status == 401 and rejection.category is None else CredentialsRefused
    return kind(
        f"{place}: HubSpot refused the access token (HTTP {status}); check that it is whole, belongs to this "
        "portal and was not revoked"
    )


def _rejection(body: bytes) -> Rejection:
    """What a body says; edges answer HTML, which says nothing."""
    try:
        return msgspec.json.decode(body, type=Rejection)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Rejection()


def _token_words(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=TokenRefusal).words()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no reason given"


def _asked(answer: BadStatus) -> float | None:
    """``Retry-After`` in seconds, capped; HubSpot does not always send it."""
    seconds = _retry_after(answer)
    return None if seconds is None else min(seconds, LONGEST_PAUSE_SECONDS)


def _retry_after(answer: BadStatus) -> float | None:
    """In seconds, or until a date by the clock of who answered."""
    text = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until, now = (parsedate_to_datetime(one) for one in (text, answer.headers.get("date", "")))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _until(answer: BadStatus) -> str:
    seconds = _retry_after(answer)
    return "" if seconds is None else f", for {counted(round(seconds / 60), 'more minute')}"
