"""Taking a run back: old values where ours still stands, our open tasks closed, and a list of what was left and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stagesync.agent import brake
from stagesync.agent.connection import Agent
from stagesync.agent.running import Override, RunResult, guarded, running
from stagesync.agent.settle import settle
from stagesync.errors import RefusedError, UsageError
from stagesync.ledger import EntryKind, RunRecord
from stagesync.model.changes import Change, ChangeKind, Outcome, Plan, Result
from stagesync.model.counting import counted
from stagesync.planning import selection
from stagesync.planning.reverting import closing, taking_back


@dataclass(frozen=True, kw_only=True)
class Reverted:
    """A run that took another one back. ``left`` are changes of that one which were not touched, with the reason."""

    result: RunResult
    of: RunRecord
    left: Sequence[tuple[Change, str]]


def revert(
    agent: Agent, name: str, *, only: Sequence[str], by: str, note: str, override: Override | None = None
) -> Reverted:
    """Takes back what a run wrote: each value only where it still is what that run wrote.

    ``name`` is the run's id, how it begins, or ``last`` for the last one that wrote something; ``only`` narrows it
    down. Errors: UsageError where there is no such run, or nothing that it made; those of a run.
    """
    of = agent.ledger.last_that_wrote() if name == "last" else agent.ledger.run(name)
    wanted = selection.chosen([change for change, _ in agent.ledger.changes(of.id)], only, ())
    names = {connected.name for connected in agent.connections}
    gone = sorted({change.connection for change in wanted} - names)
    if gone:
        raise RefusedError(f"run {of.id} wrote to {', '.join(gone)}, and the settings have no such connection any more")
    if not wanted:
        raise UsageError(f"run {of.id} ({of.command}) changed nothing, so there is nothing to take back")
    facts = {"reverts": of.id, "by": by, "note": note, "only": list(only)}
    with running(agent, command="revert", write=True, facts=facts) as begun:
        result = begun.result
        for connected in agent.connections:
            if connected.name not in {change.connection for change in wanted}:
                continue
            identity = connected.reader.identity()
            agent.ledger.pin(connected.name, identity, agent.clock(), run=result.run)
            result.identities[connected.name] = identity
            if connected.writer is not None and brake.paused(agent) is None:
                result.settled += settle(agent, result.run, connected, connected.writer)
        why = f"reverted by {by}" + (f" ({note})" if note else "")
        # Of a run that was cut off only now is known what landed, and the tasks of its moves are opened.
        outcomes = {change.key: outcome for change, outcome in agent.ledger.changes(of.id)}
        tasks = {task.key: task.crm_id for name in names for task in agent.ledger.tasks(name)}
        rows, left = [], []
        for change in wanted:
            back = _back(change, outcomes[change.key], tasks, of.id, why)
            if isinstance(back, Change):
                rows.append(back)
            else:
                left.append((change, back))
        result.plan = Plan(changes=tuple(rows))
        text = f"run {of.id} is {why}: {len(rows):,} of {counted(len(wanted), 'change')}"
        agent.ledger.note(text, at=agent.clock(), kind=EntryKind.RUN_REVERTED, facts=facts, run=result.run, key=of.id)
        guarded(agent, begun, (), override=override)
    return Reverted(result=result, of=of, left=left)


def _back(change: Change, outcome: Outcome | None, tasks: dict[str, str | None], run: str, why: str) -> Change | str:
    """The change that takes one back, or why there is none."""
    if outcome is None or outcome.result is not Result.APPLIED:
        became = str(outcome.result).replace("-", " ") if outcome else "nobody knows what became of it"
        return f"that run did not make it ({became})"
    match change.kind:
        case ChangeKind.SET_STAGE:
            return taking_back(change, run, why)
        case ChangeKind.OPEN_TASK:
            task = tasks.get(change.key)
            return closing(change, task, run, why) if task else "its task is closed already"
        case ChangeKind.UPDATE_TASK:
            return "the text of a task is not taken back"
        case ChangeKind.CLOSE_TASK:
            return "a task that is closed is not opened again"
