"""What HubSpot's faults mean and how long each is waited for.

Sources: https://developers.hubspot.com/docs/api-reference/latest/error-handling and
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines, both read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from stagesync.connectors.hubspot.answers import Rejection
from stagesync.errors import ConnectionFailed, CredentialsRefused

WINDOW_SECONDS = 10.0
LOCK_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0


class OutcomeUnknown(ConnectionFailed):
    """A request was sent and no answer came that tells whether it took."""


class ScopeMissing(CredentialsRefused):
    """403: the token lacks a scope, or the portal's plan lacks the object. ``reason`` is without the place."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refusal(Exception):
    """HubSpot understood and said no (4xx); the caller decides what that means for its records."""

    def __init__(self, status: int, rejection: Rejection) -> None:
        self.status = status
        self.rejection = rejection
        super().__init__(f"{rejection.words()} (HTTP {status})")


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


def meaning(place: str, answer: BadStatus) -> Exception:
    """The exception that an answer deserves. ``place`` opens messages: the connection and its URL."""
    rejection = _rejection(answer.body)
    status = answer.status
    if status == 429:
        return _limited(place, rejection, answer)
    if status in {401, 403, 530}:
        return _unauthorised(place, status, rejection)
    if status == 477:
        return ConnectionFailed(
            f"{place}: HubSpot is moving this portal to another data centre (HTTP 477){_until(answer)}; "
            "StageSync goes on by itself at the next run after that"
        )
    if status == 423:
        error = ConnectionFailed(f"{place}: HubSpot keeps the records locked (HTTP 423); try again in a minute")
        return Fault(error, landed=False, pause=max(LOCK_SECONDS, _asked(answer) or 0.0), name="locked")
    if status >= 500:
        unknown = OutcomeUnknown(
            f"{place}: HubSpot went on failing (HTTP {status}); see https://status.hubspot.com, then try again"
        )
        return Fault(unknown, landed=True, pause=_asked(answer), name="unavailable")
    if 300 <= status < 400:
        return ConnectionFailed(f"{place}: the server sends the caller elsewhere (HTTP {status}); check the address")
    return Refusal(status, rejection)


def _limited(place: str, rejection: Rejection, answer: BadStatus) -> Exception:
    policy = rejection.policy_name or ""
    if policy == "DAILY":
        return ConnectionFailed(
            f"{place}: the portal has used up its API calls for today (HTTP 429, DAILY); the count starts again at "
            "midnight in the portal's time zone, and no call is worth trying before"
        )
    pause = 1.0 if policy == "SECONDLY" else answer.window
    error = ConnectionFailed(
        f"{place}: HubSpot's call limit stayed exhausted (HTTP 429{', ' + policy if policy else ''}); "
        "other integrations may be using it, try again later"
    )
    return Fault(error, landed=False, pause=_asked(answer) or pause, name="limited")


def _unauthorised(place: str, status: int, rejection: Rejection) -> CredentialsRefused:
    if status == 403:
        scopes = ", ".join(rejection.scopes())
        reason = f"the access token lacks the scope {scopes}" if scopes else f"not allowed: {rejection.words()}"
        return ScopeMissing(
            f"{place}: {reason}; add it to the service key, or leave the object out of the mapping", reason
        )
    if rejection.category == "EXPIRED_AUTHENTICATION":
        return CredentialsRefused(f"{place}: the access token has expired; put a new one in its place")
    return CredentialsRefused(
        f"{place}: HubSpot refused the access token (HTTP {status}); check that it is whole, belongs to this "
        "portal and was not revoked"
    )


def _rejection(body: bytes) -> Rejection:
    """What a body says; edges answer HTML, which says nothing."""
    try:
        return msgspec.json.decode(body, type=Rejection)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Rejection()


def _asked(answer: BadStatus) -> float | None:
    """``Retry-After`` in seconds, capped; HubSpot does not always send it and never as a date."""
    seconds = _retry_after(answer)
    return None if seconds is None else min(seconds, LONGEST_PAUSE_SECONDS)


def _retry_after(answer: BadStatus) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and text.isascii() else None


def _until(answer: BadStatus) -> str:
    seconds = _retry_after(answer)
    return "" if seconds is None else f", for {seconds / 60:.0f} more minutes"
