"""Apply: intent into the ledger, write, outcome into the ledger, batch by batch; and settling what a crash left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import structlog

from stagesync.agent.connection import Agent, Connected
from stagesync.connectors.base import Reader, Writer
from stagesync.errors import Interrupted
from stagesync.model.changes import Change, ChangeKind, Outcome, Plan, Result
from stagesync.planning.planner import order
from stagesync.policy.mappings import CrmMapping

log = structlog.get_logger(__name__)


def apply(agent: Agent, run: str, plan: Plan, outcomes: list[Outcome]) -> None:
    """Make the changes of a plan that the guard has passed; every batch is recorded before and after.

    ``outcomes`` receives what became of each change as it happens, so that nothing is lost when it is interrupted.

    Raises Interrupted between two batches when ``agent.stop`` is set: what was begun is finished and recorded.
    """
    connections = {connected.name: connected for connected in agent.connections}
    for kind, name, changes in order(plan):
        connected = connections[name]
        if connected.writer is None:
            continue
        for batch in _batches(changes, connected.writer.batch_size):
            if agent.stop.is_set():
                left = len(plan.changes) - len(outcomes)
                raise Interrupted(f"stopped as asked; {len(outcomes)} changes are done, {left} wait for the next run")
            outcomes += _batch(agent, run, connected, _method(connected.writer, kind), batch)
            agent.progress(name, str(kind), len(outcomes))


def _batch(
    agent: Agent,
    run: str,
    connected: Connected,
    write: Callable[[Sequence[Change]], Sequence[Outcome]],
    batch: Sequence[Change],
) -> Sequence[Outcome]:
    agent.ledger.record_intents(run, at=agent.clock(), changes=batch)
    outcomes = write(batch)
    agent.ledger.record_outcomes(run, at=agent.clock(), connection=connected.name, outcomes=outcomes)
    log.info("batch_applied", connection=connected.name, kind=str(batch[0].kind), changes=len(batch))
    return outcomes


def _method(writer: Writer, kind: ChangeKind) -> Callable[[Sequence[Change]], Sequence[Outcome]]:
    match kind:
        case ChangeKind.SET_STAGE:
            return writer.set_stage
        case ChangeKind.OPEN_TASK:
            return writer.open_tasks
        case ChangeKind.CLOSE_TASK:
            return writer.close_tasks


def _batches(changes: Sequence[Change], size: int) -> Iterator[list[Change]]:
    source = iter(changes)
    while batch := list(islice(source, size)):
        yield batch


def settle(agent: Agent, run: str, connected: Connected) -> int:
    """Find out by looking at the CRM what became of changes whose outcome nobody saw; return how many there were."""
    unsettled = agent.ledger.unsettled(connected.name)
    if unsettled:
        outcomes = _settled(connected.reader, connected.mapping, unsettled)
        agent.ledger.record_outcomes(run, at=agent.clock(), connection=connected.name, outcomes=outcomes)
        log.info("changes_settled", connection=connected.name, changes=len(outcomes))
    return len(unsettled)


def _settled(reader: Reader, mapping: CrmMapping, changes: Sequence[Change]) -> list[Outcome]:
    outcomes = []
    stages = [change for change in changes if change.kind is ChangeKind.SET_STAGE]
    for name in dict.fromkeys(change.object for change in stages):
        mapped = next((mapped for mapped in mapping.objects if mapped.name == name), None)
        batch = [change for change in stages if change.object == name]
        if mapped is None:
            outcomes += [_not_landed(change, "the object is no longer mapped") for change in batch]
            continue
        rows = reader.current(mapped.table, [change.record for change in batch])
        now = {row[mapped.table.key]: row for row in rows.iter_rows(named=True)}
        outcomes += [_settled_stage(change, now.get(change.record)) for change in batch]
    tasks = [change for change in changes if change.kind is ChangeKind.OPEN_TASK]
    existing = reader.own_tasks([change.key for change in tasks]) if tasks else {}
    for change in tasks:
        crm_id = existing.get(change.key)
        if crm_id is None:
            outcomes.append(_not_landed(change, "the task was not created"))
        else:
            outcomes.append(Outcome(key=change.key, result=Result.APPLIED, detail="found in the CRM", crm_id=crm_id))
    # Completing a task twice does no harm, so it is simply planned again.
    closing = [change for change in changes if change.kind is ChangeKind.CLOSE_TASK]
    return outcomes + [_not_landed(change, "will be tried again") for change in closing]


def _settled_stage(change: Change, row: dict[str, object] | None) -> Outcome:
    if row is None:
        return _not_landed(change, "the record is gone or hidden")
    seen = {field: str(row[field]) if row.get(field) is not None else None for field in change.after}
    if seen == dict(change.after):
        return Outcome(key=change.key, result=Result.APPLIED, detail="found in the CRM", seen=seen)
    if seen == {field: change.before.get(field) for field in seen}:
        return Outcome(key=change.key, result=Result.FAILED, detail="it did not land; planned again", seen=seen)
    return Outcome(key=change.key, result=Result.SUPERSEDED, detail="the record holds something else", seen=seen)


def _not_landed(change: Change, why: str) -> Outcome:
    return Outcome(key=change.key, result=Result.FAILED, detail=why, crm_id=change.crm_id)
