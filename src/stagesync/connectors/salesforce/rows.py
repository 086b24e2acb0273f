"""Many rows in one call: what became of each, with locked rows tried again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog

from stagesync.connectors.salesforce.failures import BUSY_CODES, CONFLICT, LIMIT, Refusal, RowError, unsettled
from stagesync.connectors.salesforce.session import Call, OrgSession
from stagesync.connectors.salesforce.shapes import by_reference, shaped
from stagesync.errors import ConnectionFailed, LimitReached
from stagesync.model.changes import Change, Halt, Outcome, Result

log = structlog.get_logger(__name__)

# developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/requests_composite.htm
COMPOSITE_CALLS = 25
# developer.salesforce.com/docs/atlas.en-us.252.0.api_rest.meta, resources_composite_sobjects_collections_update.htm
COLLECTION_ROWS = 200

GONE_CODES = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"})
CONVERTED = "CANNOT_UPDATE_CONVERTED_LEAD"
BAD_VALUE = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
FULL = "STORAGE_LIMIT_EXCEEDED"
OF_ANOTHER = frozenset({"ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"})
"""Errors of a row that another row of its call is to blame for."""
POLICY = "TXN_SECURITY"  # TXN_SECURITY_METERING_ERROR and its like
NO_ERROR = RowError()

I = TypeVar("I")  # noqa: E741  # an item of a batch
Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """An update of one record that holds only if nobody modified it since ``unmodified_since`` (an HTTP date).

    ``target`` is equal for patches that give the same values: where the org does not take them for one record, it
    will not for the next.
    """

    path: str
    target: str
    fields: Body
    unmodified_since: str | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of one row. ``lost`` means that it may have landed, ``conflict`` that the precondition failed.

    ``halt`` says what else the org would not take, ``wait`` for how long.
    """

    ok: bool = False
    crm_id: str | None = None
    created: bool | None = None
    conflict: bool = False
    lost: bool = False
    passing: bool = False
    error: RowError = NO_ERROR
    halt: Halt | None = None
    wait: timedelta | None = None

    @property
    def gone(self) -> bool:
        """The record, or one that the row names, is deleted or hidden."""
        return not self.ok and self.error.code in GONE_CODES

    @property
    def locked(self) -> bool:
        return not self.ok and self.error.locked

    @property
    def said(self) -> str:
        """The CRM's own words."""
        return str(self.error)


NO_ANSWER = Answer(lost=True, error=RowError(message="Salesforce gave no answer for this row"))


class SubResponse(msgspec.Struct):
    """One part of a Composite answer."""

    httpStatusCode: int
    referenceId: str
    body: Any = None


class CompositeAnswer(msgspec.Struct):
    compositeResponse: list[SubResponse]


class CollectionRow(msgspec.Struct):
    """One row of a collection's answer; failed ones may lack the id, so position is what tells them apart."""

    success: bool
    id: str | None = None
    created: bool | None = None
    errors: list[RowError] = []


def conditional_updates(session: OrgSession, patches: Sequence[Patch]) -> list[Answer]:
    """PATCH records by Composite, each with its own ``If-Unmodified-Since``; never all or none."""
    return _with_locks_retried(
        session, patches, lambda part: _composite(session, part), COMPOSITE_CALLS, lambda patch: patch.target
    )


def collection_update(session: OrgSession, records: Sequence[Body]) -> list[Answer]:
    """PATCH records by their ``id``."""
    return _collection(session, "PATCH", "composite/sobjects", records)


def collection_create(session: OrgSession, records: Sequence[Body]) -> list[Answer]:
    """Create records."""
    return _collection(session, "POST", "composite/sobjects", records)


def collection_upsert(session: OrgSession, table: str, key: str, records: Sequence[Body]) -> list[Answer]:
    """Create records unless their external key is there already; a second run at once cannot make a twin."""
    return _collection(session, "PATCH", f"composite/sobjects/{table}/{key}", records)


def outcome_of(change: Change, answer: Answer, **more: Any) -> Outcome:
    """The outcome of a row that was not written."""
    if answer.lost:
        return Outcome(
            key=change.key, result=Result.UNKNOWN, detail=answer.said, halt=answer.halt, wait=answer.wait, **more
        )
    if answer.gone:
        text = f"the record is gone, or StageSync's user may no longer see it ({answer.said})"
        return Outcome(key=change.key, result=Result.SUPERSEDED, detail=text, **more)
    if answer.error.code == CONVERTED:
        text = f"the lead was converted ({answer.said})"
        return Outcome(key=change.key, result=Result.SUPERSEDED, detail=text, **more)
    result = Result.FAILED if answer.passing or answer.locked else Result.REFUSED
    return Outcome(key=change.key, result=result, detail=answer.said, halt=answer.halt, wait=answer.wait, **more)


def _one_target(_item: object) -> str:
    return ""


def _with_locks_retried(
    session: OrgSession,
    items: Sequence[I],
    send: Callable[[Sequence[I]], list[Answer]],
    size: int,
    target: Callable[[I], str] = _one_target,
) -> list[Answer]:
    """Send items in parts; rows that met a lock (10 s of waiting in the org) go again, the others never do."""
    answers: list[Answer] = []
    for some in _parts(items, size):
        answers += _unless_halted(items[: len(answers)], answers, some, send, target)
    for attempt in range(1, session.patience.tries):
        locked = [position for position, answer in enumerate(answers) if answer.locked]
        if not locked:
            break
        log.info("salesforce.rows.locked", connection=session.connection.connection, rows=len(locked), attempt=attempt)
        longest = min(session.patience.longest_wait, session.patience.first_wait * 2**attempt)
        session.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # jitter
        for again in _parts(locked, size):
            for position, answer in zip(again, send([items[position] for position in again]), strict=True):
                answers[position] = answer
    return answers


def _unless_halted(
    sent: Sequence[I],
    answers: Sequence[Answer],
    part: Sequence[I],
    send: Callable[[Sequence[I]], list[Answer]],
    target: Callable[[I], str],
) -> list[Answer]:
    """The answers to a part, without sending what the org has just shown that it will not take."""
    stops = [(item, answer) for item, answer in zip(sent, answers, strict=True) if answer.halt is not None]
    everything = next((answer for _, answer in stops if answer.halt is Halt.WRITES), None)
    targets = {target(item): answer for item, answer in reversed(stops)}
    why = [everything or targets.get(target(item)) for item in part]
    told = iter(send([item for item, halted in zip(part, why, strict=True) if halted is None]) if None in why else ())
    return [next(told) if halted is None else _not_tried(halted) for halted in why]


def _not_tried(because: Answer) -> Answer:
    text = RowError(message=f"not tried, because another record was refused: {because.said}")
    return Answer(error=text, passing=True, halt=because.halt, wait=because.wait)


def _parts(items: Sequence[I], size: int) -> list[Sequence[I]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _composite(session: OrgSession, patches: Sequence[Patch]) -> list[Answer]:
    parts = [_sub_request(session, position, patch) for position, patch in enumerate(patches)]
    body = {"allOrNone": False, "collateSubrequests": False, "compositeRequest": parts}
    call = Call(method="POST", path="composite", reads=False, body=body)
    try:
        answer = session.call(call, partial(shaped, shape=CompositeAnswer))
    except ConnectionFailed as error:
        return [_not_sent(error)] * len(patches)
    found = by_reference(answer.compositeResponse, [str(part["referenceId"]) for part in parts])
    return [NO_ANSWER if part is None else _of_sub_response(part) for part in found]


def _sub_request(session: OrgSession, position: int, patch: Patch) -> Body:
    headers = {"If-Unmodified-Since": patch.unmodified_since} if patch.unmodified_since else {}
    return {
        "method": "PATCH",
        "url": session.versioned(patch.path),
        "referenceId": f"r{position}",
        # Headers of the outer call do not reach the parts.
        "httpHeaders": {"Sforce-Auto-Assign": "FALSE", **headers},
        "body": patch.fields,
    }


def _of_sub_response(part: SubResponse) -> Answer:
    if 200 <= part.httpStatusCode < 300:
        return Answer(ok=True)
    error = _row_error(part.body)
    conflict = part.httpStatusCode == 412 or error.code == CONFLICT
    passing = _passes(error) or part.httpStatusCode >= 500
    return Answer(error=error, conflict=conflict, passing=passing, halt=_halt(error))


def _row_error(body: Any) -> RowError:
    try:
        errors = msgspec.convert(body, list[RowError])
    except msgspec.ValidationError:
        return RowError()
    return errors[0] if errors else RowError()


def _collection(session: OrgSession, method: str, path: str, records: Sequence[Body]) -> list[Answer]:
    def send(part: Sequence[Body]) -> list[Answer]:
        body = {"allOrNone": False, "records": list(part)}
        call = Call(method=method, path=path, reads=False, body=body)
        try:
            found = session.call(call, partial(shaped, shape=list[CollectionRow]))
        except ConnectionFailed as error:
            return [_not_sent(error)] * len(part)
        return _as_many([_of_row(row) for row in found], len(part))

    return _with_locks_retried(session, records, send, COLLECTION_ROWS)


def _of_row(row: CollectionRow) -> Answer:
    if row.success:
        return Answer(ok=True, crm_id=row.id, created=row.created)
    error = row.errors[0] if row.errors else RowError(message="no reason given")
    return Answer(error=error, crm_id=row.id, passing=_passes(error), halt=_halt(error))


def _passes(error: RowError) -> bool:
    return error.code in BUSY_CODES or error.code in OF_ANOTHER or error.code == LIMIT


def _halt(error: RowError) -> Halt | None:
    """What else would meet the same answer: a full org and a spent day refuse every row, a bad value every like one."""
    if error.code == FULL or error.code.startswith(POLICY) or (error.code == LIMIT and not error.concurrent):
        return Halt.WRITES
    return Halt.TARGET if error.code == BAD_VALUE else None


def _not_sent(error: ConnectionFailed) -> Answer:
    """The call as a whole failed. What was turned away for a reason that passes may be tried in a later run."""
    text = RowError(message=" ".join(str(error).split()))
    refused = isinstance(error, Refusal) and not error.busy and error.error.code != LIMIT
    halt = _halt(error.error) if isinstance(error, Refusal) else None
    if isinstance(error, LimitReached):
        return Answer(error=text, passing=True, halt=Halt.WRITES, wait=error.wait)
    return Answer(error=text, lost=unsettled(error), passing=not refused, halt=halt)


def _as_many(answers: list[Answer], wanted: int) -> list[Answer]:
    """As many answers as rows; an org that answers fewer leaves the others unknown."""
    return [*answers[:wanted], *[NO_ANSWER] * (wanted - len(answers))]
