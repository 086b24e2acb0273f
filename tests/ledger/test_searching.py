"""What is asked for is found, whichever filters are combined, and looking reads no more than it must."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import event

from stagesync.ledger import Entry, Ledger
from stagesync.model.changes import Result
from stagesync.model.findings import Evidence, Verdict, batches_of

from .samples import CONNECTION, NOON, finding, later, outcome, stage_change, task_change, told


@pytest.fixture
def filled(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Three runs with findings of two rules that came, changed and went, in portions of three, and with changes."""
    monkeypatch.setattr("stagesync.ledger.findings.ENTRY", 3)
    for number in range(3):
        at = later(60 * number)
        run = ledger.start_run(command="run", at=at, facts={})
        found = [finding(one, amount=float(number * (one % 2))) for one in range(8 - number)]
        found += [finding(one, rule="stalled", owner=None) for one in range(number, 9, 2)]
        ledger.record_findings(run, at=at, connection=CONNECTION, findings=told(*found))
        changes = [stage_change(1, key=f"s-{number}"), task_change(2, key=f"t-{number}", owner="0051")]
        ledger.record_intents(run, at=at, changes=changes)
        outcomes = [outcome(changes[0]), outcome(changes[1], Result.REFUSED)]
        ledger.record_outcomes(run, at=at, connection=CONNECTION, outcomes=outcomes)
        ledger.note("paused", at=at, run=run, rule="stalled", owner="0052")
    return ledger


def holds(entry: Entry, where: Mapping[str, Any]) -> bool:
    since, until = where.get("since"), where.get("until")
    plain = {name: value for name, value in where.items() if name not in {"since", "until"}}
    in_time = (since is None or entry.at >= since) and (until is None or entry.at < until)
    return in_time and all(getattr(entry, name) == value for name, value in plain.items())


FILTERS: Mapping[str, Any] = {
    "record": finding(1).record,
    "key": finding(1).key,
    "owner": "0051",
    "rule": "premature",
    "kind": "finding.changed",
    "connection": CONNECTION,
    "since": later(60),
    "until": later(120),
}


def test_every_combination_of_filters_finds_what_holds(filled: Ledger) -> None:
    everything = list(filled.entries(newest_first=False))
    assert [one.kind for one in everything].count("finding.opened") > 10
    runs: list[dict[str, Any]] = [{}, {"run": everything[-1].run}]
    for size in (0, 1, 2, 3, len(FILTERS)):
        for names in combinations(FILTERS, size):
            where = {**{name: FILTERS[name] for name in names}, **runs[size % 2]}
            wanted = [entry for entry in everything if holds(entry, where)]
            assert list(filled.entries(newest_first=False, **where)) == wanted, where
            newest, total = filled.page(limit=3, **where)
            assert (newest, total) == (wanted[::-1][:3], len(wanted)), where
            assert filled.count(**where) == total


def test_parts_say_together_what_is_told_at_once() -> None:
    some = [
        finding(number, evidence=tuple(_evidence(name) for name in names), amount=float(number))
        for number, names in enumerate(["ab", "b", "", "ba", "abc", "c", "a"])
    ]
    (batch,) = batches_of(some)
    for size in range(1, 9):
        parts = list(batch.told(range(7), size))
        assert [one for part in parts for one in part.objects()] == some
        assert all(len(part.record) <= size for part in parts)
        assert all(told_.of for part in parts for told_ in part.evidence)


def _evidence(name: str) -> Evidence:
    return Evidence(criterion=name, verdict=Verdict.NOT_MET, reason=f"{name} is blank", value=None)


@contextmanager
def rows_read(ledger: Ledger) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(ledger._database.engine, "before_cursor_execute", listen)
    try:
        yield sent
    finally:
        event.remove(ledger._database.engine, "before_cursor_execute", listen)


def test_sqlite_finds_by_index_alone(sqlite_url: str) -> None:
    """No question about one thing walks through all entries."""
    with Ledger.open(sqlite_url) as ledger:
        run = ledger.start_run(command="run", at=NOON, facts={})
        ledger.record_findings(run, at=NOON, connection=CONNECTION, findings=told(finding(1)))
        questions: list[dict[str, Any]] = [
            {name: value} for name, value in FILTERS.items() if name not in {"since", "until"}
        ]
        for where in (*questions, {"run": run}, {"since": NOON, "until": later(1)}):
            with rows_read(ledger) as sent:
                ledger.count(**where)
            with ledger._database.engine.connect() as connection:
                for statement in sent:
                    if "FROM entries" not in statement or "entries.body" in statement:
                        continue
                    values = ("x",) * statement.count("?")
                    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                    assert not [row for row in plan if str(row[3]).startswith("SCAN entries")], (where, statement, plan)
