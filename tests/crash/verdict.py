"""When a case has ended well: nothing lost, nothing twice, nothing that the ledger does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stagesync.ledger import EntryKind, Ledger
from stagesync.model.changes import ChangeKind, Result

from .company import State
from .lab import SECOND_MORNING, Case

DONE = (Result.APPLIED, Result.ALREADY_SO)
PAUSE = 5.0
"""Minutes between a run and the next."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How a company stands at the end: the CRM, the keys of the changes that the ledger calls done, and of the tasks
    that it follows."""

    state: State
    done: frozenset[str]
    followed: frozenset[str]


def undisturbed(case: Case) -> tuple[End, Sequence[str]]:
    """The end of a second morning in which nobody dies, and its effects in order."""
    run = case.run(SECOND_MORNING)
    assert (run.exit_code, len(run.planned)) == (0, 17), f"{run}\n{case.words()}"
    end = ended(case)
    again = case.run(SECOND_MORNING + PAUSE)
    assert (again.planned, again.settled) == ([], 0), case.words()
    assert ended(case) == end
    return end, run.effects


def follows(case: Case, wanted: End, *, twice: bool) -> None:
    """The next run brings about the wanted end; the one after it, where it is asked for too, has nothing to do."""
    every_write_is_intended(case)
    first = case.run(SECOND_MORNING + PAUSE)
    assert (first.exit_code, first.said) == (0, ""), case.words()
    assert ended(case) == wanted
    if not twice:
        return
    writes = case.writes
    second = case.run(SECOND_MORNING + 2 * PAUSE)
    assert (second.exit_code, second.planned, second.settled) == (0, [], 0), case.words()
    assert case.writes == writes
    assert ended(case) == wanted


def recovers(case: Case, wanted: End, *, minutes: float) -> None:
    """At most two more runs, and the company is as if nothing had happened. Fails with what differs."""
    first = case.run(minutes)
    if (first.exit_code, first.said) == (0, "") and not differences(ended(case), wanted):
        return
    last = case.run(minutes + PAUSE)
    assert (last.exit_code, last.said) == (0, ""), case.words()
    differing = differences(ended(case), wanted)
    assert not differing, "\n".join(differing)


def differences(found: End, wanted: End) -> list[str]:
    """In words, where two ends are not one. A stage that was cleared and put back has a longer history."""
    told = []
    for what, here, there in (
        ("record", found.state.records, wanted.state.records),
        ("tasks", found.state.tasks, wanted.state.tasks),
    ):
        names = sorted({*here, *there})
        told += [
            f"{what} {name}: {here.get(name)}, not {there.get(name)}"
            for name in names
            if here.get(name) != there.get(name)
        ]
    told += [f"not called done: {key}" for key in sorted(wanted.done - found.done)]
    told += [f"called done: {key}" for key in sorted(found.done - wanted.done)]
    told += [f"not followed: {key}" for key in sorted(wanted.followed - found.followed)]
    return told + [f"followed: {key}" for key in sorted(found.followed - wanted.followed)]


def ended(case: Case) -> End:
    """How a company stands. Asserts that every intent has its outcome, every write its intent, and the chain holds."""
    every_write_is_intended(case)
    with case.ledger() as ledger:
        verified = ledger.verify()
        assert verified.ok, verified.problem
        assert ledger.unsettled("crm") == []
        results = _results(ledger)
        followed = frozenset(task.key for task in ledger.tasks("crm"))
    return End(
        state=case.state, done=frozenset(key for key, result in results.items() if result in DONE), followed=followed
    )


def every_write_is_intended(case: Case) -> None:
    """Whatever the CRM was asked to write, the ledger knew of before."""
    with case.ledger() as ledger:
        changes = [entry.body["change"] for entry in ledger.entries(kind=EntryKind.INTENT)]
    names = {_written(change) for change in changes}
    unknown = [write for write in case.writes if write.name[:15] not in names and write.name not in names]
    assert not unknown


def _written(change: Mapping[str, str]) -> str:
    """What a request names that makes a change. Salesforce's ids are alike in their first 15 characters."""
    match change["kind"]:
        case ChangeKind.SET_STAGE:
            return change["record"][:15]
        case ChangeKind.OPEN_TASK:
            return change["key"]
        case _:
            return (change["crm_id"] or "")[:15]


def _results(ledger: Ledger) -> Mapping[str, Result]:
    """The last outcome of each change that was intended."""
    found: dict[str, Result] = {}
    for entry in ledger.entries(kind=EntryKind.OUTCOME, newest_first=False):
        found[str(entry.key)] = Result(entry.body["outcome"]["result"])
    return found
