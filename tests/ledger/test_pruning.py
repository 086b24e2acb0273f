"""What is old and needed by nobody goes, on record; what stays is proved, and later runs see no difference."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagesync.errors import UsageError
from stagesync.ledger import EntryKind, Ledger, PruneOrder
from stagesync.ledger.appending import appending
from stagesync.ledger.chain import Draft
from stagesync.ledger.codec import FindingBody, encode, time_text
from stagesync.model.changes import ChangeKind, Result
from stagesync.model.crm import Identity
from stagesync.model.waivers import Waiver
from tests.thorough import tries

from .rawsql import drop_triggers, execute
from .samples import CONNECTION, NOON, closing, finding, outcome, stage_change, task_change, told


def day(number: float) -> datetime:
    """Days after noon."""
    return NOON + timedelta(days=number)


NOW = day(400)
ORDER = PruneOrder(before=day(100), by="Ana", setting="--keep '300 days'")


def fill(ledger: Ledger) -> list[str]:
    """Entries of days 0, 50, 100 and 150, with things that stay open; the heads after each day."""
    heads = []
    ledger.pin(CONNECTION, Identity(crm="salesforce", key="00D1", name="Acme", url=""), NOON)
    for number in range(4):
        at = day(50 * number)
        run = ledger.start_run(command="run", at=at, facts={})
        found = [finding(1), finding(2, amount=float(number)), *[finding(one) for one in range(3, 9 - number)]]
        ledger.record_findings(run, at=at, connection=CONNECTION, findings=told(*found))
        changes = [
            stage_change(1, key=f"s-{number}"),
            stage_change(2, key=f"r-{number}"),
            task_change(3 + number, key=f"t-{number}"),
            task_change(9, key=f"u-{number}"),
        ]
        ledger.record_intents(run, at=at, changes=changes)
        results = (Result.APPLIED, Result.REFUSED, Result.APPLIED, Result.UNKNOWN)
        outcomes = [outcome(one, result, crm_id=f"00T{number}") for one, result in zip(changes, results, strict=True)]
        ledger.record_outcomes(run, at=at, connection=CONNECTION, outcomes=outcomes)
        if number == 1:
            ends = [closing(3, "00T0"), task_change(4, key="w-1", kind=ChangeKind.UPDATE_TASK, crm_id="00T1")]
            ledger.record_intents(run, at=at, changes=ends)
            made = [outcome(one, crm_id=one.crm_id) for one in ends]
            ledger.record_outcomes(run, at=at, connection=CONNECTION, outcomes=made)
        ledger.note("looked at", at=at, run=run)
        ledger.note("stopped", at=at, run=run, kind=EntryKind.RULE_STOPPED, key=f"stop-{number}")
        ledger.waive(_waiver(f"w-{number}"), at)
        ledger.finish_run(run, at=at, result="done", facts={})
        heads.append(ledger.verify().head)
    return heads


def _waiver(name: str) -> Waiver:
    return Waiver(id=name, rule="premature", reason="new", by="Ana", until=date(2028, 1, 1), record="006")


def seen(ledger: Ledger) -> list[object]:
    """What later runs look at."""
    return [
        ledger.unsettled(CONNECTION),
        ledger.tasks(CONNECTION),
        ledger.moves(CONNECTION),
        sorted(ledger.last_moves(CONNECTION)),
        ledger.waivers(),
        ledger.pinned(CONNECTION),
        [(entry.kind, entry.key, entry.at) for entry in ledger.entries(kind=EntryKind.RULE_STOPPED)],
        [(entry.kind, entry.key, entry.at) for entry in ledger.entries(kind=EntryKind.TASK_ENDED)],
    ]


@pytest.fixture
def heads(ledger: Ledger) -> list[str]:
    return fill(ledger)


def test_what_is_old_goes_and_the_chain_still_proves_the_rest(ledger: Ledger, url: str, heads: list[str]) -> None:
    before, everything = seen(ledger), list(ledger.entries())
    wanted = ledger.prunable(ORDER, at=NOW)
    assert list(ledger.entries()) == everything, "to look changes nothing"
    assert (wanted.carried, wanted.findings) == (4, 10)

    done = ledger.prune(ORDER, at=NOW)

    assert done == wanted
    assert seen(ledger) == before
    verified = ledger.verify()
    assert (verified.problem, verified.dropped) == (None, done.entries)
    old = list(ledger.entries(until=ORDER.before))
    assert {entry.kind for entry in old} == {
        "connection.pinned", "waiver.granted", "rule.stopped", "intent", "outcome",
    }  # fmt: skip
    assert {entry.key for entry in old if entry.kind == "outcome"} == {"s-0", "s-1", "t-1", "w-1", "u-0", "u-1"}
    assert done.kept == len(old)
    young = [entry for entry in everything if entry.at >= ORDER.before]
    assert [one for one in ledger.entries(since=ORDER.before) if one.at < NOW] == young
    # Heads that were kept elsewhere still have their match, and forged ones none.
    for head in heads:
        assert ledger.verify(known_head=head).ok
        seq, _, digest = head.partition(":")
        forged = ledger.verify(known_head=f"{seq}:{digest[::-1]}")
        assert (forged.ok, forged.at_seq) == (False, int(seq))
    (checkpoint,) = ledger.entries(kind=EntryKind.LEDGER_PRUNED)
    facts = checkpoint.body["facts"]
    assert (facts["by"], facts["setting"], facts["entries"]) == ("Ana", "--keep '300 days'", done.entries)
    assert facts["before"] == ORDER.before.isoformat()
    # A finding that is open still is told once more, with the day on which it was told first.
    (again, *_) = ledger.entries(record=finding(1).record, kind=EntryKind.FINDING_CARRIED)
    assert (again.body["told"], again.at) == (time_text(NOON), NOW)
    ledger.rebuild()
    assert seen(ledger) == before
    assert ledger.verify().ok
    assert ledger.compact() == url.startswith("sqlite")
    assert ledger.verify() == verified


def test_the_next_findings_are_new_or_not_as_without_it(ledger: Ledger, heads: list[str], tmp_path: Path) -> None:
    assert heads
    found = [finding(1), finding(2, amount=9.0), finding(3), finding(7)]
    with Ledger.open(f"sqlite:///{tmp_path}/other.db") as other:
        fill(other)
        expected = other.record_findings("run", at=NOW, connection=CONNECTION, findings=told(*found))
    ledger.prune(ORDER, at=NOW)
    ledger.prune(PruneOrder(before=day(160), by="Ben", setting=""), at=NOW)
    assert ledger.record_findings("run", at=NOW, connection=CONNECTION, findings=told(*found)) == expected
    # And once more, when what was carried is old itself.
    ledger.prune(PruneOrder(before=day(1_000), by="Ben", setting=""), at=day(2_000))
    assert ledger.record_findings("run", at=day(2_000), connection=CONNECTION, findings=told(*found)).still_open == 4
    (again, *_) = ledger.entries(record=finding(1).record, kind=EntryKind.FINDING_CARRIED)
    assert again.body["told"] == time_text(NOON)
    assert ledger.verify().problem is None
    assert ledger.count(kind=EntryKind.LEDGER_PRUNED) == 3


def test_a_finding_of_the_first_schema_is_carried_too(ledger: Ledger) -> None:
    draft = Draft(
        at=time_text(NOON),
        run=None,
        kind="finding.opened",
        body=encode(FindingBody(finding(1))),
        connection=CONNECTION,
        object="Opportunity",
        record=finding(1).record,
        rule="premature",
        owner=finding(1).owner,
        key=finding(1).key,
    )
    with appending(ledger._database) as end:
        end.append([draft])
    done = ledger.prune(ORDER, at=NOW)
    assert (done.entries, done.findings, done.carried) == (1, 1, 1)
    assert ledger.record_findings("run", at=NOW, connection=CONNECTION, findings=told(finding(1))).still_open == 1
    assert ledger.verify().ok


def test_what_is_young_or_of_a_plan_that_may_be_applied_stays(ledger: Ledger, heads: list[str]) -> None:
    assert heads
    with pytest.raises(UsageError, match=r"keeps everything for 30 days; drop what is older than"):
        ledger.prune(PruneOrder(before=day(371), by="Ana", setting=""), at=NOW)
    plan = {"expires": day(500).isoformat()}
    with TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{folder}/ledger.db") as other:
        other.note("one", at=day(0))
        other.note("a plan", at=day(1), kind=EntryKind.PLAN_MADE, facts=plan, key="p")
        other.note("two", at=day(2))
        assert other.prune(ORDER, at=NOW).entries == 1
        assert other.prune(PruneOrder(before=day(450), by="Ana", setting=""), at=day(501)).entries == 2
    empty = ledger.prunable(PruneOrder(before=day(-1), by="Ana", setting=""), at=NOW)
    assert empty.entries == 0
    head = ledger.verify().head
    assert ledger.prune(PruneOrder(before=day(-1), by="Ana", setting=""), at=NOW) == empty
    assert ledger.verify().head == head, "where nothing goes, nothing is said"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)",
        "DELETE FROM entries",
        "DELETE FROM dropped",
        "UPDATE dropped SET seq = 1",
        "INSERT INTO dropped SELECT seq, hash, 999 FROM entries WHERE seq = 1",
        "INSERT INTO dropped SELECT seq, hash, (SELECT max(seq) FROM entries) FROM entries WHERE seq = 1",
    ],
)
@pytest.mark.parametrize("pruned", [True, False])
def test_nothing_but_a_checkpoint_drops(
    ledger: Ledger, url: str, heads: list[str], statement: str, pruned: bool
) -> None:
    assert heads
    if pruned:
        ledger.prune(ORDER, at=NOW)
        ledger.note("later", at=NOW)
    before = ledger.verify()
    if not pruned and ("dropped SET" in statement or statement == "DELETE FROM dropped"):
        return  # there is nothing to refuse
    with pytest.raises((sqlite3.DatabaseError, psycopg.Error), match="append-only"):
        execute(url, statement)
    assert ledger.verify() == before
    assert before.ok


_KEPT = "(SELECT min(seq) FROM entries WHERE kind = 'waiver.granted')"
_LAST = "(SELECT max(seq) FROM entries)"
_CHECKPOINT = "(SELECT max(seq) FROM entries WHERE kind = 'ledger.pruned')"
TAMPERING: dict[str, tuple[Sequence[str], str]] = {
    "a kept entry before the checkpoint is edited": (
        [f"UPDATE entries SET body = replace(body, 'Ana', 'Bob') WHERE seq = {_KEPT}"],
        "was edited",
    ),
    "a kept entry before the checkpoint is removed": ([f"DELETE FROM entries WHERE seq = {_KEPT}"], "is missing"),
    "a kept entry is passed off as dropped": (
        [
            f"INSERT INTO dropped SELECT seq, hash, {_CHECKPOINT} FROM entries WHERE seq = {_KEPT}",
            f"DELETE FROM entries WHERE seq = {_KEPT}",
        ],
        "says that .* were dropped, and the list of them .* is another",
    ),
    "a dropped hash between dropped ones is edited": (
        ["UPDATE dropped SET hash = (SELECT hash FROM head) WHERE seq = 2"],
        "says that .* were dropped, and the list of them .* is another",
    ),
    "the last dropped hash before a kept entry is edited": (
        [
            "UPDATE dropped SET hash = (SELECT hash FROM head) WHERE seq = "
            "(SELECT max(one.seq) FROM dropped one JOIN entries two ON two.seq = one.seq + 1)"
        ],
        "was edited or stands in another one's place",
    ),
    "a dropped hash is removed": (["DELETE FROM dropped WHERE seq = 3"], "entry 3 is missing"),
    "the checkpoint is edited": (
        [f"UPDATE entries SET body = replace(body, 'Ana', 'Bob') WHERE seq = {_CHECKPOINT}"],
        "ledger.pruned.* was edited",
    ),
    "the checkpoint is removed": ([f"DELETE FROM entries WHERE seq = {_CHECKPOINT}"], "is missing|end is missing"),
    "an entry after the checkpoint is edited": (
        [f"UPDATE entries SET body = '{{}}' WHERE seq = {_LAST}"],
        "was edited",
    ),
    "an entry is dropped without a checkpoint": (
        [
            f"INSERT INTO dropped SELECT seq, hash, 9999 FROM entries WHERE seq = {_KEPT}",
            f"DELETE FROM entries WHERE seq = {_KEPT}",
        ],
        "dropped by something other than StageSync",
    ),
    "a dropped entry is there again": (
        ["INSERT INTO entries (seq, at, kind, body, hash) SELECT 3, '', 'note', '{}', hash FROM head"],
        "entry 3 ",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_before_at_and_after_the_checkpoint_is_found(
    ledger: Ledger, url: str, heads: list[str], what: str
) -> None:
    assert heads
    ledger.prune(ORDER, at=NOW)
    ledger.note("later", at=NOW)
    assert ledger.verify().ok
    statements, problem = TAMPERING[what]
    drop_triggers(url)
    execute(url, *statements)
    verified = ledger.verify()
    assert not verified.ok
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(verified.problem)


# What runs see, whatever happened before


@dataclass
class History:
    """Does the same to several ledgers."""

    ledgers: list[Ledger]
    at: datetime = NOON
    made: int = 0
    open: dict[str, str] = field(default_factory=dict)

    def each(self, what: Callable[[Ledger], object]) -> list[object]:
        return [what(ledger) for ledger in self.ledgers]

    def find(self, numbers: set[int], amount: int) -> list[object]:
        found = [finding(number, amount=float(amount * (number % 3))) for number in sorted(numbers)]
        return self.each(
            lambda ledger: ledger.record_findings("r", at=self.at, connection=CONNECTION, findings=told(*found))
        )

    def change(self, record: int, kind: ChangeKind, result: Result | None) -> None:
        self.made += 1
        key, task = f"c-{self.made}", next(iter(self.open), None)
        if kind is ChangeKind.SET_STAGE:
            one = stage_change(record, key=key)
        elif kind is ChangeKind.OPEN_TASK or task is None:
            kind, task = ChangeKind.OPEN_TASK, f"00T{self.made}"
            one = task_change(record, key=key)
        else:
            one = task_change(record, key=key, kind=kind, crm_id=task)
        self.each(lambda ledger: ledger.record_intents("r", at=self.at, changes=[one]))
        if result is None:
            return
        said = outcome(one, result, crm_id=task)
        self.each(lambda ledger: ledger.record_outcomes("r", at=self.at, connection=CONNECTION, outcomes=[said]))
        if task is not None and result is Result.APPLIED:
            if kind is ChangeKind.OPEN_TASK:
                self.open[task] = key
            elif kind is ChangeKind.CLOSE_TASK:
                self.open.pop(task)

    def settle(self) -> None:
        waiting = self.ledgers[0].unsettled(CONNECTION)
        outcomes = [outcome(one, Result.APPLIED, crm_id=one.crm_id or f"00S{one.key}") for one in waiting[::2]]
        self.each(lambda ledger: ledger.record_outcomes("r", at=self.at, connection=CONNECTION, outcomes=outcomes))


STEPS = st.one_of(
    st.tuples(st.just("find"), st.sets(st.integers(1, 6)), st.integers(0, 2)),
    st.tuples(
        st.just("change"),
        st.integers(1, 4),
        st.sampled_from(ChangeKind),
        st.one_of(st.none(), st.sampled_from([Result.APPLIED, Result.UNKNOWN, Result.FAILED, Result.SUPERSEDED])),
    ),
    st.tuples(st.just("settle")),
    st.tuples(st.just("prune"), st.integers(0, 60)),
)


@settings(max_examples=tries(ordinary=20, soak=300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=3, max_size=25))
def test_runs_see_the_same_wherever_it_was_pruned(steps: list[tuple[object, ...]]) -> None:
    """Two ledgers with one history, of which one is pruned again and again."""
    with TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.db" for name in ("whole", "pruned")]
        with Ledger.open(f"sqlite:///{paths[0]}") as empty:
            assert empty.verify().ok
        shutil.copy(paths[0], paths[1])
        with Ledger.open(f"sqlite:///{paths[0]}") as whole, Ledger.open(f"sqlite:///{paths[1]}") as pruned:
            history = History([whole, pruned])
            for name, *rest in steps:
                history.at += timedelta(days=10)
                if name == "prune":
                    order = PruneOrder(before=history.at - timedelta(days=30 + rest[0]), by="Ana", setting="")  # type: ignore[operator]
                    pruned.prune(order, at=history.at)
                elif name == "find":
                    first, second = history.find(*rest)  # type: ignore[arg-type]
                    assert first == second
                else:
                    getattr(history, str(name))(*rest)
                assert seen(pruned) == seen(whole)
            assert pruned.verify().problem is None
            pruned.rebuild()
            assert seen(pruned) == seen(whole)
            first, second = history.find({1, 2, 3}, 1)
            assert first == second
