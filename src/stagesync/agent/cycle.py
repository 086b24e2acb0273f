"""One run, in the order of the flow: pull, audit, plan, guard, apply; every step leaves its mark in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import structlog

from stagesync.agent import pauses
from stagesync.agent.apply import apply
from stagesync.agent.connection import Agent, Connected
from stagesync.agent.pull import Pulled, pull
from stagesync.agent.settle import settle
from stagesync.agent.written import stages_written
from stagesync.audit.engine import Judgement, judge
from stagesync.audit.evidence import Tables
from stagesync.audit.masks import Frame
from stagesync.errors import IncompleteError, Interrupted, RefusedError, StageSyncError
from stagesync.model.changes import Outcome, Plan, Result
from stagesync.model.crm import Calls, Identity
from stagesync.planning import guard, planner

log = structlog.get_logger(__name__)

NOT_DONE = (Result.FAILED, Result.REFUSED, Result.UNKNOWN)


@dataclass(kw_only=True)
class RunResult:
    """What a run saw and did. ``errors`` are failures by connection; the others went on.

    ``applied`` is None where the run did not come to applying: a dry run, a refusal, nothing to do.
    """

    run: str
    as_of: datetime
    identities: dict[str, Identity] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    plan: Plan = field(default_factory=lambda: Plan(changes=()))
    refusals: tuple[guard.Refusal, ...] = ()
    applied: list[Outcome] | None = None
    settled: int = 0
    errors: dict[str, StageSyncError] = field(default_factory=dict)
    calls: dict[str, Calls] = field(default_factory=dict)

    @property
    def incomplete(self) -> bool:
        """Something in scope was not evaluated, or a change was not made."""
        not_judged = any(not judgement.complete for judgement in self.judgements)
        return not_judged or any(outcome.result in NOT_DONE for outcome in self.applied or ())

    @property
    def ending(self) -> str:
        """How the run ended, in a word for the ledger."""
        if self.errors:
            return "failed"
        if self.refusals:
            return "refused"
        return "incomplete" if self.incomplete else "done"

    @property
    def exit_code(self) -> int:
        """The documented exit code of the run."""
        if self.errors:
            return max(error.exit_code for error in self.errors.values())
        if self.refusals:
            return RefusedError.exit_code
        return IncompleteError.exit_code if self.incomplete else 0


def run(agent: Agent, *, command: str, write: bool, plan: bool = True, unattended: bool = False) -> RunResult:
    """One run over all connections. A run that may not write stops after the guard: that is the dry run. Without
    ``plan`` it stops after the findings, and no limit concerns it. One that runs ``unattended`` asks nothing of a
    CRM whose calls were used up, for a while.

    Raises Interrupted when it was asked to stop; whatever happens, the ledger says how the run ended.
    """
    as_of = agent.clock()
    run_id = agent.ledger.start_run(command=command, at=as_of, facts=dict(agent.facts))
    result = RunResult(run=run_id, as_of=as_of)
    log.info("run_started", run=run_id, command=command)
    ending, code = "interrupted", Interrupted.exit_code
    try:
        _steps(agent, result, write=write, plan=plan, unattended=unattended)
        for name, error in result.errors.items():
            result.errors[name] = pauses.remember(agent, run_id, name, error, _left(result, name))
        ending, code = result.ending, result.exit_code
    except StageSyncError as error:
        ending, code = "interrupted" if isinstance(error, Interrupted) else "failed", error.exit_code
        raise
    except Exception:
        ending = "failed"
        raise
    finally:
        result.calls = {connected.name: calls for connected in agent.connections if (calls := connected.calls)}
        facts = {"exit_code": code, **_summary(result)}
        agent.ledger.finish_run(run_id, at=agent.clock(), result=ending, facts=facts)
        log.info("run_finished", run=run_id, result=ending, exit_code=code)
    return result


def _steps(agent: Agent, result: RunResult, *, write: bool, plan: bool, unattended: bool) -> None:
    plans = []
    for connected in agent.connections:
        if agent.stop.is_set():
            raise Interrupted("stopped as asked, before anything was changed")
        try:
            if unattended:
                pauses.check(agent, connected.name)
            plans.append(_observe(agent, result, connected, write=write))
        except Interrupted:
            raise
        except StageSyncError as error:
            # The other connections are not to wait for this one; the exit code and the ledger say that it failed.
            result.errors[connected.name] = error
            log.error("connection_failed", connection=connected.name, kind=type(error).__name__)
    if not plan:
        return
    result.plan = planner.joined(plans)
    scopes = [judgement.scope for judgement in result.judgements]
    result.refusals = guard.check(result.plan, scopes, agent.limits)
    if write and not result.refusals:
        result.applied = []
        apply(agent, result.run, result.plan, result.applied, result.errors)


def _observe(agent: Agent, result: RunResult, connected: Connected, *, write: bool) -> Plan:
    """Pull and audit one connection, record what was found, and plan."""
    identity = connected.reader.identity()
    agent.ledger.pin(connected.name, identity, agent.clock(), run=result.run)
    result.identities[connected.name] = identity
    if write and connected.writer is not None:
        result.settled += settle(agent, result.run, connected, connected.writer)
    pulled = pull(
        name=connected.name,
        reader=connected.reader,
        mapping=connected.mapping,
        mirror=agent.mirror,
        label=result.run,
        identity=identity,
        progress=agent.progress,
        now=result.as_of,
        manner=agent.manner,
        stop=agent.stop,
    )
    agent.progress(connected.name, "audit", 0)
    judgements = audit(agent, connected, pulled, result.as_of)
    result.judgements += judgements
    _record(agent, result, connected, judgements)
    return planner.plan(judgements, _situation(agent, connected, pulled, result.as_of))


def audit(agent: Agent, connected: Connected, pulled: Pulled, as_of: datetime) -> list[Judgement]:
    """Judge what the mirror holds of a connection. Raises IncompleteError when there is nothing at all to judge."""
    rows, missing = agent.mirror.read(connected.name)
    judgements = judge(
        connection=connected.name,
        definition=agent.definition,
        mapping=connected.mapping,
        tables=Tables(rows=rows, missing=missing),
        owners=pulled.owners,
        frame=Frame(now=as_of.astimezone(UTC), time_zone=agent.time_zone),
        granted=agent.ledger.waivers(connected.name),
        written=stages_written(agent.ledger, connected.name, connected.mapping),
    )
    if not any(judgement.scope.in_scope for judgement in judgements):
        names = ", ".join(judgement.mapped.name for judgement in judgements)
        raise IncompleteError(
            f"connection '{connected.name}' gave no record of {names}; can its user see them? Nothing was judged"
        )
    return judgements


def _record(agent: Agent, result: RunResult, connected: Connected, judgements: Sequence[Judgement]) -> None:
    judged: dict[str, set[str]] = {}
    for judgement in judgements:
        judged.setdefault(judgement.mapped.name, set()).update(judgement.records["record"].to_list())
    agent.ledger.record_findings(
        result.run,
        at=agent.clock(),
        connection=connected.name,
        findings=(batch for judgement in judgements for batch in judgement.batches()),
        judged=lambda object_name, record: record in judged.get(object_name, ()),
    )


def _situation(agent: Agent, connected: Connected, pulled: Pulled, as_of: datetime) -> planner.Situation:
    return planner.Situation(
        connection=connected.name,
        now=as_of,
        today=as_of.astimezone(agent.time_zone).date(),
        time_zone=agent.time_zone,
        task_due=agent.task_due,
        owners=pulled.owners,
        stages=pulled.stages,
        open_tasks=[
            planner.OpenTask(
                object=task.object,
                record=task.record,
                crm_id=task.crm_id,
                findings=task.findings,
                criteria=task.criteria,
            )
            for task in agent.ledger.tasks(connected.name)
        ],
        fallback_owner=connected.fallback_owner,
    )


def _left(result: RunResult, connection: str) -> str:
    """What a run left undone of a connection that failed."""
    if connection not in {judgement.scope.connection for judgement in result.judgements}:
        return f"nothing of connection '{connection}' was judged"
    planned = {change.key for change in result.plan.changes if change.connection == connection}
    done = {outcome.key for outcome in result.applied or () if outcome.result not in NOT_DONE}
    return f"{len(planned - done)} of the {len(planned)} planned changes of connection '{connection}' were not made"


def _summary(result: RunResult) -> Mapping[str, object]:
    scope = [
        {
            "connection": judgement.scope.connection,
            "object": judgement.scope.object,
            "in_scope": judgement.scope.in_scope,
            "evaluated": judgement.scope.evaluated,
            "skipped": dict(judgement.scope.skipped),
            "findings": judgement.findings.height,
        }
        for judgement in result.judgements
    ]
    outcomes: dict[str, int] = {}
    for outcome in result.applied or ():
        outcomes[outcome.result] = outcomes.get(outcome.result, 0) + 1
    return {
        "as_of": result.as_of.isoformat(),
        "scope": scope,
        "planned": len(result.plan.changes),
        "settled": result.settled,
        "outcomes": outcomes,
        "calls": {name: asdict(calls) for name, calls in result.calls.items()},
        "refusals": [refusal.message for refusal in result.refusals],
        "errors": {name: str(error) for name, error in result.errors.items()},
    }
