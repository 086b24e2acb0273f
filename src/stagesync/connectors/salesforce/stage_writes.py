"""Corrected stages: compared just before, conditional in the call, read back after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from stagesync.connectors.salesforce.decode import text_of
from stagesync.connectors.salesforce.records import Records
from stagesync.connectors.salesforce.rows import Answer, Patch, conditional_updates, outcome_of
from stagesync.connectors.salesforce.schema import NUMERIC, Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.soql import same
from stagesync.connectors.salesforce.targets import RECORD_TYPE, Targets
from stagesync.errors import ConnectionFailed
from stagesync.model.changes import Change, Outcome, Result

MODIFIED, STAMP = "LastModifiedDate", "SystemModstamp"
SECOND = 1.0
LONGEST_SECOND = 3.0
"""Seconds that are waited at most: an org whose clock was set back has records from the future."""
Values = Mapping[str, str | None]
Seen = dict[tuple[str, str], Values]
"""(object, first 15 characters of the id) to the record's fields."""


def set_stages(session: OrgSession, schema: Schema, records: Records, changes: Sequence[Change]) -> list[Outcome]:
    """One outcome for each change, in order.

    Errors: only the look before the first write raises (:class:`~stagesync.errors.ConnectionFailed`); nothing was
    written then.
    """
    _let_the_second_pass(session, changes)
    before = _read(records, [change for change in changes if schema.is_id_of(change.object, change.record)])
    targets = session.lately.told("targets", lambda: Targets(session, schema, records))
    outcomes = {
        position: _known_before(schema, change, before) or _bad_target(targets, change, before)
        for position, change in enumerate(changes)
    }
    to_write = [position for position, outcome in outcomes.items() if outcome is None]
    patches = [_patch(schema, changes[position]) for position in to_write]
    answers = dict(zip(to_write, conditional_updates(session, patches), strict=True))
    heard = session.server_time
    after, trouble = _read_back(records, [changes[position] for position in to_write])
    stamps = {
        position: stamp
        for position, answer in answers.items()
        if answer.conflict and (stamp := _system_stamp(changes[position], after, heard))
    }
    if stamps:
        patches = [_patch(schema, changes[position], stamp) for position, stamp in stamps.items()]
        answers |= dict(zip(stamps, conditional_updates(session, patches), strict=True))
        again, trouble = _read_back(records, [changes[position] for position in stamps])
        after = {**after, **again} if not trouble else {}
    for position, answer in answers.items():
        outcomes[position] = _judged_after(changes[position], answer, after, trouble)
    return [outcome for outcome in outcomes.values() if outcome is not None]


def _let_the_second_pass(session: OrgSession, changes: Sequence[Change]) -> None:
    """Wait until the second is over in which the plan saw a record modified last.

    ``If-Unmodified-Since`` knows whole seconds: another edit in that same second would go unnoticed. Once the second is
    over before the look, an edit in it is seen by the look, and a later one is refused by the org.
    """
    newest = max((change.modified for change in changes if change.modified is not None), default=None)
    if newest is None:
        return
    heard = session.server_time or newest
    left = (newest.replace(microsecond=0) - heard).total_seconds() + SECOND
    if left > 0:
        session.sleep(min(left, LONGEST_SECOND))


def _read(records: Records, changes: Sequence[Change]) -> Seen:
    """The fields of the changes as they are now, by object."""
    ids: dict[str, list[str]] = defaultdict(list)
    fields: dict[str, dict[str, None]] = defaultdict(lambda: dict.fromkeys((RECORD_TYPE, MODIFIED, STAMP)))
    for change in changes:
        ids[change.object].append(change.record)
        fields[change.object].update(dict.fromkeys([*change.before, *change.after, *change.beside]))
    return {
        (name, record): {field: text_of(value) for field, value in row.items()}
        for name, wanted in ids.items()
        for record, row in records.held(name, fields[name], wanted).items()
    }


def _read_back(records: Records, changes: Sequence[Change]) -> tuple[Seen, str]:
    try:
        return _read(records, changes), ""
    except ConnectionFailed as error:
        return {}, str(error)


def _known_before(schema: Schema, change: Change, seen: Seen) -> Outcome | None:
    """The outcome of a change that must not be written, None for one that must."""
    if not schema.is_id_of(change.object, change.record):
        return _outcome(change, Result.REFUSED, f"{change.record!r} is no Salesforce record id of {change.object}")
    now = _of(change, seen)
    if now is None:
        return _outcome(change, Result.SUPERSEDED, "the record is gone, or StageSync's user may no longer see it")
    hidden = [name for name in {**change.before, **change.after} if name not in now]
    if hidden:
        text = f"{change.object}.{', '.join(hidden)} is not there, or StageSync's user may not read it"
        return _outcome(change, Result.REFUSED, text)
    if not _differences(change.after, now):
        return _outcome(change, Result.ALREADY_SO, "", now)
    changed = _differences(change.before, now)
    return _outcome(change, Result.SUPERSEDED, changed, now) if changed else None


def _bad_target(targets: Targets, change: Change, seen: Seen) -> Outcome | None:
    now = _of(change, seen) or {}
    refusal = targets.refusal(change, now.get(RECORD_TYPE))
    return _outcome(change, Result.REFUSED, refusal, now) if refusal else None


def _judged_after(change: Change, answer: Answer, seen: Seen, trouble: str) -> Outcome:
    now = _of(change, seen)
    if answer.conflict:
        told = _differences(change.before, now) if now else ""
        return _outcome(change, Result.SUPERSEDED, told or "the record was modified after the plan saw it", now)
    if (answer.lost or answer.passing) and now is not None and not _differences(change.after, now):
        return _outcome(change, Result.APPLIED, "its answer was lost; found in Salesforce", now)
    if not answer.ok:
        return outcome_of(change, answer, crm_id=change.record, seen=_fields(change, now))
    if now is None:
        text = "written, but it could not be read back: " + (trouble or "the record is no longer visible")
        return _outcome(change, Result.UNKNOWN, text)
    kept = _differences(change.after, now, saw="was written")
    if kept:
        return _outcome(change, Result.FAILED, f"Salesforce kept its own: {kept}", now)
    return _outcome(change, Result.APPLIED, _differences(change.beside, now, saw="was to stay"), now)


def _outcome(change: Change, result: Result, detail: str, now: Values | None = None) -> Outcome:
    return Outcome(key=change.key, result=result, detail=detail, crm_id=change.record, seen=_fields(change, now))


def _of(change: Change, seen: Seen) -> Values | None:
    return seen.get((change.object, same(change.record)))


def _fields(change: Change, now: Values | None) -> dict[str, str | None]:
    return {name: now.get(name) for name in {**change.before, **change.after, **change.beside}} if now else {}


def _differences(wanted: Values, now: Values, saw: str = "was seen by the plan") -> str:
    """Where the record does not hold the wanted values, in words; empty when it does."""
    found = [
        f"{name} is {now[name]!r}, {value!r} {saw}"
        for name, value in wanted.items()
        if name in now and (now[name] or None) != (value or None)
    ]
    return "; ".join(found)


def _system_stamp(change: Change, seen: Seen, heard: datetime | None) -> datetime | None:
    """The stamp to compare with instead, where an org refused a change although nobody modified the record.

    Not all that is written on it agrees whether ``If-Unmodified-Since`` is held against LastModifiedDate or against
    SystemModstamp, which activities and roll-ups move too. A stamp is as good a condition where all edits after the
    look carry a later one: where its second was over before.
    """
    now = _of(change, seen)
    if now is None or heard is None or change.modified is None or _differences(change.before, now):
        return None
    modified, stamp = _moment(now.get(MODIFIED)), _moment(now.get(STAMP))
    if modified is None or stamp is None or modified.replace(microsecond=0) > change.modified:
        return None
    return stamp if modified < stamp < heard else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _patch(schema: Schema, change: Change, stamp: datetime | None = None) -> Patch:
    """An update on condition that nobody modified the record after the plan saw it, or after a ``stamp``."""
    sobject = schema.describe(change.object)
    fields: dict[str, Any] = {}
    for name, value in {**change.beside, **change.after}.items():
        field = sobject.field(name) if sobject else None
        if name in change.beside and name not in change.after and not (field and field.updateable):
            continue
        fields[name] = _wire(value, field.type if field else "string")
    return Patch(
        path=f"sobjects/{change.object}/{change.record}",
        target=f"{change.object} {sorted(change.after.items())}",
        fields=fields,
        unmodified_since=_http_date(stamp or change.modified),
    )


def _wire(value: str | None, kind: str) -> Any:
    """A native text as the JSON value of its field's type."""
    if value is None or value == "":
        return None
    if kind == "boolean":
        return value == "true"
    if kind in NUMERIC:
        try:
            return float(value)
        except ValueError:
            return value  # the CRM refuses it in its own words
    return value


def _http_date(moment: datetime | None) -> str | None:
    """``Sat, 10 Oct 2026 10:00:00 GMT``: whole seconds, as LastModifiedDate has them.

    Activities and roll-ups move SystemModstamp only, so the plan's LastModifiedDate is what must be sent.
    """
    return None if moment is None else format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)
