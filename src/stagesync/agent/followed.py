"""What people did with StageSync's tasks: which they ended, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from stagesync.agent.connection import Agent, Connected
from stagesync.connectors.base import Following
from stagesync.ledger import EntryKind, TrackedTask
from stagesync.model.tasks import Ending, TaskState
from stagesync.planning.escalation import TaskEnd

GONE = TaskState(status=None, ended=Ending.DELETED)


def states(agent: Agent, connected: Connected, tasks: Sequence[TrackedTask]) -> Mapping[str, TaskState]:
    """The tasks as the CRM has them, by its ids; none where nothing depends on it or the CRM cannot be asked."""
    reader = connected.reader
    ids = [task.crm_id for task in tasks if task.crm_id is not None]
    if not ids or agent.escalation.after is None or not isinstance(reader, Following):
        return {}
    found = reader.task_states(ids)
    return {one: found.get(one, GONE) for one in ids}


def ends(
    agent: Agent, run: str, connected: Connected, tasks: Sequence[TrackedTask], known: Mapping[str, TaskState]
) -> Mapping[str, TaskEnd]:
    """How and when the tasks were ended that somebody ended, by the CRM's ids.

    Where the CRM does not say when, it is the moment at which a run saw it first, which the ledger keeps.
    """
    found: dict[str, TaskEnd] = {}
    for task in tasks:
        state = known.get(task.crm_id or "")
        if task.crm_id is not None and state is not None and state.ended is not None:
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
