"""Associations that come and go without a trace: HubSpot moves no date when somebody ties a contact to a deal.

Until a second look at the rest finds them, the mirror knows nothing of them. So the next pull asks for those of records
that a person is asked to mend, and no record loses its stage for want of an association that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence

import polars as pl
import structlog

from stagesync.agent.connection import Agent, Connected
from stagesync.connectors.base import Associations
from stagesync.errors import ConnectionFailed, StageSyncError
from stagesync.ledger import TrackedTask
from stagesync.model.changes import Change, ChangeKind, Plan

log = structlog.get_logger(__name__)

TIED = "who or what it is associated with is not what it was judged by; it is judged anew once that was read"


def watched(connected: Connected, tasks: Sequence[TrackedTask]) -> Mapping[str, Collection[str]]:
    """The records of these tasks, by object."""
    if not isinstance(connected.reader.increments, Associations):
        return {}
    found: dict[str, set[str]] = {}
    for task in tasks:
        found.setdefault(task.object, set()).add(task.record)
    return found


def tied_since(agent: Agent, plan: Plan, errors: MutableMapping[str, StageSyncError]) -> Mapping[str, str]:
    """The moves of records whose associations are others than those that they were judged by: keys, with the reason.

    ``errors`` receives the connections that could not be asked.
    """
    found: dict[str, str] = {}
    for connected in agent.connections:
        increments = connected.reader.increments
        moves = [one for one in plan.changes if one.connection == connected.name and one.kind is ChangeKind.SET_STAGE]
        if not moves or connected.name in errors or not isinstance(increments, Associations):
            continue
        try:
            found |= _tied(agent, connected, increments, moves)
        except ConnectionFailed as error:
            errors[connected.name] = error
            log.error("connection_failed", connection=connected.name, kind=type(error).__name__)
    return found


def _tied(agent: Agent, connected: Connected, increments: Associations, moves: Sequence[Change]) -> Mapping[str, str]:
    pairs = {
        f"{table.name}~{link}": (table, link)
        for table in connected.mapping.tables
        for link in increments.undated(table)
    }
    held, _ = agent.mirror.read(connected.name, only=pairs)
    found: dict[str, str] = {}
    for name, rows in held.items():
        table, link = pairs[name]
        keys = {move.record: move.key for move in moves if move.object == link}
        if keys:
            known = set(rows.filter(pl.col("to").is_in(list(keys))).select("from", "to").rows())
            now = set(increments.links_to(table, link, list(keys)).rows())
            # What our user does not see has no part in a verdict, however it is associated.
            new = sorted({near for near, _ in now - known})
            seen = increments.present(table, new) if new else set()
            found |= {keys[far]: TIED for near, far in known ^ now if near in seen or (near, far) in known}
    return found
