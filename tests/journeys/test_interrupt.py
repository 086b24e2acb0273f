"""Ctrl-C and a killed process in the middle of apply: nothing lost, nothing twice, the next run carries on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from stagesync.agent import cycle
from stagesync.ledger import EntryKind
from stagesync.model.changes import Change, ChangeKind, Result
from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES
from stagesync.sandbox.hubspot.records import Source
from stagesync.sandbox.hubspot.writing import edit
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment, deployment, wait_until
from .office import offices, stages, tasks
from .terminal import PATIENCE

SEED, RECORDS = 11, 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Sandbox]:
    """Two CRMs of which one answers slowly, so that there is a middle to stop in."""
    with Sandbox.create(tmp_path / "crms", seed=SEED, records=RECORDS) as made:
        made.portal.lifecycle_sync = False
        yield made


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str | None], set[str]]:
    """The stages and the records with a task after a run that nobody disturbed, in the same company."""
    place = tmp_path_factory.mktemp("undisturbed")
    with Sandbox.create(place / "crms", seed=SEED, records=RECORDS) as made:
        made.portal.lifecycle_sync = False
        with deployment(place / "agent", made).agent() as opened:
            result = cycle.run(opened, command="run", write=True)
        assert result.exit_code == 0
        return stages(made), set(tasks(made))


def count(agent: Deployment, kind: EntryKind) -> int:
    """Entries of a kind, looked up so cheaply that it can be done over and over beside the run."""
    try:
        with closing(sqlite3.connect(f"file:{agent.ledger_file}?mode=ro", uri=True)) as ledger:
            return int(ledger.execute("SELECT count(*) FROM entries WHERE kind = ?", (kind,)).fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # not there yet


def slow_run(agent: Deployment, world: Sandbox, *, seconds: float = 0.1) -> subprocess.Popen[str]:
    """A run that has read Salesforce; each call to Salesforce takes some time from here on."""
    world.org.faults.latency_seconds = 0.0
    before = count(agent, EntryKind.RUN_STARTED)
    process = agent.start("run")
    wait_until(lambda: count(agent, EntryKind.RUN_STARTED) > before, "the run")
    mirror = agent.folder / "mirror" / "hubspot"
    pulled = set(mirror.glob("*"))
    wait_until(lambda: set(mirror.glob("*")) - pulled, "the pull of HubSpot")
    world.org.faults.latency_seconds = seconds
    return process


def carries_on(agent: Deployment, world: Sandbox, undisturbed: tuple[dict[str, str | None], set[str]]) -> None:
    """The next run ends the work, and the world is what it would have been."""
    world.org.faults.latency_seconds = 0.0
    again = agent.run("run")
    assert again.code == 0, again.said
    with agent.agent(write=False) as opened:
        assert cycle.run(opened, command="plan", write=False).plan.changes == ()
    held, with_task = undisturbed
    assert stages(world) == held
    made = tasks(world)
    assert set(made) == with_task
    assert {len(found) for found in made.values()} == {1}
    with agent.ledger() as ledger:
        assert ledger.verify().ok
        assert ledger.unsettled("salesforce") == ledger.unsettled("hubspot") == []
        tracked = {task.crm_id for name in ("salesforce", "hubspot") for task in ledger.tasks(name)}
    assert tracked == {task.id for found in made.values() for task in found}


def test_a_stop_in_the_middle_of_apply(
    world: Sandbox,
    deploy: Deploy,
    undisturbed: tuple[dict[str, str | None], set[str]],
) -> None:
    agent = deploy(world)
    process = slow_run(agent, world)
    wait_until(lambda: count(agent, EntryKind.INTENT), "the first intent")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, err
    assert "Traceback" not in err
    assert "wait for the next run" in err
    assert "press Ctrl-C again" in err
    with agent.ledger() as ledger:
        assert ledger.run("last").result == "interrupted"
        # The batch was finished: only tasks that belong to a move that was made wait without an outcome.
        waiting = ledger.unsettled("salesforce") + ledger.unsettled("hubspot")
        assert {change.kind for change in waiting} <= {ChangeKind.OPEN_TASK}
    carries_on(agent, world, undisturbed)


def test_a_stop_while_reading_changes_nothing(world: Sandbox, deploy: Deploy) -> None:
    agent = deploy(world)
    before = {office.name: office.rows() for office in offices(world)}
    world.org.faults.latency_seconds = 0.1
    process = agent.start("run")
    wait_until(lambda: count(agent, EntryKind.CONNECTION_PINNED), "the first connection")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, err
    assert "nothing was changed" in err
    assert {office.name: office.rows() for office in offices(world)} == before


def test_a_second_ctrl_c_ends_at_once_and_the_ledger_says_so(
    world: Sandbox, deploy: Deploy, undisturbed: tuple[dict[str, str | None], set[str]]
) -> None:
    agent = deploy(world)
    process = slow_run(agent, world, seconds=0.3)
    wait_until(lambda: count(agent, EntryKind.INTENT), "the first intent")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if "press Ctrl-C again" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, err
    assert "the next run carries on" in err
    with agent.ledger() as ledger:
        assert ledger.run("last").result == "interrupted"
    carries_on(agent, world, undisturbed)


@pytest.mark.parametrize(
    "kills",
    [
        # Stages are corrected, and the tasks that tell of it are not there.
        [(EntryKind.OUTCOME, 1)],
        # Stages are being written and nobody saw what became of them; then in the middle of the tasks; then again.
        [(EntryKind.INTENT, 1), (EntryKind.OUTCOME, 12), (EntryKind.OUTCOME, 1)],
    ],
    ids=["once", "three times"],
)
def test_a_killed_run_is_settled_by_the_next(
    world: Sandbox,
    deploy: Deploy,
    undisturbed: tuple[dict[str, str | None], set[str]],
    kills: list[tuple[EntryKind, int]],
) -> None:
    agent = deploy(world)
    for kind, more in kills:
        known = count(agent, kind)
        process = slow_run(agent, world)
        wait_until(partial(_reached, agent, process, kind, known + more), f"{more} more {kind}")
        process.kill()
        process.communicate(timeout=PATIENCE)
    with agent.ledger() as ledger:
        assert ledger.runs(limit=len(kills))[-1].result is None
    carries_on(agent, world, undisturbed)


def _reached(agent: Deployment, process: subprocess.Popen[str], kind: EntryKind, wanted: int) -> bool:
    return count(agent, kind) >= wanted or process.poll() is not None


@pytest.mark.parametrize("cleared", ["by the run that was killed", "by a person, after the run"])
def test_a_lifecycle_stage_that_was_cleared_and_not_set(world: Sandbox, deploy: Deploy, cleared: str) -> None:
    """HubSpot takes two requests for a move back; between the two the stage is blank."""
    agent = deploy(world)
    with agent.agent() as opened:
        plan = cycle.run(opened, command="plan", write=False).plan
        moves = [one for one in plan.changes if one.kind is ChangeKind.SET_STAGE and one.object == "contacts"]
        change, other = moves[:2]
        run = opened.ledger.start_run(command="run", at=opened.clock(), facts={})
        begun = [change] if cleared.startswith("by the run") else []
        opened.ledger.record_intents(run, at=opened.clock(), changes=[*begun, *tasks_of(plan.changes, begun)])
    for one in (change, other):
        edit(world.portal, "contacts", int(one.record), {"lifecyclestage": ""}, Source(type="INTEGRATION"))

    done = agent.run("run")

    held = stages(world)
    assert held[f"hubspot contacts {change.record}"] == (change.after["lifecyclestage"] if begun else None)
    # What nothing in the ledger accounts for is a person's doing, and stays.
    assert held[f"hubspot contacts {other.record}"] is None
    assert (f"hubspot {change.record}" in tasks(world)) == bool(begun)
    with agent.ledger() as ledger:
        assert ledger.unsettled("hubspot") == []
        if begun:
            ((_, outcome), *_rest) = ledger.changes(run)
            assert outcome is not None
            assert outcome.result is Result.APPLIED
    assert "Traceback" not in done.err


@pytest.mark.parametrize("attached", [True, False])
def test_a_task_that_was_made_and_perhaps_not_attached(world: Sandbox, deploy: Deploy, attached: bool) -> None:
    """HubSpot takes two requests for a task too; a stop between them leaves one that hangs on no record."""
    agent = deploy(world, enforce=False)
    with agent.agent() as opened:
        plan = cycle.run(opened, command="plan", write=False).plan
        change = next(one for one in plan.changes if one.connection == "hubspot")
        run = opened.ledger.start_run(command="run", at=opened.clock(), facts={})
        opened.ledger.record_intents(run, at=opened.clock(), changes=[change])
        writer = next(one.writer for one in opened.connections if one.name == "hubspot")
        assert writer is not None
        (opened_first,) = writer.open_tasks([change])
        assert opened_first.result is Result.APPLIED, opened_first
    if not attached:
        codes = {kind.name: kind.code for kind in OBJECT_TYPES}
        sql = "DELETE FROM associations WHERE (from_code = ? AND from_id = ?) OR (to_code = ? AND to_id = ?)"
        made = int(opened_first.crm_id or 0)
        world.portal.database.execute(sql, (codes["tasks"], made, codes["tasks"], made))

    done = agent.run("run")

    assert done.code == 0, done.said
    assert len(tasks(world)[f"hubspot {change.record}"]) == 1
    with agent.ledger() as ledger:
        ((_, outcome),) = ledger.changes(run)
        assert outcome is not None
        assert outcome.result is Result.APPLIED


def tasks_of(changes: tuple[Change, ...], moved: list[Change]) -> list[Change]:
    """The tasks that tell of these moves."""
    records = {change.record for change in moved}
    return [change for change in changes if change.kind is ChangeKind.OPEN_TASK and change.record in records]
