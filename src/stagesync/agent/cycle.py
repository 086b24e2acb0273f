"""One run, in the order of the flow: pull, audit, plan, guard, apply; every step leaves its mark in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from stagesync.agent import brake, closed, followed, pauses, retention, ties
from stagesync.agent.connection import Agent, Connected
from stagesync.agent.pull import Pulled, pull
from stagesync.agent.running import Override, Running, RunResult, guarded, running
from stagesync.agent.settle import settle
from stagesync.agent.written import corrections, lately, stages_written
from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.connectors.base import Merging
from stagesync.errors import IncompleteError, Interrupted, StageSyncError
from stagesync.ledger import TrackedTask
from stagesync.model.changes import ChangeKind, Plan
from stagesync.planning import planner
from stagesync.planning.escalation import TaskEnd
from stagesync.planning.situation import OpenTask, Situation
from stagesync.policy.task_texts import Refused

log = structlog.get_logger(__name__)


def run(
    agent: Agent,
    *,
    command: str,
    write: bool,
    plan: bool = True,
    unattended: bool = False,
    override: Override | None = None,
) -> RunResult:
    """One run over all connections. A run that may not write stops after the guard: that is the dry run. Without
    ``plan`` it stops after the findings, and no limit concerns it. One that runs ``unattended`` asks nothing of a
    CRM whose calls were used up, or which refused the credentials, for a while. An ``override`` lets a plan pass that
    limits or freezes speak against.

    Raises Interrupted when it was asked to stop, and Busy when it would write and another agent does. Whatever
    happens, the ledger says how the run ended.
    """
    with running(agent, command=command, write=write, unattended=unattended) as begun:
        plans = _observe_all(agent, begun, unattended=unattended)
        if plan:
            begun.result.plan = planner.joined(plans)
            guarded(agent, begun, begun.result.scopes, override=override)
        if begun.hold is not None:
            retention.keep_to(agent)
    return begun.result


def _observe_all(agent: Agent, begun: Running, *, unattended: bool) -> list[Plan]:
    plans, result = [], begun.result
    for connected in agent.connections:
        if agent.stop.is_set():
            raise Interrupted("stopped as asked, before anything was changed")
        try:
            if unattended:
                pauses.check(agent, connected.name)
            plans.append(_observe(agent, result, connected, write=begun.hold is not None))
        except Interrupted:
            raise
        except StageSyncError as error:
            # The other connections are not to wait for this one; the exit code and the ledger say that it failed.
            result.errors[connected.name] = error
            kind, reason = type(error).__name__, str(error)
            log.error("connection_failed", connection=connected.name, kind=kind, reason=reason)
    return plans


def _observe(agent: Agent, result: RunResult, connected: Connected, *, write: bool) -> Plan:
    """Pull and audit one connection, record what was found, and plan."""
    identity = connected.reader.identity()
    agent.ledger.pin(connected.name, identity, agent.clock(), run=result.run)
    pauses.lift(agent, result.run, connected.name)
    result.identities[connected.name] = identity
    if write and connected.writer is not None and brake.paused(agent) is None:
        result.settled += settle(agent, result.run, connected, connected.writer)
    tracked = agent.ledger.tasks(connected.name)
    states = followed.states(agent, connected, tracked)
    refused = followed.refused(agent, connected, tracked)
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
        watched=ties.watched(connected, tracked),
        written=lately(agent.ledger, connected.name, result.as_of),
        facts={followed.ASKED: followed.asked(connected, tracked, states, refused)},
    )
    agent.progress(connected.name, "audit", 0)
    judgements = audit(agent, connected, pulled, result.as_of)
    tasks = _tasks(connected, tracked, judgements)
    judgements = followed.heard(judgements, followed.asked(connected, tasks, states, refused))
    result.judgements += judgements
    _record(agent, result, connected, judgements)
    ends = followed.ends(agent, result.run, connected, tasks, states)
    open_tasks = _open(tasks, ends, refused)
    situation = _situation(agent, connected, pulled, judgements, tasks=open_tasks, as_of=result.as_of)
    return closed.anew(agent.ledger, connected.name, _plan(agent, judgements, situation))


def _plan(agent: Agent, judgements: Sequence[Judgement], situation: Situation) -> Plan:
    """What the findings ask for, but for tasks that a revert closed: they take up no room in a limit."""
    name, cap = situation.connection, situation.tasks_a_day
    if not closed.anything_reverted(agent.ledger, name):
        return planner.plan(judgements, situation)
    plan = planner.plan(judgements, replace(situation, tasks_a_day=None))
    back = closed.taken_back(agent.ledger, name, plan)
    return plan if cap is None and not back else planner.plan(judgements, replace(situation, taken_back=back))


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


def _opened_today(agent: Agent, connected: Connected, as_of: datetime) -> Counter[str]:
    """How many tasks each owner has got since midnight."""
    if agent.tasks_a_day is None:
        return Counter()
    made = agent.ledger.written_since(agent.midnight(as_of))
    tasks = [one for one in made if one.kind is ChangeKind.OPEN_TASK and one.connection == connected.name]
    return Counter(str(one.owner) for one in tasks)


def _tasks(
    connected: Connected, tasks: Sequence[TrackedTask], judgements: Sequence[Judgement]
) -> Sequence[TrackedTask]:
    """The open tasks; those of a record that was merged are about the one that it became."""
    if not isinstance(connected.reader, Merging):
        return tasks
    became: dict[tuple[str, str], str] = {}
    for judgement in judgements:
        mapped, judged = judgement.mapped, set(judgement.records["record"].to_list())
        absent = {task.record for task in tasks if task.object == mapped.name and task.record not in judged}
        if absent:
            found = connected.reader.merged_into(mapped.table, sorted(absent))
            became |= {(mapped.name, record): survivor for record, survivor in found.items()}
    return [replace(task, record=became.get((task.object, task.record), task.record)) for task in tasks]


def _open(tasks: Sequence[TrackedTask], ends: Mapping[str, TaskEnd], refused: Mapping[str, Refused]) -> list[OpenTask]:
    return [
        OpenTask(
            object=task.object,
            record=task.record,
            crm_id=task.crm_id,
            findings=task.findings,
            criteria=task.criteria,
            text=task.text,
            tells_of_a_move=task.tells_of_a_move,
            before=task.before,
            key=task.key,
            ended=ends.get(task.crm_id or ""),
            escalates=task.escalates,
            refused=refused.get(task.key),
        )
        for task in tasks
    ]


def _situation(
    agent: Agent,
    connected: Connected,
    pulled: Pulled,
    judgements: Sequence[Judgement],
    *,
    tasks: Sequence[OpenTask],
    as_of: datetime,
) -> Situation:
    return Situation(
        connection=connected.name,
        now=as_of,
        today=as_of.astimezone(agent.time_zone).date(),
        time_zone=agent.time_zone,
        task_due=agent.task_due,
        owners=pulled.owners,
        stages=pulled.stages,
        fields=pulled.labels,
        open_tasks=tasks,
        fallback_owner=connected.fallback_owner,
        protected=agent.protected,
        corrections=corrections(agent.ledger, connected.name, connected.mapping, judgements),
        tasks_a_day=agent.tasks_a_day,
        template=agent.template,
        escalation=agent.escalation,
        waiver_status=connected.mapping.waiver_status,
        waiver_status_shown=connected.mapping.waiver_status_shown,
        calendars=agent.calendars,
        opened_today=_opened_today(agent, connected, as_of),
    )
