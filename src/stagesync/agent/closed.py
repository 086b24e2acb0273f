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
    told = _told(ledger, connection, plan)
    keys = {one.key: _free(list(_deeds(ledger, connection, one.object, one.record)), one.key) for one in told}
    return replace(plan, changes=tuple(replace(one, key=keys.get(one.key, one.key)) for one in plan.changes))


def anything_reverted(ledger: Ledger, connection: str) -> bool:
    """Whether a revert ever wrote to a connection, as far as the ledger goes back."""
    return ledger.count(kind=EntryKind.OUTCOME, connection=connection, rule=REVERT) > 0


def taken_back(ledger: Ledger, connection: str, plan: Plan) -> frozenset[str]:
    """The keys of the plan's tasks that stand closed by a revert: to plan them would promise what is never done."""
    found = set()
    for one in _told(ledger, connection, plan):
        deeds = list(_deeds(ledger, connection, one.object, one.record))
        if _is_closed(deeds, _free(deeds, one.key), reverting=True):
            found.add(one.key)
    return frozenset(found)


def _told(ledger: Ledger, connection: str, plan: Plan) -> list[Change]:
    """The tasks of a plan whose keys have an outcome already."""
    opening = [one for one in plan.changes if one.kind is ChangeKind.OPEN_TASK]
    told = ledger.settled(connection, [one.key for one in opening])
    return [one for one in opening if one.key in told]


def _free(deeds: Collection[_Deed], first: str) -> str:
    """The key, or the next one where its task was closed because what it asked for was there, or no longer wanted."""
    key, times = first, 0
    while _is_closed(deeds, key, reverting=False):
        times += 1
        key = change_key("again", first, times)
    return key


def _is_closed(deeds: Collection[_Deed], key: str, *, reverting: bool) -> bool:
    """Whether the task of this key was closed by StageSync: by a revert, or by a run."""
    made = {one.task for one in deeds if one.kind == ChangeKind.OPEN_TASK and one.key == key and one.result in DONE}
    closed = (one for one in deeds if one.kind == ChangeKind.CLOSE_TASK and one.result in DONE)
    return any(one.task in made for one in closed if one.reverting is reverting)


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
