"""Several writers, writers that are killed, and writers that wait."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from stagesync.errors import LedgerError
from stagesync.ledger import Ledger

from .samples import CONNECTION, NOON, finding, outcome, stage_change, told

PACKAGE = __name__.rpartition(".")[0]
ROOT = Path(__file__).parents[len(PACKAGE.split("."))]
ENTRIES_OF_A_WRITER = 40 * (1 + 1 + 5 + 5)
"""A run, its findings in one entry, five intents and five outcomes."""


def start(url: str, mode: str, name: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen(
        [sys.executable, "-m", f"{PACKAGE}.writer", url, mode, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


@contextmanager
def writer(url: str, mode: str, says: str) -> Iterator[subprocess.Popen[str]]:
    """A writer that has said its word; killed (SIGKILL) at the end."""
    process = start(url, mode, "other")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == says
        yield process
    finally:
        process.kill()
        process.communicate()


def test_two_processes_and_a_thread_append_to_one_chain(url: str) -> None:
    """They also open the empty ledger at the same time: one of them migrates."""
    processes = [start(url, "append", name) for name in ("one", "two")]
    with Ledger.open(url, wait=60) as ledger:
        for number in range(50):
            ledger.note(f"note {number}", at=NOON)
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
        verified = ledger.verify()
        assert (verified.ok, verified.problem, verified.entries) == (True, None, 2 * ENTRIES_OF_A_WRITER + 50)
        assert sorted({entry.seq for entry in ledger.entries()}) == list(range(1, verified.entries + 1))
    for process in processes:
        process.communicate()


def test_threads_that_find_the_same_open_it_once(ledger: Ledger) -> None:
    run = ledger.start_run(command="run", at=NOON, facts={})
    findings = [finding(number) for number in range(100)]

    def once(_: int) -> int:
        return ledger.record_findings(run, at=NOON, connection=CONNECTION, findings=told(*findings)).opened

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(once, range(8))) == 100
    assert ledger.count(kind="finding.opened") == 100
    assert ledger.verify().ok


def test_threads_record_intents_and_outcomes_side_by_side(ledger: Ledger) -> None:
    def work(number: int) -> None:
        run = ledger.start_run(command="run", at=NOON, facts={})
        change = stage_change(number)
        ledger.record_intents(run, at=NOON, changes=[change])
        ledger.record_outcomes(run, at=NOON, connection=CONNECTION, outcomes=[outcome(change)])
        assert ledger.changes(run) == [(change, outcome(change))]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(40)))
    assert ledger.unsettled(CONNECTION) == []
    assert len({run.id for run in ledger.runs(limit=100)}) == 40
    assert ledger.verify().ok


def test_a_writer_killed_inside_a_transaction_leaves_nothing(url: str) -> None:
    with Ledger.open(url, wait=20) as ledger:
        ledger.note("before", at=NOON)
        with writer(url, "hang", "hanging"):
            assert ledger.count() == 1  # readers neither wait nor see it
        ledger.note("after", at=NOON)
        assert [entry.body["text"] for entry in ledger.entries()] == ["after", "before"]
        assert ledger.verify().ok


@pytest.mark.parametrize("after", [0.0, 0.011, 0.023, 0.05])
def test_a_writer_killed_anywhere_leaves_a_chain_that_holds(url: str, after: float) -> None:
    with writer(url, "forever", "begun"):
        time.sleep(after)
    with Ledger.open(url, wait=20) as ledger:
        verified = ledger.verify()
        assert (verified.ok, verified.problem) == (True, None)
        assert verified.entries >= 12
        ledger.note("after", at=NOON)
        assert ledger.verify().ok


def test_a_ledger_that_stays_locked_says_so(url: str) -> None:
    with Ledger.open(url, wait=0.3) as ledger:
        ledger.note("before", at=NOON)
        with writer(url, "hold", "holding"):
            with pytest.raises(LedgerError, match="is locked by another process"):
                ledger.note("during", at=NOON)
            assert ledger.count() == 1
            with Ledger.open(url, wait=0.3) as second:  # reading is not held up
                assert second.count() == 1
        ledger.note("after", at=NOON)
        assert ledger.count() == 2
