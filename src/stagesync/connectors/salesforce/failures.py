"""What can go wrong in a call, told apart by what may be done next. Salesforce is judged by its code, not by status.

ConnectionFailed
├── Unreachable      no answer; ``sent`` says whether the request may have arrived
├── CutOff           an answer that cannot be decoded
├── Refusal          an answer that says no
│   ├── AccessRefused  ... because of the credentials or their permissions (also a CredentialsRefused)
│   └── DailyLimitReached  ... because the org's calls of the day are used up (also a LimitReached)

Codes: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import msgspec
import requests
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from stagesync.connectors.salesforce.limits import HEADER, api_usage
from stagesync.errors import ConnectionFailed, CredentialsRefused, LimitReached

LOCKED = "UNABLE_TO_LOCK_ROW"
CONFLICT = "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK"
EXPIRED_LOCATOR = "INVALID_QUERY_LOCATOR"
TOO_HEAVY = frozenset({"QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "OPERATION_TOO_LARGE"})
LIMIT = "REQUEST_LIMIT_EXCEEDED"
BUSY_CODES = frozenset({LOCKED, "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"})
LOGIN_BUSY = frozenset({"unknown_error", "server_error", "temporarily_unavailable"})
"""What the token endpoint answers, also with status 400 ("retry your request"), whatever the credentials are."""
BUSY_STATUSES = frozenset({420, 429, 502, 503, 504})
# 401 answers that a new token does not cure; jsforce 3 (lib/http-api.js) lists the same two.
PERMANENT_401 = {
    "not valid for use with the REST API": (
        "The session may not use the REST API: give the app the OAuth scope 'api', and look at the session security "
        "level that the user's profile asks for"
    ),
    "Connected app is not attached to Agent": (
        "The app of this token may only serve an agent that it is attached to: make an app of its own for StageSync"
    ),
}
MY_DOMAIN = "set login_url and instance_url to the org's My Domain (https://acme.my.salesforce.com)"
CLOCKS_DIFFER = 60.0
"""Seconds. Less is ordinary; an assertion is valid for three minutes."""


class RowError(msgspec.Struct, frozen=True):
    """One error as Salesforce words it; collections say ``statusCode`` where all else says ``errorCode``."""

    message: str = ""
    errorCode: str = ""
    statusCode: str = ""
    fields: list[str] | None = None

    @property
    def code(self) -> str:
        return self.errorCode or self.statusCode

    def __str__(self) -> str:
        return ": ".join(word for word in (self.code, self.message) if word)

    @property
    def locked(self) -> bool:
        """A trigger or flow hides the lock in its message."""
        return self.code == LOCKED or LOCKED in self.message

    @property
    def concurrent(self) -> bool:
        """One code for two limits: too many calls at once passes in seconds, the daily one does not."""
        return self.code == LIMIT and "oncurrent" in self.message


class Denied(msgspec.Struct, frozen=True):
    """The token endpoint's error."""

    error: str
    error_description: str = ""


class Unreachable(ConnectionFailed):
    """No answer came. ``sent`` is False only when the request surely never left."""

    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)


class CutOff(ConnectionFailed):
    """An answer came that is not what Salesforce documents: cut off, or a proxy's page."""


class Refusal(ConnectionFailed):
    """Salesforce (or something before it) answered no."""

    def __init__(
        self, message: str, *, status: int, error: RowError, retry_after: float | None, ahead: float | None = None
    ) -> None:
        self.status = status
        self.error = error
        self.retry_after = retry_after
        self.ahead = ahead
        super().__init__(message)

    @property
    def clocks(self) -> str:
        """A sentence on this machine's clock, where it and Salesforce's differ by so much that logins may fail."""
        if self.ahead is None or abs(self.ahead) < CLOCKS_DIFFER:
            return ""
        way = "ahead of" if self.ahead > 0 else "behind"
        return f". The clock of this machine is {abs(self.ahead):,.0f} s {way} Salesforce's: set it"

    @property
    def stale_token(self) -> bool:
        """Whether a new token may help."""
        return self.status == 401 and not any(text in self.error.message for text in PERMANENT_401)

    @property
    def rejected(self) -> bool:
        """Turned away before anything was done, for a reason that passes soon: safe to repeat, whatever it was."""
        return self.status in {420, 429} or self.error.concurrent

    @property
    def busy(self) -> bool:
        """A reason that passes soon, though something may have been done already."""
        wordless = self.status >= 500 and not self.error.code  # an edge's page, not the org's answer
        return (
            self.rejected
            or wordless
            or self.status in BUSY_STATUSES
            or self.error.code in BUSY_CODES | LOGIN_BUSY
            or self.error.locked
        )


class AccessRefused(Refusal, CredentialsRefused):
    """The token or its user's permissions do not do."""


class DailyLimitReached(Refusal, LimitReached):
    """The org's API calls of the last 24 hours are used up."""


def unsettled(error: ConnectionFailed) -> bool:
    """Whether a write that ended like this may have landed."""
    if isinstance(error, Unreachable):
        return error.sent
    if not isinstance(error, Refusal):
        return isinstance(error, CutOff)
    # The page of something on the way has no code: whether the org heard of the write, it does not tell.
    wordless = not error.error.code and error.status >= 400 and error.status not in {401, 403}
    return error.status >= 500 or (wordless and not error.rejected)


def unreachable(error: requests.RequestException | HTTPError, url: str) -> Unreachable:
    """What a transport error means. The text names the place and the remedy, never a header or a body."""
    reason = error.args[0] if error.args else None
    never_sent = isinstance(error, requests.ConnectTimeout) or (
        isinstance(reason, MaxRetryError) and isinstance(reason.reason, NewConnectionError)
    )
    if isinstance(error, requests.exceptions.ProxyError):
        said, remedy = "the proxy lets no connection through", "check the setting proxy, and the proxy itself"
    elif isinstance(error, requests.exceptions.SSLError):
        said, remedy = "the TLS handshake failed", "check the URL and ca_bundle"
    elif isinstance(error, requests.Timeout):
        said, remedy = "no answer in time", "see status.salesforce.com, or raise the timeout"
    elif never_sent:
        said, remedy = "nothing answers there", "check the URL, and that the network lets StageSync out"
    else:
        said, remedy = "the connection broke", "try again; if it persists, look at proxies on the way"
    return Unreachable(f"cannot reach Salesforce at {_place(url)}: {said}; {remedy}", sent=not never_sent)


def refusal(response: requests.Response) -> Refusal:
    """The refusal in a response with a status from 300 on."""
    error = _first_error(response.content)
    status = response.status_code
    kind = AccessRefused if _about_access(status, error) else Refusal
    if error.code == LIMIT and not error.concurrent:
        kind = DailyLimitReached
    usage = api_usage(response.headers.get(HEADER))
    return kind(
        f"Salesforce at {_place(response.url)} answered {status}: {_explained(status, error, usage)}",
        status=status,
        error=error,
        retry_after=_seconds(response.headers.get("Retry-After")),
        ahead=_ahead(response.headers.get("Date")),
    )


def cut_off(url: str, size: int, remedy: str = "try again") -> CutOff:
    """An answer that ends early or is no JSON."""
    return CutOff(
        f"Salesforce at {_place(url)} sent an answer of {size} bytes that cannot be decoded (cut off, or a page of a "
        f"proxy); {remedy}"
    )


def _place(url: str | None) -> str:
    return str(url).partition("?")[0]


def _first_error(body: bytes) -> RowError:
    """REST answers with a list of errors, the token endpoint with one object, a proxy with a page."""
    try:
        answer = msgspec.json.decode(body, type=list[RowError] | Denied)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return RowError()
    if isinstance(answer, Denied):
        return RowError(message=answer.error_description, errorCode=answer.error)
    return answer[0] if answer else RowError()


def _about_access(status: int, error: RowError) -> bool:
    return status == 401 or (status == 403 and error.code != LIMIT)


def _explained(status: int, error: RowError, usage: tuple[int, int] | None) -> str:
    said = str(error) or "no reason given"
    if error.code == LIMIT and not error.concurrent:
        counted = f" ({usage[0]:,} of {usage[1]:,})" if usage else ""
        return (
            f"{said} The org's API calls of the last 24 hours are used up{counted}; StageSync does not try again in "
            f"this run. Run it less often, look for what else uses the API, or raise the limit"
        )
    said = said.removesuffix(".")
    for text, remedy in PERMANENT_401.items():
        if status == 401 and text in error.message:
            return f"{said}. {remedy}"
    if status == 401:
        return f"{said}. Renew the access token, or check client id, secret and the app's session policies"
    if status == 403 and error.code != LIMIT:
        return (
            f"{said}. Check the permissions of the user that StageSync runs as (API Enabled, object and field access)"
        )
    if error.code in {"INVALID_FIELD", "INVALID_TYPE"}:
        return f"{said}. If the user may no longer read it, the next run says so: it is unknown then"
    if error.code == "OPERATION_TOO_LARGE":
        return f"{said}. Let StageSync's user see all of them ('View All Data'): it is the sharing that costs so much"
    if status == 410 or error.code == "UNSUPPORTED_API_VERSION":
        return f"{said}. Set api_version to one that the org still serves"
    if status == 404 and not error.code:
        return f"nothing of an org is there; {MY_DOMAIN}"
    if status == 404:
        return f"{said}. If the org does not serve this version of the API, set api_version to one that it serves"
    if status < 400:
        return f"a redirect; {MY_DOMAIN}"
    return str(error) or said


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, which may be a number or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _ahead(date: str | None) -> float | None:
    """By how many seconds this machine's clock is ahead of the one that wrote a ``Date`` header."""
    if date is None:
        return None
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
