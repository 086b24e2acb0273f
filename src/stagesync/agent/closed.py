"""Tasks that StageSync itself has closed: when their fault comes back it is a new one, and no person ended them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from stagesync.ledger import EntryKind, Ledger
from stagesync.model.changes import Change, ChangeKind, Plan, Result
from stagesync.planning.draft import change_key
from stagesync.planning.guard import REVERT

DONE = (Result.APPLIED, Result.ALREADY_SO)


@dataclass(frozen=True, kw_only=True)
class _Deed:
    """What was done with a task, the key of the change that did it, and whether a person had it reverted so."""

    kind: str
    key: str
    task: str | None
    result: str
    reverting: bool


def anew(ledger: Ledger, connection: str, plan: Plan) -> Plan:
    """The plan, where the task of a fault that was over and is there again has a key that no task has yet.

    The key of a task comes from its fault, and a task that was closed is never opened again. One that a person ended,
    or that a revert closed, keeps its key: nobody is asked once more.
    """
    opening = [one.key for one in plan.changes if one.kind is ChangeKind.OPEN_TASK]
    told = ledger.settled(connection, opening)
    return replace(
        plan, changes=tuple(_anew(ledger, connection, one) if one.key in told else one for one in plan.changes)
    )


def _anew(ledger: Ledger, connection: str, change: Change) -> Change:
    deeds = list(_deeds(ledger, connection, change.object, change.record))
    key, times = change.key, 0
    while _is_over(deeds, key):
        times += 1
        key = change_key("again", change.key, times)
    return replace(change, key=key)


def _is_over(deeds: Collection[_Deed], key: str) -> bool:
    """Whether the task of this key was closed because what it asked for was there, or no longer wanted."""
    made = {one.task for one in deeds if one.kind == ChangeKind.OPEN_TASK and one.key == key and one.result in DONE}
    closed = (one for one in deeds if one.kind == ChangeKind.CLOSE_TASK and not one.reverting and one.result in DONE)
    return any(one.task in made for one in closed)


def by_us(ledger: Ledger, connection: str, object_name: str, record: str) -> frozenset[str]:
    """The CRM's ids of the tasks of a record that StageSync closed while they were open."""
    deeds = _deeds(ledger, connection, object_name, record)
    return frozenset(
        one.task for one in deeds if one.kind == ChangeKind.CLOSE_TASK and one.result == Result.APPLIED and one.task
    )


def _deeds(ledger: Ledger, connection: str, object_name: str, record: str) -> Iterator[_Deed]:
    outcomes = ledger.entries(kind=EntryKind.OUTCOME, connection=connection, object=object_name, record=record)
    for entry in outcomes:
        body = entry.body
        yield _Deed(
            kind=body["change_kind"],
            key=str(entry.key),
            task=body["task"],
            result=body["outcome"]["result"],
            reverting=entry.rule == REVERT,
        )
