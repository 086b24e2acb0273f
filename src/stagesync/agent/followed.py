"""What people did with StageSync's tasks: which they ended, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from stagesync.agent import closed
from stagesync.agent.connection import Agent, Connected
from stagesync.audit.judgement import Judgement
from stagesync.connectors.base import Following
from stagesync.ledger import EntryKind, TrackedTask
from stagesync.model.changes import OWN_MARKS
from stagesync.model.tasks import Ending, TaskState
from stagesync.planning.escalation import TaskEnd
from stagesync.policy.task_texts import Refused

ASKED = "asked"
"""Under which name the mirror keeps what :func:`asked` found."""
GONE = TaskState(status=None, ended=Ending.DELETED)


def states(agent: Agent, connected: Connected, tasks: Sequence[TrackedTask]) -> Mapping[str, TaskState]:
    """The tasks as the CRM has them, by its ids; none where nothing depends on it or the CRM cannot be asked."""
    reader = connected.reader
    ids = [task.crm_id for task in tasks if task.crm_id is not None]
    wanted = agent.escalation.after is not None or connected.mapping.waiver_status is not None
    if not ids or not wanted or not isinstance(reader, Following):
        return {}
    found = reader.task_states(ids)
    return {one: found.get(one, GONE) for one in ids}


def refused(agent: Agent, connected: Connected, tasks: Sequence[TrackedTask]) -> Mapping[str, Refused]:
    """By their keys, the tasks whose request for a waiver was refused and whose rep was not told yet."""
    if connected.mapping.waiver_status is None:
        return {}
    newest: dict[tuple[str | None, str | None], tuple[datetime, Refused]] = {}
    for entry in agent.ledger.entries(kind=EntryKind.WAIVER_REFUSED, connection=connected.name, newest_first=False):
        by = str(entry.body["facts"]["by"])
        day = entry.at.astimezone(agent.time_zone).date()
        newest[entry.object, entry.record] = entry.at, Refused(by=by, reason=str(entry.body["text"]), day=day)
    found: dict[str, Refused] = {}
    for task in tasks:
        at, why = newest.get((task.object, task.record), (task.told, None))
        if why is not None and at > task.told:
            found[task.key] = why
    return found


def asked(
    connected: Connected,
    tasks: Sequence[TrackedTask],
    known: Mapping[str, TaskState],
    answered: Mapping[str, Refused],
) -> Mapping[str, Mapping[str, str]]:
    """By object and record, in which words a rep asks for a waiver by the status of a task.

    The words are what the rep wrote into the task; where that is nothing, the status. Who was ``answered`` asks no
    more.
    """
    found: dict[str, dict[str, str]] = {}
    for task in tasks:
        state = known.get(task.crm_id or "")
        if task.key in answered:
            continue
        if state is not None and state.status is not None and state.status == connected.mapping.waiver_status:
            words = _added(state.body, task) or f"the task has the status '{connected.mapping.waiver_status_shown}'"
            found.setdefault(task.object, {})[task.record] = words
    return found


def _added(body: str, task: TrackedTask) -> str:
    """What stands in a task beside our own text and the mark."""
    ours = {line.strip() for line in task.text.body.splitlines()} if task.text else set()
    lines = (line.strip() for line in body.splitlines())
    return " ".join(line for line in lines if line and line not in ours and not line.startswith(OWN_MARKS))


def heard(judgements: Sequence[Judgement], asked_: Mapping[str, Mapping[str, str]]) -> list[Judgement]:
    """The judgements with what reps ask for by the status of a task, as :func:`asked` gives it."""
    return [replace(one, asked=found) if (found := asked_.get(one.mapped.name)) else one for one in judgements]


def ends(
    agent: Agent, run: str, connected: Connected, tasks: Sequence[TrackedTask], known: Mapping[str, TaskState]
) -> Mapping[str, TaskEnd]:
    """How and when the tasks were ended that somebody ended, by the CRM's ids.

    Where the CRM does not say when, it is the moment at which a run saw it first, which the ledger keeps.
    """
    found: dict[str, TaskEnd] = {}
    for task in tasks:
        state = known.get(task.crm_id or "")
        if task.crm_id is None or state is None or state.ended is None:
            continue
        # A task that a revert closed is followed again, and nobody ended it.
        if task.crm_id not in closed.by_us(agent.ledger, connected.name, task.object, task.record):
            at = state.at or _first_seen(agent, run, connected, task, state.ended)
            found[task.crm_id] = TaskEnd(how=state.ended, at=at)
    return found


def _first_seen(agent: Agent, run: str, connected: Connected, task: TrackedTask, how: Ending) -> datetime:
    seen = agent.ledger.entries(
        limit=1, newest_first=False, kind=EntryKind.TASK_ENDED, connection=connected.name, key=task.key
    )
    entry = next(seen, None)
    if entry is not None:
        return entry.at
    at = agent.clock()
    agent.ledger.note(
        f"the task {task.crm_id} was {how} by somebody; the CRM does not say when",
        at=at,
        kind=EntryKind.TASK_ENDED,
        run=run,
        connection=connected.name,
        object=task.object,
        record=task.record,
        owner=task.owner,
        key=task.key,
    )
    return at
