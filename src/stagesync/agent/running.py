"""What every command that concerns the CRMs does around its own steps: a run begins, may write alone, and ends."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from msgspec import structs

from stagesync.agent import brake, pauses, ties
from stagesync.agent.apply import apply
from stagesync.agent.connection import Agent
from stagesync.audit.judgement import Judgement
from stagesync.errors import IncompleteError, Interrupted, RefusedError, StageSyncError
from stagesync.ledger import EntryKind
from stagesync.model.changes import Change, LeftOut, Outcome, Plan, Result
from stagesync.model.counting import counted
from stagesync.model.crm import Calls, Identity
from stagesync.model.findings import Scope
from stagesync.planning import guard

if TYPE_CHECKING:
    from stagesync.ledger.locking import Hold

log = structlog.get_logger(__name__)

NOBODY: Mapping[str, str] = {}
SLACK = timedelta(minutes=5)
"""How much two machines that share a ledger may differ in time."""
NOT_DONE = (Result.FAILED, Result.REFUSED, Result.UNKNOWN)


@dataclass(kw_only=True)
class RunResult:
    """What a run saw and did. ``errors`` are failures by connection; the others went on. ``remarks`` are what a person
    should look into.

    ``applied`` is None where the run did not come to applying: a dry run, a refusal, nothing to do.
    """

    run: str
    as_of: datetime
    identities: dict[str, Identity] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    plan: Plan = field(default_factory=lambda: Plan(changes=()))
    refusals: tuple[guard.Refusal, ...] = ()
    overridden: tuple[guard.Refusal, ...] = ()
    applied: list[Outcome] | None = None
    settled: int = 0
    errors: dict[str, StageSyncError] = field(default_factory=dict)
    calls: dict[str, Calls] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def scopes(self) -> list[Scope]:
        """How much of each object was judged."""
        return [judgement.scope for judgement in self.judgements]

    @property
    def stopped(self) -> list[LeftOut]:
        """Records for which a rule has stopped, because its correction came back."""
        return [entry for entry in self.plan.left_out if entry.stop is not None]

    @property
    def requests(self) -> list[str]:
        """Records with findings of which a rep asks for a waiver: connection, object and id."""
        return [
            f"{one.scope.connection} {one.mapped.name} {record}"
            for one in self.judgements
            if one.requests
            for record in sorted(one.requests.keys() & set(one.records["record"].gather(one.findings["row"])))
        ]

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


@dataclass(frozen=True, kw_only=True)
class Override:
    """Who lets a plan pass that limits or a freeze window speak against, and why."""

    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Running:
    """A run that goes on. ``hold`` is the right to write, None where it only reads."""

    result: RunResult
    hold: Hold | None


@contextmanager
def running(
    agent: Agent, *, command: str, write: bool, unattended: bool = False, facts: Mapping[str, object] | None = None
) -> Iterator[Running]:
    """A run in the ledger, from its beginning to its end whatever happens in the block. ``unattended`` says that no
    person gave the command.

    Raises Busy before it begins where it would write and another agent does.
    """
    as_of = agent.clock()
    with agent.ledger.only_writer(_who(command), as_of) if write else nullcontext() as hold:
        last = next(iter(agent.ledger.entries(kind=EntryKind.RUN_FINISHED, limit=1)), None)
        run_id = agent.ledger.start_run(command=command, at=as_of, facts={**agent.facts, **(facts or {})})
        result = RunResult(run=run_id, as_of=as_of)
        log.info("run_started", run=run_id, command=command)
        if last is not None and as_of < last.at - SLACK:
            log.warning("clock_went_back", run=run_id, now=as_of.isoformat(), last_run=last.at.isoformat())
            result.remarks.append(
                f"the clock says {as_of:%Y-%m-%d %H:%M} UTC, and the last run ended at {last.at:%Y-%m-%d %H:%M} UTC; "
                "graces, due days and limits of a day follow the clock, so set it right"
            )
        ending, code, reason = "interrupted", Interrupted.exit_code, ""
        try:
            yield Running(result=result, hold=hold)
            for name, error in result.errors.items():
                result.errors[name] = pauses.remember(
                    agent, run_id, name, error, _left(result, name), unattended=unattended
                )
            ending, code = result.ending, result.exit_code
        except StageSyncError as error:
            ending, code, reason = _ending(error), error.exit_code, str(error)
            raise
        except Exception as error:
            ending, reason = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            result.calls = {connected.name: calls for connected in agent.connections if (calls := connected.calls)}
            summary = {"exit_code": code, **_summary(result), **({"ended_by": reason} if reason else {})}
            agent.ledger.finish_run(run_id, at=agent.clock(), result=ending, facts=summary)
            log.info("run_finished", run=run_id, result=ending, exit_code=code, **_numbers(result))


def guarded(
    agent: Agent,
    run: Running,
    scopes: Sequence[Scope],
    *,
    moved_on: Mapping[str, str] = NOBODY,
    override: Override | None = None,
) -> None:
    """Lets the guard look at the plan of a run and, where the run may write and nothing is refused, applies it.

    ``moved_on`` are the keys of changes that are known to be stale, with the reason: they are left out and recorded. An
    ``override`` is recorded together with what it lets pass. Raises RefusedError between two batches when somebody
    pauses, or a freeze window begins.
    """
    result = run.result
    result.refusals = _refusals(agent, result, scopes)
    for refusal in result.refusals:
        told = {"limit": refusal.limit, "wanted": refusal.wanted, "allowed": refusal.allowed}
        log.warning("plan_refused", run=result.run, **told)
    if run.hold is None:
        return
    _tell_of_stops(agent, result)
    passed = tuple(refusal for refusal in result.refusals if override is not None and not refusal.final)
    if override is not None and passed and passed == result.refusals:
        _let_pass(agent, result, override, passed)
        result.refusals = ()
    if not result.refusals:
        applied = result.applied = []
        protected = {one.key: reason for one in result.plan.changes if (reason := agent.protected.reason(one))}
        left_out = {**ties.tied_since(agent, result.plan, result.errors), **moved_on, **protected}
        hold, planned = run.hold, len(result.plan.changes)

        def gate() -> None:
            hold.check()
            done, left = len(applied), planned - len(applied)
            brake.check(agent, done, left)
            while frozen := brake.freezing(agent, [one.limit for one in result.overridden], done, left):
                if override is None:
                    raise RefusedError(frozen.message)
                _let_pass(agent, result, override, (frozen,))

        apply(agent, result.run, result.plan, applied, result.errors, gate=gate, moved_on=left_out)


def _let_pass(agent: Agent, result: RunResult, override: Override, passed: tuple[guard.Refusal, ...]) -> None:
    """Notes in the ledger who lets a plan pass, why, and what spoke against it."""
    limits = ", ".join(refusal.limit for refusal in passed)
    text = f"{limits} overridden by {override.by}: {override.reason}"
    facts = {**asdict(override), "refusals": [refusal.says for refusal in passed]}
    agent.ledger.note(text, at=agent.clock(), kind=EntryKind.GUARD_OVERRIDDEN, facts=facts, run=result.run)
    result.overridden += passed


def _tell_of_stops(agent: Agent, result: RunResult) -> None:
    """For which records a rule has stopped stands in the ledger, once."""
    for entry in result.stopped:
        if not agent.ledger.count(kind=EntryKind.RULE_STOPPED, key=entry.stop):
            agent.ledger.note(
                entry.reason,
                at=agent.clock(),
                kind=EntryKind.RULE_STOPPED,
                run=result.run,
                connection=entry.connection,
                object=entry.object,
                record=entry.record,
                rule=entry.rule,
                key=entry.stop,
            )


def _refusals(agent: Agent, result: RunResult, scopes: Sequence[Scope]) -> tuple[guard.Refusal, ...]:
    today: list[Change] = []
    if agent.limits.per_day != guard.NO_BOUND:
        today = agent.ledger.written_since(agent.midnight(result.as_of))
    refusals = guard.check(result.plan, scopes, agent.limits, today=today, freezes=agent.freezes, now=agent.clock())
    why = brake.paused(agent)
    if why is None or not result.plan.changes:
        return refusals
    remedy = "Nothing was written. `stagesync resume` lets agents write again"
    return (guard.Refusal(limit="pause", wanted=1, allowed=0, says=why, remedy=remedy, final=True), *refusals)


def _ending(error: StageSyncError) -> str:
    if isinstance(error, Interrupted):
        return "interrupted"
    return "refused" if isinstance(error, RefusedError) else "failed"


def _who(command: str) -> str:
    return f"stagesync {command} on {socket.gethostname()} (process {os.getpid()})"


def _left(result: RunResult, connection: str) -> str:
    """What a run left undone of a connection that failed."""
    planned = {change.key for change in result.plan.changes if change.connection == connection}
    if not planned and connection not in {judgement.scope.connection for judgement in result.judgements}:
        return f"nothing of connection '{connection}' was judged"
    done = {outcome.key for outcome in result.applied or () if outcome.result not in NOT_DONE}
    undone = f"{len(planned - done):,} of the {counted(len(planned), 'planned change')}"
    return f"{undone} of connection '{connection}' {'was' if len(planned - done) == 1 else 'were'} not made"


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
    return {
        "as_of": result.as_of.isoformat(),
        "scope": scope,
        "planned": len(result.plan.changes),
        "settled": result.settled,
        "stopped": [f"{one.connection} {one.object} {one.record}: {one.reason}" for one in result.stopped],
        "waiver_requests": result.requests,
        "outcomes": _outcomes(result),
        "calls": {name: structs.asdict(calls) for name, calls in result.calls.items()},
        "refusals": [refusal.message for refusal in result.refusals],
        "overridden": [refusal.limit for refusal in result.overridden],
        "remarks": result.remarks,
        "errors": {name: str(error) for name, error in result.errors.items()},
    }


def _outcomes(result: RunResult) -> Mapping[str, int]:
    return Counter(str(outcome.result) for outcome in result.applied or ())


def _numbers(result: RunResult) -> Mapping[str, object]:
    """How much a run saw and did, for the log: numbers alone."""
    scopes = result.scopes
    return {
        "in_scope": sum(scope.in_scope for scope in scopes),
        "judged": sum(scope.evaluated for scope in scopes),
        "findings": sum(judgement.findings.height for judgement in result.judgements),
        "planned": len(result.plan.changes),
        "outcomes": dict(_outcomes(result)),
    }
