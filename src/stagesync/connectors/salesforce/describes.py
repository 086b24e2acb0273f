"""Objects as an org describes them: many in one call, and after the first time only those that changed.

A Composite call counts as one, whatever is in it, and may hold describes:
developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-composite-post.html
A describe with ``If-Modified-Since`` is answered with 304 where the object did not change:
developer.salesforce.com/docs/platform/api-rest/guide/sobject-describe-with-ifmodified-header.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import msgspec
import structlog

from stagesync.connectors.salesforce.failures import DailyLimitReached, Refusal, RowError
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.shapes import by_reference, shaped
from stagesync.connectors.salesforce.sobjects import Seen, SObject

log = structlog.get_logger(__name__)

MOST = 25
"""Parts of a Composite call."""
MARGIN = timedelta(minutes=1)
"""How far the clocks of an org's servers may differ."""
TRUSTED = timedelta(days=1)
"""How long a 304 is believed: nothing says that a changed permission counts as a change of the object."""
LONG_AGO = datetime.fromtimestamp(0, UTC)
CHANGED, UNCHANGED, NOT_THERE = 200, 304, 404
NOT_SHOWN = frozenset({"INVALID_TYPE", "INSUFFICIENT_ACCESS"})
REALLY_REFUSED = frozenset({401, 403, 503})


class _Part(msgspec.Struct):
    httpStatusCode: int
    referenceId: str
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Composite(msgspec.Struct):
    compositeResponse: list[_Part]


def described(session: OrgSession, name: str) -> SObject | None:
    """One object as it is described now; None when it is not there for this user. It is remembered, so that another
    run asks for it together with the others."""
    call = Call(method="GET", path=_path(name), reads=True)
    try:
        sobject = session.call(call, partial(shaped, shape=SObject))
    except Refusal as error:
        # The page of something on the way has no code, and is no proof that there is no such object.
        said = error.error.code
        if said not in NOT_SHOWN and not (said and error.status == NOT_THERE):
            raise
        sobject = None
    moment = session.server_time or LONG_AGO
    session.described.seen[name] = Seen(sobject, moment, moment)
    return sobject


def described_together(session: OrgSession, names: Sequence[str]) -> dict[str, SObject | None]:
    """Those of these objects that one call (for each 25) tells of; what was seen before is asked for by its changes.

    An org that answers otherwise than documented leaves objects out: they are to be asked for one by one.
    """
    found: dict[str, SObject | None] = {}
    for start in range(0, len(names), MOST):
        found |= _together(session, names[start : start + MOST])
    return found


def _together(session: OrgSession, names: Sequence[str]) -> dict[str, SObject | None]:
    memory = session.described
    parts = [
        {
            "method": "GET",
            "url": session.versioned(_path(name)),
            "referenceId": f"d{position}",
            "httpHeaders": _conditions(memory.seen.get(name), session.server_time),
        }
        for position, name in enumerate(names)
    ]
    body = {"allOrNone": False, "collateSubrequests": False, "compositeRequest": parts}
    call = Call(method="POST", path="composite", reads=True, body=body)
    try:
        answer = session.call(call, msgspec.json.Decoder(_Composite).decode)
    except Refusal as error:
        if isinstance(error, DailyLimitReached) or error.status in REALLY_REFUSED:
            raise
        log.info("salesforce.describe.one_by_one", connection=session.connection.connection, status=error.status)
        return {}
    found: dict[str, SObject | None] = {}
    parts_of = by_reference(answer.compositeResponse, [f"d{position}" for position in range(len(names))])
    for name, part in zip(names, parts_of, strict=True):
        seen = _seen(part, memory.seen.get(name), session.server_time) if part is not None else None
        if seen is not None:
            found[name] = seen.sobject
            memory.seen[name] = seen
    return found


def _conditions(seen: Seen | None, now: datetime | None) -> Mapping[str, str]:
    if seen is None or seen.sobject is None or now is None or not timedelta(0) <= now - seen.whole < TRUSTED:
        return {}
    return {"If-Modified-Since": format_datetime(seen.at - MARGIN, usegmt=True)}


def _seen(part: _Part, before: Seen | None, now: datetime | None) -> Seen | None:
    """What one part says of an object; None where it says nothing."""
    moment = now or LONG_AGO
    if part.httpStatusCode == UNCHANGED and before is not None:
        return Seen(before.sobject, moment, before.whole)
    try:
        if part.httpStatusCode == CHANGED:
            return Seen(shaped(bytes(part.body), SObject), moment, moment)
        errors = msgspec.json.decode(part.body, type=list[RowError])
    except msgspec.DecodeError:
        errors = []
    gone = part.httpStatusCode == NOT_THERE or any(error.code in NOT_SHOWN for error in errors)
    return Seen(None, moment, moment) if gone else None


def _path(name: str) -> str:
    return f"sobjects/{name}/describe"
