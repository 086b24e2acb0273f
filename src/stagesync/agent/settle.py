"""Settling: what became of changes whose outcome nobody saw, and finishing what a crash left half done.

A run that was stopped or killed leaves intents without an outcome. The CRM knows what landed, so it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import structlog

from stagesync.agent.connection import Agent, Connected
from stagesync.connectors.base import Reader, Writer
from stagesync.model.changes import Change, ChangeKind, Halt, Outcome, Result
from stagesync.policy.mappings import CrmMapping

log = structlog.get_logger(__name__)

Place = tuple[str, str]
"""Object and record."""
Row = Mapping[str, object]
Values = Mapping[str, str | None]


def settle(agent: Agent, run: str, connected: Connected, writer: Writer) -> int:
    """Give every intended change of a connection an outcome; return how many had none.

    Only what was begun is finished: a stage that was cleared and not set, and the task of a record that was moved.
    Where that fails it stays begun, for the next run. All else that did not land is left to the next plan.
    """
    unsettled = agent.ledger.unsettled(connected.name)
    of_kind = {kind: [change for change in unsettled if change.kind is kind] for kind in ChangeKind}
    steps: tuple[tuple[ChangeKind, Callable[[Connected, Writer, Sequence[Change]], list[Outcome]]], ...] = (
        (ChangeKind.SET_STAGE, _stages),
        (ChangeKind.OPEN_TASK, _tasks),
        (ChangeKind.UPDATE_TASK, _told),
        (ChangeKind.CLOSE_TASK, _told),
    )
    begun: set[Place] = set()
    for kind, step in steps:
        if of_kind[kind]:
            outcomes = step(connected, writer, of_kind[kind])
            agent.ledger.record_outcomes(run, at=agent.clock(), connection=connected.name, outcomes=outcomes)
            log.info("changes_settled", connection=connected.name, kind=str(kind), changes=len(outcomes))
            begun |= _still_begun(of_kind[kind], outcomes)
            # Their tasks are neither true nor to be given up before it is known what became of the moves.
            of_kind[ChangeKind.OPEN_TASK] = [
                one for one in of_kind[ChangeKind.OPEN_TASK] if not (one.tells_of_a_move and place_of(one) in begun)
            ]
    return len(unsettled)


def _still_begun(changes: Sequence[Change], outcomes: Sequence[Outcome]) -> set[Place]:
    """The records of moves of which is still not known what became of them."""
    known = {outcome.key for outcome in outcomes if outcome.result is not Result.UNKNOWN}
    return {place_of(change) for change in changes if change.after and change.key not in known}


def _stages(connected: Connected, writer: Writer, changes: Sequence[Change]) -> list[Outcome]:
    now = rows_of(connected.reader, connected.mapping, changes)
    half_done = [change for change in changes if _is_half_done(change, now.get(place_of(change)))]
    begun = {change.key for change in half_done}
    outcomes = [_landed(change, now.get(place_of(change))) for change in changes if change.key not in begun]
    return outcomes + _written(writer.finish_stage, half_done, writer.batch_size)


def _tasks(connected: Connected, writer: Writer, changes: Sequence[Change]) -> list[Outcome]:
    existing = connected.reader.own_tasks([change.key for change in changes], [change.record for change in changes])
    absent = [change for change in changes if change.key not in existing]
    # The next plan knows no more of a record that was moved: its finding is gone, so its task is opened now. One
    # that exists is opened again too, which makes no second one: it may not be attached to its record yet.
    now = rows_of(connected.reader, connected.mapping, [change for change in absent if change.before])
    due = [change for change in absent if change.before and holds(now.get(place_of(change)), change.before)]
    kept = {*existing, *(change.key for change in due)}
    outcomes = [_not_landed(change, "the task was not created") for change in absent if change.key not in kept]
    opened = _written(writer.open_tasks, [one for one in changes if one.key in kept], writer.batch_size)
    return outcomes + [_found(one) if one.key in existing else one for one in opened]


def _found(outcome: Outcome) -> Outcome:
    """That of a task which is there: the run that was cut off has made it, so that a revert closes it."""
    if outcome.result is not Result.ALREADY_SO:
        return outcome
    return replace(outcome, result=Result.APPLIED, detail="found in the CRM")


def _told(_connected: Connected, writer: Writer, changes: Sequence[Change]) -> list[Outcome]:
    # Looked at, and not simply planned again: what the next plan wants of a task depends on what it says.
    return list(writer.look_at_tasks(changes))


def rows_of(reader: Reader, mapping: CrmMapping, changes: Sequence[Change]) -> dict[Place, Row]:
    """The records of the changes as they are now; those that are gone, hidden or no longer mapped are left out."""
    found: dict[Place, Row] = {}
    for mapped in mapping.objects:
        records = [change.record for change in changes if change.object == mapped.name]
        if records:
            rows = reader.current(mapped.table, records)
            found |= {(mapped.name, row[mapped.table.key]): row for row in rows.iter_rows(named=True)}
    return found


def place_of(change: Change) -> Place:
    """Object and record."""
    return change.object, change.record


def _value(row: Row, field: str) -> str | None:
    value = row.get(field)
    return None if value is None else str(value)


def holds(row: Row | None, values: Values) -> bool:
    """Whether a record is there with these values."""
    return row is not None and all((_value(row, field) or None) == (value or None) for field, value in values.items())


def _is_half_done(change: Change, row: Row | None) -> bool:
    """A stage that is blank now, and neither was before nor is to be: it was cleared and not yet set."""
    if row is None:
        return False
    blank = [field for field, value in change.after.items() if value and _value(row, field) is None]
    others = {field: value for field, value in change.before.items() if field not in blank}
    return bool(blank) and all(change.before.get(field) for field in blank) and holds(row, others)


def _landed(change: Change, row: Row | None) -> Outcome:
    if row is None:
        return _not_landed(change, "the record is gone, hidden or no longer mapped")
    seen = {field: _value(row, field) for field in change.after}
    if seen == dict(change.after):
        return Outcome(key=change.key, result=Result.APPLIED, detail="found in the CRM", seen=seen)
    if seen == {field: change.before.get(field) for field in seen}:
        return Outcome(key=change.key, result=Result.FAILED, detail="it did not land; planned again", seen=seen)
    return Outcome(key=change.key, result=Result.SUPERSEDED, detail="the record holds something else", seen=seen)


def _not_landed(change: Change, why: str) -> Outcome:
    return Outcome(key=change.key, result=Result.FAILED, detail=why, crm_id=change.crm_id)


def _written(
    write: Callable[[Sequence[Change]], Sequence[Outcome]], changes: Sequence[Change], size: int
) -> list[Outcome]:
    written = [outcome for batch in batches(changes, size) for outcome in write(batch)]
    return [outcome for outcome in written if outcome.result is not Result.FAILED and outcome.halt is not Halt.WRITES]


def batches(changes: Sequence[Change], size: int) -> Iterator[list[Change]]:
    """The changes in lists that one call may hold."""
    source = iter(changes)
    while batch := list(islice(source, size)):
        yield batch
