"""``stagesync demo`` tells the whole story, its numbers agree, and what it leaves behind can be looked into."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from stagesync.cli.main import app
from stagesync.ledger import EntryKind, Ledger
from stagesync.model.changes import ChangeKind, Result

from .terminal import PATIENCE, STAGESYNC, Finished


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "files"


@pytest.fixture(scope="module")
def told(place: Path) -> Finished:
    """The demo, once."""
    return stagesync("demo", "--seed", "5", "--records", "400", "--directory", str(place))


def stagesync(*arguments: str) -> Finished:
    wide = {**os.environ, "COLUMNS": "300"}
    command = [*STAGESYNC, *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE, env=wide)
    return Finished(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def log(*arguments: str) -> Finished:
    """``stagesync log`` in this process: a dozen programs would take long to start."""
    ran = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["log", *arguments])
    return Finished(code=ran.exit_code, out=ran.stdout, err=ran.stderr)


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in {text!r}"
    return int(found[1].replace(",", ""))


def test_seven_steps_and_numbers_that_agree(told: Finished, place: Path) -> None:
    assert told.code == 0, told.said
    steps = re.findall(r"^(\d)\. ", told.out, re.MULTILINE)
    assert steps == list("1234567")
    _, *parts = re.split(r"^\d\. .*$", told.out, flags=re.MULTILINE)
    _, audit, plan, apply, read, again, ledger = parts

    planted = number(r"([\d,]+) planted problems", audit)
    assert number(r"Found ([\d,]+) of", audit) == planted == number(r"([\d,]+) findings; a record", audit)
    assert "missed 0, invented 0" in audit
    stages, tasks = number(r"([\d,]+) stages? to correct", plan), number(r"([\d,]+) tasks? to open", plan)
    assert number(r"([\d,]+) set stage: applied", apply) == stages
    assert number(r"([\d,]+) open task: applied", apply) == tasks
    seen = re.findall(r"(\d+) of (\d+) stages are as planned, (\d+) of (\d+) tasks exist", read)
    assert len(seen) == 2
    assert sum(int(one[0]) for one in seen) == sum(int(one[1]) for one in seen) == stages
    assert sum(int(one[2]) for one in seen) == sum(int(one[3]) for one in seen) == tasks
    assert "Nothing." in again
    assert number(r"(\d+) corrected stages stand", again) == stages
    with Ledger.open(f"sqlite:///{next(place.rglob('ledger.db'))}") as opened:
        assert number(r"([\d,]+) entries", ledger) == opened.verify().entries


def test_the_ledger_holds_before_after_and_outcome_of_every_change(told: Finished, place: Path) -> None:
    with Ledger.open(f"sqlite:///{next(place.rglob('ledger.db'))}") as ledger:
        assert ledger.verify().ok
        again, applied, audited = ledger.runs()
        assert [run.result for run in (audited, applied, again)] == ["done", "done", "done"]
        assert ledger.changes(audited.id) == ledger.changes(again.id) == []
        changes = ledger.changes(applied.id)
        opened = ledger.count(run=audited.id, kind=EntryKind.FINDING_OPENED)
        resolved = ledger.count(run=again.id, kind=EntryKind.FINDING_RESOLVED)
    assert len(changes) > 50
    for change, outcome in changes:
        assert outcome is not None
        assert outcome.result is Result.APPLIED
        if change.kind is ChangeKind.SET_STAGE:
            assert set(change.before) == set(change.after)
            assert change.before != change.after
            assert dict(outcome.seen) == dict(change.after)
        else:
            assert outcome.crm_id
            assert change.task is not None
    moved = sum(change.kind is ChangeKind.SET_STAGE for change, _ in changes)
    assert opened > moved
    # Some stand in the first stage of their pipeline and have not even earned that.
    assert 0 < resolved <= moved


def test_the_log_of_the_demo(told: Finished, place: Path) -> None:
    config = str(place / "stagesync.yaml")
    with Ledger.open(f"sqlite:///{next(place.rglob('ledger.db'))}") as ledger:
        _, applied, _ = ledger.runs()
        change, _ = ledger.changes(applied.id)[0]
        wanted = len(ledger.changes(applied.id))
        entries = ledger.count(record=change.record)
    for form in ("table", "json", "csv", "markdown"):
        runs = log("list", "--config", config, "--format", form)
        shown = log("show", applied.id, "--config", config, "--format", form, "--limit", "0")
        record = log("record", change.record, "--config", config, "--format", form)
        for done in (runs, shown, record):
            assert done.code == 0, done.said
            assert done.err == ""
        if form != "table":
            assert (rows(runs, form), rows(shown, form), rows(record, form)) == (3, wanted, entries)
        assert applied.id in runs.out
        assert change.record in shown.out
        assert all(str(value) in shown.out for value in change.after.values())
        assert "finding.opened" in record.out


def rows(done: Finished, form: str) -> int:
    match form:
        case "json":
            found = json.loads(done.out)
            return len(found["changes"] if isinstance(found, dict) else found)
        case "csv":
            return len(list(csv.DictReader(io.StringIO(done.out))))
        case _:
            return len(done.out.splitlines()) - 2


def test_the_ledger_of_the_demo_verifies(told: Finished, place: Path) -> None:
    done = stagesync("log", "verify", "--config", str(place / "stagesync.yaml"))
    assert done.code == 0
    assert "holds; head" in done.out


def test_a_second_demo_does_not_overwrite_the_first(told: Finished, place: Path) -> None:
    done = stagesync("demo", "--directory", str(place))
    assert done.code == 2
    assert "choose another --directory" in done.err
