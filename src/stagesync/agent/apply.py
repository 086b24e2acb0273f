"""Apply: intent into the ledger, write, outcome into the ledger, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence

import structlog

from stagesync.agent.connection import Agent, Connected
from stagesync.agent.settle import batches
from stagesync.connectors.base import Writer
from stagesync.errors import ConnectionFailed, Interrupted, LimitReached, StageSyncError
from stagesync.model.changes import Change, ChangeKind, Halt, Outcome, Plan, Result
from stagesync.model.counting import counted
from stagesync.planning.planner import order

log = structlog.get_logger(__name__)

DONE = (Result.APPLIED, Result.ALREADY_SO)
NOT_MOVED = "its stage was not corrected, so the task would not be true; the next run looks again"
IN_DOUBT = "nobody saw whether its stage was corrected; the next run looks, and opens the task where it was"

LEFT_OUT = "left out: the CRM did not take this value for {record}, and would not here"

Write = Callable[[Sequence[Change]], Sequence[Outcome]]
Place = tuple[str, str, str]
"""Connection, object and record."""
Target = tuple[str, str, str, tuple[tuple[str, str | None], ...]]
"""Connection, object, rule and the values that are written: a pipeline may allow moves on to a stage, and none back."""


def apply(
    agent: Agent,
    run: str,
    plan: Plan,
    outcomes: list[Outcome],
    errors: MutableMapping[str, StageSyncError],
    *,
    gate: Callable[[], None],
    moved_on: Mapping[str, str],
) -> None:
    """Make the changes of a plan that the guard has passed; every batch is recorded before and after.

    ``outcomes`` receives what became of each change as it happens, so that nothing is lost when it is interrupted,
    and ``errors`` the connections that failed: their other changes wait for the next run, and the rest goes on.

    ``moved_on`` are changes that are left out because their record moved on, by key, with the reason.
    ``gate`` is called before each batch and raises when no more may be written. Raises Interrupted between two
    batches when ``agent.stop`` is set: what was begun is finished and recorded.
    """
    connections = {connected.name: connected for connected in agent.connections}
    applying = _Applying(agent, run, plan, moved_on)
    for kind, name, changes in order(plan):
        connected = connections[name]
        if connected.writer is None:
            continue
        for batch in batches(changes, connected.writer.batch_size):
            if name in errors:
                break
            if agent.stop.is_set():
                left = len(plan.changes) - len(outcomes)
                done = counted(len(outcomes), "change is", "changes are")
                waits = counted(left, "waits", "wait")
                raise Interrupted(f"stopped as asked; {done} done, {waits} for the next run")
            gate()
            try:
                applying.batch(connected, _method(connected.writer, kind), batch, outcomes)
            except ConnectionFailed as error:
                errors[name] = error
                log.error("connection_failed", connection=name, kind=type(error).__name__, reason=str(error))
            agent.progress(name, str(kind), len(outcomes))


class _Applying:
    def __init__(self, agent: Agent, run: str, plan: Plan, moved_on: Mapping[str, str]) -> None:
        self.agent, self.run = agent, run
        # A task that speaks of a move is intended together with it: after a crash nothing else would remember it.
        self.tasks = {change.place: change for change in plan.changes if change.tells_of_a_move}
        self.not_moved: set[Place] = set()
        self.in_doubt: set[Place] = set()
        self.moved_on = moved_on
        self.bad_targets: dict[Target, str] = {}

    def batch(self, connected: Connected, write: Write, batch: Sequence[Change], outcomes: list[Outcome]) -> None:
        """Intent, write, outcome. Raises ConnectionFailed when the CRM could not be looked at, or takes no writes."""
        batch = self._completed(connected, batch)
        tasks = [self.tasks[one.place] for one in batch if one.after and one.place in self.tasks]
        intended = [change for change in batch if not change.tells_of_a_move]
        self.agent.ledger.record_intents(self.run, at=self.agent.clock(), changes=[*intended, *tasks])
        untrue = [told for told in map(self._untrue, batch) if told is not None]
        outcomes += self._recorded(connected, untrue)
        left_out = {outcome.key for outcome in untrue}
        self.not_moved |= {change.place for change in batch if change.after and change.key in left_out}
        true = [change for change in batch if change.key not in left_out]
        try:
            written = write(true) if true else ()
        except ConnectionFailed as error:
            # Raised only when the call wrote nothing.
            failed = {one.key: _outcome(one, Result.FAILED, str(error)) for one in [*true, *tasks]}
            outcomes += self._recorded(connected, [failed[key] for key in failed if key not in self._owed(true)])
            outcomes += [failed[key] for key in failed if key in self._owed(true)]
            raise
        waiting = {outcome.key for outcome in written if _may_come(outcome)} & self._owed(true)
        outcomes += self._recorded(connected, [outcome for outcome in written if outcome.key not in waiting])
        outcomes += [outcome for outcome in written if outcome.key in waiting]
        results = {outcome.key: outcome.result for outcome in written}
        self.in_doubt |= {one.place for one in true if one.after and results[one.key] is Result.UNKNOWN}
        self.not_moved |= {one.place for one in true if one.after and results[one.key] not in (*DONE, Result.UNKNOWN)}
        log.info("batch_applied", connection=connected.name, kind=str(batch[0].kind), changes=len(batch))
        self._heed(connected, true, written)

    def _owed(self, changes: Sequence[Change]) -> set[str]:
        """Tasks of records that were moved: no later plan knows of them, so their intents stay open to be settled."""
        return {change.key for change in changes if change.tells_of_a_move}

    def _completed(self, connected: Connected, batch: Sequence[Change]) -> Sequence[Change]:
        """What must be sent beside the stages is known before the intent, so that a revert can restore it."""
        moving = batch[0].kind is ChangeKind.SET_STAGE and connected.writer is not None
        return connected.writer.completed(batch) if moving and connected.writer else batch

    def _untrue(self, change: Change) -> Outcome | None:
        """The outcome of a change that is not even tried, because of what became of one before it."""
        if change.key in self.moved_on:
            return _outcome(change, Result.SUPERSEDED, self.moved_on[change.key])
        if change.tells_of_a_move and change.place in self.not_moved:
            return _outcome(change, Result.SUPERSEDED, NOT_MOVED)
        if change.tells_of_a_move and change.place in self.in_doubt:
            return _outcome(change, Result.UNKNOWN, IN_DOUBT)
        record = self.bad_targets.get(_target(change)) if change.after else None
        return _outcome(change, Result.FAILED, LEFT_OUT.format(record=record)) if record else None

    def _heed(self, connected: Connected, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
        """Remember which values the CRM does not take. Raises ConnectionFailed when it takes nothing at all."""
        by_key = {change.key: change for change in changes}
        for outcome in outcomes:
            if outcome.halt is Halt.WRITES:
                text = f"connection '{connected.name}' takes no writes: {outcome.detail}. Its other changes wait"
                raise ConnectionFailed(text) if outcome.wait is None else LimitReached(text).waiting(outcome.wait)
            change = by_key[outcome.key]
            if outcome.halt is Halt.TARGET and _target(change) not in self.bad_targets:
                self.bad_targets[_target(change)] = change.record
                log.error("target_refused", connection=connected.name, rule=change.rule, record=change.record)

    def _recorded(self, connected: Connected, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        if outcomes:
            at = self.agent.clock()
            self.agent.ledger.record_outcomes(self.run, at=at, connection=connected.name, outcomes=outcomes)
        return outcomes


def _may_come(outcome: Outcome) -> bool:
    """Whether what did not happen may be tried again."""
    return outcome.result is Result.FAILED or outcome.halt is Halt.WRITES


def _target(change: Change) -> Target:
    return change.connection, change.object, change.rule, tuple(sorted(change.after.items()))


def _outcome(change: Change, result: Result, detail: str) -> Outcome:
    return Outcome(key=change.key, result=result, detail=detail, crm_id=change.crm_id)


def _method(writer: Writer, kind: ChangeKind) -> Write:
    match kind:
        case ChangeKind.SET_STAGE:
            return writer.set_stage
        case ChangeKind.OPEN_TASK:
            return writer.open_tasks
        case ChangeKind.UPDATE_TASK:
            return writer.update_tasks
        case ChangeKind.CLOSE_TASK:
            return writer.close_tasks
