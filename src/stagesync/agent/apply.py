"""Apply: intent into the ledger, write, outcome into the ledger, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence

import structlog

from stagesync.agent.connection import Agent, Connected
from stagesync.agent.settle import batches
from stagesync.connectors.base import Writer
from stagesync.errors import ConnectionFailed, Interrupted, StageSyncError
from stagesync.model.changes import Change, ChangeKind, Outcome, Plan, Result
from stagesync.planning.planner import order

log = structlog.get_logger(__name__)

DONE = (Result.APPLIED, Result.ALREADY_SO)
NOT_MOVED = "its stage was not corrected, so the task would not be true; the next run looks again"

Write = Callable[[Sequence[Change]], Sequence[Outcome]]
Place = tuple[str, str, str]
"""Connection, object and record."""


def apply(
    agent: Agent, run: str, plan: Plan, outcomes: list[Outcome], errors: MutableMapping[str, StageSyncError]
) -> None:
    """Make the changes of a plan that the guard has passed; every batch is recorded before and after.

    ``outcomes`` receives what became of each change as it happens, so that nothing is lost when it is interrupted,
    and ``errors`` the connections that failed: their other changes wait for the next run, and the rest goes on.

    Raises Interrupted between two batches when ``agent.stop`` is set: what was begun is finished and recorded.
    """
    connections = {connected.name: connected for connected in agent.connections}
    applying = _Applying(agent, run, plan)
    for kind, name, changes in order(plan):
        connected = connections[name]
        if connected.writer is None:
            continue
        for batch in batches(changes, connected.writer.batch_size):
            if name in errors:
                break
            if agent.stop.is_set():
                left = len(plan.changes) - len(outcomes)
                raise Interrupted(f"stopped as asked; {len(outcomes)} changes are done, {left} wait for the next run")
            try:
                applying.batch(connected, _method(connected.writer, kind), batch, outcomes)
            except ConnectionFailed as error:
                errors[name] = error
                log.error("connection_failed", connection=name, kind=type(error).__name__)
            agent.progress(name, str(kind), len(outcomes))


class _Applying:
    def __init__(self, agent: Agent, run: str, plan: Plan) -> None:
        self.agent, self.run = agent, run
        # A task that speaks of a move is intended together with it: after a crash nothing else would remember it.
        self.tasks = {_place(change): change for change in plan.changes if _speaks_of_a_move(change)}
        self.not_moved: set[Place] = set()

    def batch(self, connected: Connected, write: Write, batch: Sequence[Change], outcomes: list[Outcome]) -> None:
        """Intent, write, outcome. Raises ConnectionFailed when the CRM could not even be looked at."""
        tasks = [self.tasks[_place(one)] for one in batch if one.after and _place(one) in self.tasks]
        intended = [change for change in batch if not _speaks_of_a_move(change)]
        self.agent.ledger.record_intents(self.run, at=self.agent.clock(), changes=[*intended, *tasks])
        untrue = [one for one in batch if _speaks_of_a_move(one) and _place(one) in self.not_moved]
        outcomes += self._recorded(connected, [_outcome(one, Result.SUPERSEDED, NOT_MOVED) for one in untrue])
        true = [change for change in batch if change not in untrue]
        try:
            written = write(true) if true else ()
        except ConnectionFailed as error:
            # Raised only when the call wrote nothing.
            outcomes += self._recorded(connected, [_outcome(one, Result.FAILED, str(error)) for one in [*true, *tasks]])
            raise
        outcomes += self._recorded(connected, written)
        done = {outcome.key for outcome in written if outcome.result in DONE}
        self.not_moved |= {_place(change) for change in true if change.after and change.key not in done}
        log.info("batch_applied", connection=connected.name, kind=str(batch[0].kind), changes=len(batch))

    def _recorded(self, connected: Connected, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        if outcomes:
            at = self.agent.clock()
            self.agent.ledger.record_outcomes(self.run, at=at, connection=connected.name, outcomes=outcomes)
        return outcomes


def _speaks_of_a_move(change: Change) -> bool:
    return change.kind is ChangeKind.OPEN_TASK and bool(change.before)


def _place(change: Change) -> Place:
    return change.connection, change.object, change.record


def _outcome(change: Change, result: Result, detail: str) -> Outcome:
    return Outcome(key=change.key, result=result, detail=detail, crm_id=change.crm_id)


def _method(writer: Writer, kind: ChangeKind) -> Write:
    match kind:
        case ChangeKind.SET_STAGE:
            return writer.set_stage
        case ChangeKind.OPEN_TASK:
            return writer.open_tasks
        case ChangeKind.CLOSE_TASK:
            return writer.close_tasks
