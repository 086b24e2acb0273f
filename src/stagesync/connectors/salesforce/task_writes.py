"""Tasks: made once for each change key, never overwritten, completed when their reason is gone."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from stagesync.connectors.salesforce.records import Records, parent_field
from stagesync.connectors.salesforce.rows import (
    GONE_CODES,
    Answer,
    collection_create,
    collection_update,
    collection_upsert,
    outcome_of,
)
from stagesync.connectors.salesforce.schema import Schema
from stagesync.connectors.salesforce.session import OrgSession
from stagesync.connectors.salesforce.sobjects import Field
from stagesync.connectors.salesforce.soql import same, select
from stagesync.errors import ConnectionFailed
from stagesync.model.changes import OWN_MARK, Change, ChangeKind, Outcome, Result, TaskText, mark
from stagesync.model.tables import ColumnType, Table

SUBJECT_LENGTH = 255
DESCRIPTION_LENGTH = 32_000
ROOM = 4
"""For the blank line before the key at the end of a text."""
INACTIVE = "INACTIVE_OWNER_OR_USER"
CONVERSION = {
    "IsConverted": ColumnType.BOOLEAN,
    "ConvertedOpportunityId": ColumnType.TEXT,
    "ConvertedContactId": ColumnType.TEXT,
}
DUPLICATE_CODES = frozenset({"DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID"})
STATE = {
    "Status": ColumnType.TEXT,
    "IsClosed": ColumnType.BOOLEAN,
    "Subject": ColumnType.TEXT,
    "Description": ColumnType.TEXT,
    "OwnerId": ColumnType.TEXT,
}
_ENDING = re.compile(r"\n\n" + re.escape(OWN_MARK) + r"[^\]\s]+\]\Z")


def open_tasks(session: OrgSession, schema: Schema, records: Records, changes: Sequence[Change]) -> list[Outcome]:
    """Create what is not there yet; a task with the same key, even a completed one, is left as it is.

    Errors: only the looks before the first write raise (:class:`~stagesync.errors.ConnectionFailed`).
    """
    key = _key_field(session, schema) if changes else None
    if key is None:
        return [_no_key(session, change) for change in changes]
    existing = _existing(records, changes)
    converted = _converted(schema, records, changes)
    outcomes = {change.key: _not_to_create(schema, change, existing, converted) for change in changes}
    # By parent: an open task locks its account, who and what, and neighbours in a call share the lock.
    to_create = sorted((c for c in _unique(changes) if outcomes[c.key] is None), key=lambda change: change.record)
    if to_create:
        status = _default_status(session, records, closed=False)
        bodies = {change.key: _body(session, key, change, change.task, status) for change in to_create if change.task}
        answers, given_on = _create(session, key, bodies)
        rivals = _rivals(records, to_create, answers)
        for change, answer in zip(to_create, answers, strict=True):
            outcomes[change.key] = _created(change, answer, rivals, given_on=change.key in given_on)
    return _in_order(changes, outcomes)


def close_tasks(session: OrgSession, schema: Schema, records: Records, changes: Sequence[Change]) -> list[Outcome]:
    """Complete the tasks that are still open; closed and deleted ones are ``already-so``.

    Errors: only the looks before the first write raise (:class:`~stagesync.errors.ConnectionFailed`).
    """
    named = {change.key for change in changes if schema.is_id_of(session.connection.task_table, change.crm_id or "")}
    before = _states(session, records, [change for change in changes if change.key in named])
    outcomes = {
        change.key: _not_to_close(change, before) if change.key in named else _no_task(change) for change in changes
    }
    to_close = [change for change in _unique(changes) if outcomes[change.key] is None]
    if to_close:
        status = _default_status(session, records, closed=True)
        answers = collection_update(session, [_closing(session, change, status, before) for change in to_close])
        after, trouble = _read_back(session, records, to_close)
        for change, answer in zip(to_close, answers, strict=True):
            outcomes[change.key] = _closed(change, answer, after, trouble)
    return _in_order(changes, outcomes)


def update_tasks(session: OrgSession, schema: Schema, records: Records, changes: Sequence[Change]) -> list[Outcome]:
    """Write texts over those that nobody has edited, in tasks that are still open; others are ``superseded``.

    Errors: only the look before the first write raises (:class:`~stagesync.errors.ConnectionFailed`).
    """
    named = [one for one in changes if schema.is_id_of(session.connection.task_table, one.crm_id or "")]
    before = _states(session, records, named)
    outcomes: dict[str, Outcome | None] = {}
    texts: dict[str, dict[str, str]] = {}
    for change in changes:
        state = before.get(same(change.crm_id or ""))
        text = _new_text(change, state) if state is not None and _may_be_told(change, state) else None
        outcomes[change.key] = None
        if state is not None and _is_retold(change, state):
            outcomes[change.key] = _outcome(change, Result.ALREADY_SO, "", state)
        elif text is None:
            why = "the task is gone, or hidden" if state is None else "somebody has ended, edited or taken the task"
            outcomes[change.key] = _outcome(change, Result.SUPERSEDED, why)
        else:
            texts[change.key] = text
    to_write = [change for change in _unique(changes) if change.key in texts]
    if any(change.asked_by is not None for change in to_write):
        status = _default_status(session, records, closed=False)
        for change in to_write:
            texts[change.key] |= {"Status": status} if change.asked_by is not None else {}
    if to_write:
        bodies = [_updating(session, change, texts[change.key]) for change in to_write]
        answers = collection_update(session, bodies)
        after, trouble = _read_back(session, records, to_write)
        for change, answer in zip(to_write, answers, strict=True):
            outcomes[change.key] = _updated(change, answer, texts[change.key], after, trouble)
    return _in_order(changes, outcomes)


def look_at_tasks(session: OrgSession, schema: Schema, records: Records, changes: Sequence[Change]) -> list[Outcome]:
    """What became of updates and closings that nobody saw the outcome of.

    Errors: :class:`~stagesync.errors.ConnectionFailed` where the tasks cannot be looked at.
    """
    named = [one for one in changes if schema.is_id_of(session.connection.task_table, one.crm_id or "")]
    now = _states(session, records, named)
    return [_looked_at(change, now.get(same(change.crm_id or ""))) for change in changes]


def _looked_at(change: Change, state: Mapping[str, Any] | None) -> Outcome:
    if change.kind is ChangeKind.CLOSE_TASK:
        done = state is None or bool(state["IsClosed"])
    else:
        done = state is not None and _is_retold(change, state)
    result = Result.ALREADY_SO if done else Result.FAILED
    return _outcome(change, result, "found in the CRM" if done else "it did not land; planned again", state)


def _may_be_told(change: Change, state: Mapping[str, Any]) -> bool:
    """Whether a task is open, and still asks for a waiver where the change is an answer to that."""
    return not state["IsClosed"] and change.asked_by in (None, state.get("Status"))


def _updating(session: OrgSession, change: Change, fields: Mapping[str, str]) -> dict[str, Any]:
    return {"attributes": {"type": session.connection.task_table}, "id": change.crm_id, **fields}


def _updated(
    change: Change, answer: Answer, wanted: Mapping[str, str], states: Mapping[str, Mapping[str, Any]], trouble: str
) -> Outcome:
    if answer.error.code in GONE_CODES:
        return _outcome(change, Result.SUPERSEDED, "the task was deleted")
    if not answer.ok:
        return outcome_of(change, answer, crm_id=change.crm_id)
    state = states.get(same(change.crm_id or ""))
    if state is None:
        text = "written, but it could not be read back: " + (trouble or "the task is no longer visible")
        return _outcome(change, Result.UNKNOWN, text)
    if any(_plain(state.get(name)) != value for name, value in wanted.items() if name != "OwnerId"):
        return _outcome(change, Result.FAILED, "Salesforce kept another text", state)
    if "OwnerId" in wanted and same(_plain(state.get("OwnerId"))) != same(wanted["OwnerId"]):
        return _outcome(change, Result.FAILED, "Salesforce kept another owner", state)
    return _outcome(change, Result.APPLIED, "", state)


def _new_text(change: Change, state: Mapping[str, Any]) -> dict[str, str] | None:
    """The fields that give a task its new text, with the key that its description ends with, and its new owner if it
    gets one; None where there is none to write, or the task no longer says what we wrote or is with somebody else."""
    told, task = change.told, change.task
    if told is None or task is None:
        return None
    if not _says(state, told):
        return _with_words(change, state)
    text = _text(task, state)
    if task.owner == told.owner:
        return text
    return text | {"OwnerId": task.owner} if same(_plain(state.get("OwnerId"))) == same(told.owner) else None


def _with_words(change: Change, state: Mapping[str, Any]) -> dict[str, str] | None:
    """A text that somebody has edited, with our words behind it as far as there is room; None where there are none."""
    if change.adds is None:
        return None
    text = f"{_plain(state.get('Description'))}\n\n{change.adds}"
    return {"Description": text} if _size(text) <= DESCRIPTION_LENGTH else {}


def _is_retold(change: Change, state: Mapping[str, Any]) -> bool:
    """Whether a task says what a change was to write, and is with whom it was to be."""
    told, task = change.told, change.task
    if told is None or task is None or not _says(state, task):
        return False
    if change.asked_by is not None and state.get("Status") == change.asked_by:
        return False
    return task.owner == told.owner or same(_plain(state.get("OwnerId"))) == same(task.owner)


def _says(state: Mapping[str, Any], text: TaskText) -> bool:
    return {"Subject": state.get("Subject"), "Description": _plain(state.get("Description"))} == _text(text, state)


def _text(text: TaskText, state: Mapping[str, Any]) -> dict[str, str]:
    """A text as the fields of a task, with the key that its description ends with."""
    ending = _ENDING.search(_plain(state.get("Description")))
    rest = ending[0] if ending else ""
    body = shortened(text.body, DESCRIPTION_LENGTH - max(_size(rest), ROOM)) + rest
    return {"Subject": shortened(text.subject, SUBJECT_LENGTH), "Description": body}


def _plain(text: object) -> str:
    return str(text or "").replace("\r\n", "\n")


def _key_field(session: OrgSession, schema: Schema) -> Field | None:
    sobject = schema.describe(session.connection.task_table)
    return sobject.field(session.connection.task_key) if sobject else None


def _no_key(session: OrgSession, change: Change) -> Outcome:
    """Without the key a repeated run could not tell its own task, so none is made."""
    name = f"{session.connection.task_table}.{session.connection.task_key}"
    text = (
        f"{name} is not there, or StageSync's user may not use it; create it as a unique external id on Activity, or "
        f"write 'marker: Description' instead of the key under tasks in the mapping"
    )
    return Outcome(key=change.key, result=Result.REFUSED, detail=text)


def _unique(changes: Sequence[Change]) -> list[Change]:
    return list({change.key: change for change in changes}.values())


def _in_order(changes: Sequence[Change], outcomes: Mapping[str, Outcome | None]) -> list[Outcome]:
    found = [outcomes[change.key] for change in changes]
    return [outcome for outcome in found if outcome is not None]


def _existing(records: Records, changes: Sequence[Change]) -> Mapping[str, str]:
    return records.own_tasks([change.key for change in changes], [change.record for change in changes])


def _converted(schema: Schema, records: Records, changes: Sequence[Change]) -> Mapping[str, str]:
    """Leads that have become something else, by the first 15 characters of their id, in words."""
    leads = [one.record for one in changes if one.object == "Lead" and schema.is_id_of("Lead", one.record)]
    if not leads:
        return {}
    frame = records.current(Table(name="Lead", key="Id", columns=CONVERSION), leads)
    return {same(row["Id"]): _converted_to(row) for row in frame.iter_rows(named=True) if row.get("IsConverted")}


def _converted_to(row: Mapping[str, Any]) -> str:
    became = [f"opportunity {row['ConvertedOpportunityId']}"] if row.get("ConvertedOpportunityId") else []
    became += [f"contact {row['ConvertedContactId']}"] if row.get("ConvertedContactId") else []
    return f"the lead was converted into {' and '.join(became) or 'an account'}, which is looked at instead"


def _not_to_create(
    schema: Schema, change: Change, existing: Mapping[str, str], converted: Mapping[str, str]
) -> Outcome | None:
    if change.key in existing:
        return Outcome(key=change.key, result=Result.ALREADY_SO, crm_id=existing[change.key])
    if change.task is None:
        return Outcome(key=change.key, result=Result.REFUSED, detail="the change holds no task")
    if not schema.is_id_of(change.object, change.record):
        text = f"{change.record!r} is no Salesforce record id of {change.object}"
        return Outcome(key=change.key, result=Result.REFUSED, detail=text)
    if change.object == "Lead" and same(change.record) in converted:
        return Outcome(key=change.key, result=Result.SUPERSEDED, detail=converted[same(change.record)])
    return None


def _default_status(session: OrgSession, records: Records, *, closed: bool) -> str:
    """The org's own status for an open (or a closed) task: its default, else the first."""
    soql = select(["ApiName", "MasterLabel", "IsClosed", "IsDefault"], "TaskStatus", order="SortOrder")
    statuses = session.lately.told("statuses of tasks", lambda: list(records.rows(soql)))
    rows = [row for row in statuses if row["IsClosed"] is closed]
    if not rows:
        raise ConnectionFailed(f"the org has no {'closed' if closed else 'open'} TaskStatus; add one in its set-up")
    row = next((row for row in rows if row["IsDefault"]), rows[0])
    return str(row["ApiName"] or row["MasterLabel"])


def _body(session: OrgSession, key: Field, change: Change, task: TaskText, status: str) -> dict[str, Any]:
    """A new task. Priority is left to the org's default."""
    line = mark(change.key) if key.marked else ""
    texts = {"Description": shortened(task.body, DESCRIPTION_LENGTH - len(line) - ROOM)}
    texts[key.name] = f"{texts.get(key.name, '')}\n\n{line}".strip() if key.marked else change.key
    return {
        "attributes": {"type": session.connection.task_table},
        **texts,
        "Subject": shortened(task.subject, SUBJECT_LENGTH),
        "Status": status,
        "ActivityDate": task.due.isoformat(),
        "OwnerId": task.owner,
        parent_field(change.record): change.record,
    }


def shortened(text: str, length: int) -> str:
    """A text cut after a word, with an ellipsis, when it is too long as Salesforce counts."""
    if _size(text) <= length:
        return text
    end = bisect_right(list(accumulate(map(_size, text))), length - 1)
    head = text[:end]
    words = head.rsplit(None, 1)
    cuts_a_word = not any(character.isspace() for character in text[max(0, end - 1) : end + 1])
    if cuts_a_word and len(words) > 1:
        head = words[0]
    return head.rstrip() + "…"


def _size(text: str) -> int:
    """How long a text is for Salesforce: it keeps a line break as two characters (help.salesforce.com, HTViewSolution,
    000240417), and characters in units of UTF-16, of which an emoji has two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 + text.count("\n")


def _create(
    session: OrgSession, key: Field, bodies: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Answer], frozenset[str]]:
    """The answers to new tasks by change key, in order, and the keys of those that the fallback owner was given."""
    answers = dict(zip(bodies, _sent(session, key, list(bodies.values())), strict=True))
    fallback = session.connection.fallback_owner
    again = {
        change: {**body, "OwnerId": fallback}
        for change, body in bodies.items()
        if fallback and body["OwnerId"] != fallback and _about_owner(answers[change])
    }
    if again:
        answers |= dict(zip(again, _sent(session, key, list(again.values())), strict=True))
    return list(answers.values()), frozenset(again)


def _sent(session: OrgSession, key: Field, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
    if key.externalId:
        return collection_upsert(session, session.connection.task_table, key.name, bodies)
    return collection_create(session, bodies)


def _about_owner(answer: Answer) -> bool:
    """The owner became inactive since the plan, or is a queue."""
    return not answer.ok and (answer.error.code == INACTIVE or "OwnerId" in (answer.error.fields or ()))


def _rivals(records: Records, changes: Sequence[Change], answers: Sequence[Answer]) -> Mapping[str, str]:
    """The tasks that another run made between the look and the write."""
    met = [one for one, answer in zip(changes, answers, strict=True) if answer.error.code in DUPLICATE_CODES]
    try:
        return _existing(records, met)
    except ConnectionFailed:
        return {}


def _created(change: Change, answer: Answer, rivals: Mapping[str, str], *, given_on: bool) -> Outcome:
    if answer.ok:
        # An upsert that created nothing met the task of a run at the same moment, which holds the same text.
        result = Result.APPLIED if answer.created is not False else Result.ALREADY_SO
        detail = "its owner can get no task, so the fallback owner has it" if given_on else ""
        return Outcome(key=change.key, result=result, detail=detail, crm_id=answer.crm_id)
    if change.key in rivals:
        return Outcome(key=change.key, result=Result.ALREADY_SO, crm_id=rivals[change.key])
    if _about_owner(answer):
        text = f"the owner is an inactive user or a queue; give the record to an active one ({answer.said})"
        return Outcome(key=change.key, result=Result.REFUSED, detail=text)
    return outcome_of(change, answer)


def _states(session: OrgSession, records: Records, changes: Sequence[Change]) -> dict[str, Mapping[str, Any]]:
    """Status and IsClosed by the first 15 characters of the task's id."""
    ids = [change.crm_id for change in changes if change.crm_id]
    if not ids:
        return {}
    frame = records.current(Table(name=session.connection.task_table, key="Id", columns=STATE), ids)
    return {same(row["Id"]): row for row in frame.iter_rows(named=True)}


def _read_back(
    session: OrgSession, records: Records, changes: Sequence[Change]
) -> tuple[dict[str, Mapping[str, Any]], str]:
    try:
        return _states(session, records, changes), ""
    except ConnectionFailed as error:
        return {}, str(error)


def _no_task(change: Change) -> Outcome:
    return Outcome(key=change.key, result=Result.REFUSED, detail="the change names no Salesforce task")


def _not_to_close(change: Change, states: Mapping[str, Mapping[str, Any]]) -> Outcome | None:
    state = states.get(same(change.crm_id or ""))
    if state is None:
        return _outcome(change, Result.ALREADY_SO, "the task was deleted, or StageSync's user may no longer see it")
    if state["IsClosed"]:
        return _outcome(change, Result.ALREADY_SO, "", state)
    return None


def _closing(
    session: OrgSession, change: Change, status: str, states: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    text = _new_text(change, states[same(change.crm_id or "")])
    return _updating(session, change, {**(text or {}), "Status": status})


def _closed(change: Change, answer: Answer, states: Mapping[str, Mapping[str, Any]], trouble: str) -> Outcome:
    if answer.error.code in GONE_CODES:
        return _outcome(change, Result.ALREADY_SO, "the task was deleted")
    if not answer.ok:
        return outcome_of(change, answer, crm_id=change.crm_id)
    state = states.get(same(change.crm_id or ""))
    if state is None:
        text = "completed, but it could not be read back: " + (trouble or "the task is no longer visible")
        return _outcome(change, Result.UNKNOWN, text)
    if not state["IsClosed"]:
        return _outcome(change, Result.FAILED, f"Salesforce kept the task open, as {state['Status']!r}", state)
    return _outcome(change, Result.APPLIED, "", state)


def _outcome(change: Change, result: Result, detail: str, state: Mapping[str, Any] | None = None) -> Outcome:
    seen = {"Status": state["Status"]} if state else {}
    return Outcome(key=change.key, result=result, detail=detail, crm_id=change.crm_id, seen=seen)
