"""The ledger fails in the middle of a run: the run stops with a message, the CRM holds nothing wrong, and the next run
ends as one that nobody disturbed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, event

from stagesync.agent import cycle
from stagesync.agent.connection import Agent
from stagesync.errors import LedgerError
from stagesync.ledger import Ledger
from stagesync.model.changes import ChangeKind
from stagesync.sandbox.server import Sandbox
from tests.ledger.postgres import CannotStart, running_server
from tests.ledger.rawsql import execute

from .conftest import Deploy
from .deployment import Deployment, deployment
from .office import stages, tasks

SEED, RECORDS = 11, 60
World = dict[str, str | None]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Sandbox]:
    """Two CRMs that this test may change."""
    with Sandbox.create(tmp_path / "crms", seed=SEED, records=RECORDS) as made:
        made.portal.lifecycle_sync = False
        yield made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, set[str]]:
    """The stages and the records with a task after a run that nobody disturbed, in the same company."""
    place = tmp_path_factory.mktemp("undisturbed")
    with Sandbox.create(place / "crms", seed=SEED, records=RECORDS) as made:
        made.portal.lifecycle_sync = False
        with deployment(place / "agent", made).agent() as opened:
            assert cycle.run(opened, command="run", write=True).exit_code == 0
        return stages(made), set(tasks(made))


def disturbed(agent: Deployment, doing: ChangeKind, fault: Callable[[Agent], None], *, wait: float) -> LedgerError:
    """A run in which something happens to the ledger once the first changes of a kind are made; how it stopped."""
    happened: list[str] = []

    def once(connection: str, what: str, done: int) -> None:
        if what == doing and done and not happened:
            happened.append(connection)
            fault(brief)

    with agent.agent(progress=once) as opened:
        brief = replace(opened, ledger=Ledger.open(str(opened.ledger._database.engine.url), wait=wait))
        with brief.ledger, pytest.raises(LedgerError) as caught:
            cycle.run(brief, command="run", write=True)
    assert happened
    assert caught.value.exit_code == 3
    return caught.value


def recovers(
    agent: Deployment, world: Sandbox, before: World, undisturbed: tuple[World, set[str]], *, forgot: bool = False
) -> None:
    """Nothing wrong is in the CRM, and the next run ends the work.

    A ledger that ``forgot`` which tasks there are may ask once more for what else is found about a record that was
    moved: its task told of the move, and the key of a task comes from what it asks for.
    """
    held, with_task = undisturbed
    half, made = stages(world), tasks(world)
    assert all(half[place] in (before[place], held[place]) for place in half)
    assert set(made) <= with_task
    again = agent.run("run")
    assert again.code == 0, again.said
    assert stages(world) == held
    made = tasks(world)
    assert set(made) == with_task
    twice = {record for record, found in made.items() if len(found) > 1}
    moved = {" ".join(place.split()[::2]) for place in held if held[place] != before[place]}
    assert twice <= (moved if forgot else set())
    keys = [task.key for found in made.values() for task in found]
    assert len(keys) == len(set(keys))
    assert agent.run("log", "verify").code == 0
    with agent.agent(write=False) as opened:
        assert cycle.run(opened, command="plan", write=False).plan.changes == ()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of 24 MB of its own; None where this user may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    with suppress(OSError):
        if subprocess.run(mount, check=False, capture_output=True).returncode == 0:
            try:
                yield folder
            finally:
                subprocess.run(["umount", "-l", str(folder)], check=True)
            return
    yield None


@pytest.mark.parametrize("doing", [ChangeKind.SET_STAGE, ChangeKind.OPEN_TASK])
def test_a_disk_that_is_full(
    world: Sandbox, deploy: Deploy, tmp_path: Path, undisturbed: tuple[World, set[str]], doing: ChangeKind
) -> None:
    agent, before = deploy(world), stages(world)
    with small_disk(tmp_path / "disk") as disk:
        if disk is not None:
            agent.words["ledger"] = f"sqlite:///{disk}/ledger.db"
            agent.save()

        def fills(opened: Agent) -> None:
            if disk is None:
                _no_more_pages(opened.ledger)
                return
            with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))

        stopped = disturbed(agent, doing, fills, wait=10)

        assert "the disk is full; make room, then try again" in str(stopped)
        if disk is not None:
            refused = agent.run("run")
            assert (refused.code, "Traceback" in refused.said) == (3, False)
            assert "disk" in refused.err
            (disk / "ballast").unlink()
        recovers(agent, world, before, undisturbed)


def _no_more_pages(ledger: Ledger) -> None:
    @event.listens_for(ledger._database.engine, "begin")
    def _full(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_ledger_that_becomes_read_only(world: Sandbox, deploy: Deploy, undisturbed: tuple[World, set[str]]) -> None:
    agent, before = deploy(world), stages(world)

    def shuts(opened: Agent) -> None:
        @event.listens_for(opened.ledger._database.engine, "begin")
        def _shut(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA query_only = ON")

    stopped = disturbed(agent, ChangeKind.SET_STAGE, shuts, wait=10)

    assert "cannot be written: file or folder are read-only" in str(stopped)
    recovers(agent, world, before, undisturbed)


def test_a_lock_that_somebody_else_keeps(world: Sandbox, deploy: Deploy, undisturbed: tuple[World, set[str]]) -> None:
    agent, before = deploy(world), stages(world)
    with ExitStack() as other:

        def locks(_opened: Agent) -> None:
            connection = other.enter_context(closing(sqlite3.connect(agent.ledger_file, isolation_level=None)))
            connection.execute("BEGIN IMMEDIATE")

        stopped = disturbed(agent, ChangeKind.SET_STAGE, locks, wait=0.3)
        assert "is locked by another process; see that no other program holds it open" in str(stopped)
    recovers(agent, world, before, undisturbed)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    try:
        with running_server() as server:
            yield server
    except CannotStart as reason:
        pytest.skip(str(reason))


def test_a_postgresql_that_goes_away(
    world: Sandbox, deploy: Deploy, postgres: str, undisturbed: tuple[World, set[str]]
) -> None:
    agent, before = deploy(world), stages(world)
    name, admin = f"ledger_{uuid4().hex[:12]}", postgres.format(database="postgres")
    execute(admin, f"CREATE DATABASE {name}")
    agent.words["ledger"] = postgres.format(database=name)
    agent.save()

    def goes(_opened: Agent) -> None:
        execute(
            admin,
            f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )

    stopped = disturbed(agent, ChangeKind.SET_STAGE, goes, wait=5)

    assert "went away" in str(stopped) or "cannot be reached" in str(stopped), stopped
    refused = agent.run("run")
    assert (refused.code, "Traceback" in refused.said) == (3, False)
    assert "cannot be reached; see that the server runs" in refused.err
    execute(admin, f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    recovers(agent, world, before, undisturbed)


@pytest.mark.parametrize("doing", ["before the run", ChangeKind.SET_STAGE, ChangeKind.OPEN_TASK])
def test_a_ledger_of_an_older_backup(
    world: Sandbox, deploy: Deploy, tmp_path: Path, undisturbed: tuple[World, set[str]], doing: str
) -> None:
    """The CRM is ahead of the ledger: no stage is touched, no task is made twice, and a head kept elsewhere tells."""
    agent, before, backup = deploy(world), stages(world), tmp_path / "backup.db"
    assert agent.run("audit").code == 0

    def copied() -> None:
        with closing(sqlite3.connect(agent.ledger_file)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)

    def once(_connection: str, what: str, done: int) -> None:
        if what == doing and done and not backup.exists():
            copied()

    if doing == "before the run":
        copied()
    with agent.agent(progress=once) as opened:
        assert cycle.run(opened, command="run", write=True).exit_code == 0
        head = opened.ledger.verify().head
    for file in agent.folder.glob("ledger.db*"):
        file.unlink()
    shutil.copy(backup, agent.ledger_file)

    told = agent.run("log", "verify", "--head", head)

    assert (told.code, "the end is missing" in told.err) == (3, True)
    recovers(agent, world, before, undisturbed, forgot=True)
