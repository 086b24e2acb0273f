"""Writes to a portal: stages, and tasks opened and closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import structlog

from stagesync.connectors.hubspot.batches import update
from stagesync.connectors.hubspot.faults import Refusal, refusals_told
from stagesync.connectors.hubspot.narrowing import Trouble, not_tried, trouble
from stagesync.connectors.hubspot.opening import open_tasks
from stagesync.connectors.hubspot.readback import Write, current_values, failed, read_back
from stagesync.connectors.hubspot.records import BATCH
from stagesync.connectors.hubspot.stage_writes import finish_stages, set_stages
from stagesync.connectors.hubspot.tasks import BODY, COMPLETED, OPEN, OWNER, STATUS, SUBJECT, is_retold, new_text
from stagesync.connectors.hubspot.transport import WriteTransport
from stagesync.errors import ConnectionFailed
from stagesync.model.changes import Change, ChangeKind, Halt, Outcome, Result

log = structlog.get_logger()

HELD = (STATUS, SUBJECT, BODY, OWNER)
Step = Callable[[WriteTransport, str, Sequence[Change]], dict[str, Outcome]]


class HubSpotWriter:
    """A :class:`~stagesync.connectors.base.Writer` of one portal.

    HubSpot has no preconditions for writes, so values are compared just before and read back just after.
    A method raises ``ConnectionFailed`` only when nothing was written by the call; from the first write on,
    whatever happens is in the outcomes.
    """

    batch_size: int = BATCH

    def __init__(self, transport: WriteTransport) -> None:
        """Write through ``transport``."""
        self._transport = transport

    def completed(self, changes: Sequence[Change]) -> Sequence[Change]:
        """As they are: what HubSpot derives from a stage cannot be set by hand."""
        return changes

    def set_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write ``after`` where the record still holds ``before``; only values are compared.

        A lifecycle stage that goes back is cleared first. A stop between the two leaves it blank, which this
        method then calls superseded: :meth:`finish_stage` is for the changes that the ledger says were begun.
        """
        return self._each("set-stage", changes, set_stages)

    def finish_stage(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Set lifecycle stages that are blank because a stop came between clearing and setting.

        Only for changes whose intent is in the ledger without an outcome: a blank may be a person's too.
        """
        return self._each("finish-stage", changes, finish_stages)

    def open_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Create the tasks that do not exist yet and attach them to their records."""
        return self._each("open-task", changes, open_tasks)

    def update_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write texts over those that nobody has edited, in tasks that are still open."""
        return self._each("update-task", changes, _update_tasks)

    def close_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Complete the tasks named by ``crm_id`` that are still open."""
        return self._each("close-task", changes, _close_tasks)

    def look_at_tasks(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Whether tasks are as updates and closings wanted them; one that is gone counts as closed."""
        table = self._transport.connection.task_table
        with refusals_told(self._transport.place, "look at StageSync's tasks"):
            now = current_values(self._transport, table, [one.crm_id for one in changes if one.crm_id], HELD).values
        return [_looked_at(one, now.get(one.crm_id or "")) for one in changes]

    def close(self) -> None:
        """Give connections back."""
        self._transport.close()

    def _each(self, kind: str, changes: Sequence[Change], step: Step) -> Sequence[Outcome]:
        found: dict[str, Outcome] = {}
        end: Trouble | None = None
        for batch in _batches(changes):
            if end is not None:
                found |= _all(batch, not_tried(end))
                continue
            try:
                found |= step(self._transport, batch[0].object, batch)
            except Refusal as refusal:  # of the look before the first write: of no row in particular
                detail = f"not sent, because HubSpot refused the look before: {refusal}"
                found |= _all(batch, Trouble(result=Result.FAILED, detail=detail))
            except ConnectionFailed as error:
                if not found:
                    raise
                found |= _all(batch, replace(trouble(error), result=Result.FAILED))
            end = _end(found[change.key] for change in batch)
        outcomes = [found[change.key] for change in changes]
        counts = Counter(outcome.result.value for outcome in outcomes)
        log.info(
            "hubspot.changes.written", connection=self._transport.connection.connection, kind=kind, counts=dict(counts)
        )
        return outcomes


def _update_tasks(transport: WriteTransport, _object_name: str, changes: Sequence[Change]) -> dict[str, Outcome]:
    table = transport.connection.task_table
    named = [one.crm_id for one in changes if one.crm_id]
    now = current_values(transport, table, named, HELD).values
    outcomes: dict[str, Outcome] = {}
    writes: list[Write] = []
    words: dict[str, Mapping[str, str | None]] = {}
    for one in changes:
        held = now.get(one.crm_id or "")
        text = new_text(one, held) if held is not None and _may_be_told(one, held) else None
        if held is not None and is_retold(one, held):
            outcomes[one.key] = Outcome(key=one.key, result=Result.ALREADY_SO, crm_id=one.crm_id, seen=held)
        elif text is None:
            why = "the task is gone" if held is None else "somebody has ended, edited or taken the task"
            outcomes[one.key] = Outcome(key=one.key, result=Result.SUPERSEDED, detail=why, crm_id=one.crm_id)
        elif one.asked_by is not None:
            words[str(one.crm_id)] = text
            writes.append(Write(key=one.key, record=str(one.crm_id), values={STATUS: OPEN}))
        else:
            writes.append(Write(key=one.key, record=str(one.crm_id), values=text))
    troubles = update(transport, table, _wire(writes, words), now)
    return outcomes | read_back(transport, table, writes, troubles)


def _may_be_told(change: Change, held: Mapping[str, str | None]) -> bool:
    """Whether a task is open, and still asks for a waiver where the change is an answer to that."""
    return held[STATUS] != COMPLETED and change.asked_by in (None, held[STATUS])


def _wire(writes: Sequence[Write], words: Mapping[str, Mapping[str, str | None]]) -> dict[str, dict[str, str]]:
    """What is sent, by task. The words beside a status are not read back: a last word that HubSpot spells otherwise is
    no reason to call it unsaid."""
    return {
        write.record: Write(
            key=write.key, record=write.record, values={**words.get(write.record, {}), **write.values}
        ).wire()
        for write in writes
    }


def _looked_at(change: Change, held: Mapping[str, str | None] | None) -> Outcome:
    if change.kind is ChangeKind.CLOSE_TASK:
        done = held is None or held[STATUS] == COMPLETED
    else:
        done = held is not None and is_retold(change, held)
    result = Result.ALREADY_SO if done else Result.FAILED
    detail = "found in the CRM" if done else "it did not land; planned again"
    return Outcome(key=change.key, result=result, detail=detail, crm_id=change.crm_id)


def _close_tasks(transport: WriteTransport, _object_name: str, changes: Sequence[Change]) -> dict[str, Outcome]:
    table = transport.connection.task_table
    outcomes = {
        one.key: Outcome(key=one.key, result=Result.FAILED, detail="the change names no task to close")
        for one in changes
        if one.crm_id is None
    }
    named = {one.key: one.crm_id for one in changes if one.crm_id is not None}
    now = current_values(transport, table, named.values(), HELD).values
    by_key = {one.key: one for one in changes}
    texts: dict[str, Mapping[str, str | None]] = {}
    writes: list[Write] = []
    for key, task in named.items():
        if task not in now:
            outcomes[key] = Outcome(key=key, result=Result.ALREADY_SO, detail="the task is gone", crm_id=task)
        elif now[task][STATUS] == COMPLETED:
            outcomes[key] = Outcome(key=key, result=Result.ALREADY_SO, crm_id=task, seen=now[task])
        else:
            texts[task] = new_text(by_key[key], now[task]) or {}
            writes.append(Write(key=key, record=task, values={STATUS: COMPLETED}))
    troubles = update(transport, table, _wire(writes, texts), now)
    return outcomes | read_back(transport, table, writes, troubles)


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """At most 100 changes of one object and one change a record: HubSpot refuses an id that comes twice."""
    rest = list(changes)
    while rest:
        batch: dict[str, Change] = {}
        later: list[Change] = []
        for change in rest:
            fits = change.object == rest[0].object and change.record not in batch and len(batch) < BATCH
            if fits:
                batch[change.record] = change
            else:
                later.append(change)
        yield list(batch.values())
        rest = later


def _all(changes: Sequence[Change], trouble: Trouble) -> dict[str, Outcome]:
    return {one.key: failed(one.key, trouble) for one in changes}


def _end(outcomes: Iterable[Outcome]) -> Trouble | None:
    """What keeps all further changes from being sent."""
    for one in outcomes:
        if one.halt is Halt.WRITES:
            return Trouble(result=one.result, detail=one.detail, halt=one.halt, wait=one.wait)
    return None
