"""Cases that begin alike: a company, a ledger and an agent that is killed, with copies instead of memories.

The first morning is made once for each CRM and database and kept as files. Each case gets copies of them, a CRM in a
process of its own, and agents in others, all forked from a server that has loaded everything.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import make_url

from stagesync.ledger import Ledger
from tests.ledger.rawsql import execute

from .child import Done, Morning, run_agent, serve
from .company import State, Write
from .configuration import configure

SECOND_MORNING = 24 * 60.0
"""Minutes after the first."""
PATIENCE = 120.0
"""Seconds that a process may take; a limit against hanging, no claim about speed."""


class Killed(Exception):
    """The agent died by SIGKILL."""


@dataclass
class Crm:
    """A served company, and its side of the pipe."""

    pipe: Connection
    url: str

    def ask(self, word: str, *arguments: object) -> Any:
        self.pipe.send((word, *arguments))
        assert self.pipe.poll(PATIENCE), f"the CRM does not answer to {word!r}"
        return self.pipe.recv()


@dataclass
class Case:
    """A company and its agent, the folder of which is ``folder / "agent"``."""

    folder: Path
    crm: Crm
    ledger_url: str

    def run(self, minutes: float, kill_at: int | None = None, *, by_file: bool = False) -> Done:
        """One run of the agent. Raises Killed."""
        return self.begin(minutes, kill_at, by_file=by_file)()

    def begin(self, minutes: float, kill_at: int | None = None, *, by_file: bool = False) -> Callable[[], Done]:
        """A run that goes on by itself; call what is given to wait for its end."""
        self.crm.ask("minutes", minutes)
        ours, theirs = CONTEXT.Pipe()
        morning = Morning(folder=self.folder / "agent", minutes=minutes, kill_at=kill_at, by_file=by_file)
        process = CONTEXT.Process(target=run_agent, args=(theirs, morning))
        process.start()
        theirs.close()

        def ended() -> Done:
            try:
                said = ours.recv()
            except EOFError:
                said = None
            process.join(PATIENCE)
            if said is None:
                assert process.exitcode == -signal.SIGKILL, self.words()
                raise Killed
            assert isinstance(said, Done), f"{said}\n{self.words()}"
            return said

        return ended

    def words(self) -> str:
        """What the agents wrote to standard output and error."""
        file = self.folder / "words.txt"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    @property
    def state(self) -> State:
        found: State = self.crm.ask("state")
        return found

    @property
    def writes(self) -> Sequence[Write]:
        """What every request so far was to write."""
        found: Sequence[Write] = self.crm.ask("writes")
        return found

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with Ledger.open(self.ledger_url) as ledger:
            yield ledger


CONTEXT = multiprocessing.get_context("forkserver")


def start_server() -> None:
    """Start the process from which all others are forked. It finds our modules where this one does."""
    CONTEXT.set_forkserver_preload(["tests.crash.hurry", "tests.crash.warm"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*sys.path, before]))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@dataclass(frozen=True)
class Lab:
    """Where cases of one CRM are made. ``marked`` is without a field for our keys; ``server`` is the URL of a
    PostgreSQL with ``{database}`` to fill in, None for SQLite.
    """

    root: Path
    crm: str
    marked: bool = False
    server: str | None = None

    @cached_property
    def _model(self) -> tuple[Path, str]:
        """The folder and the ledger of the second morning, before the agent begins."""
        folder = self.root / "model"
        (folder / "crm").mkdir(parents=True)
        (folder / "agent").mkdir()
        url = self._ledger(folder)
        with self._served(folder, url) as case:
            case.crm.ask("seed")
            first = case.run(0)
            assert len(first.planned) == 4, (first, case.words())
            case.crm.ask("minutes", 60)
            case.crm.ask("work")
        return folder, url

    @contextmanager
    def case(self) -> Iterator[Case]:
        """The second morning, before the agent begins."""
        model, ledger = self._model
        folder = self.root / uuid4().hex[:8]
        shutil.copytree(model, folder)
        url = self._ledger(folder, of=ledger)
        try:
            with self._served(folder, url) as case:
                yield case
        finally:
            shutil.rmtree(folder)
            if self.server is not None:
                execute(self.server.format(database="postgres"), f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def _ledger(self, folder: Path, of: str | None = None) -> str:
        """A ledger in a folder: an empty one, or a copy."""
        if self.server is None:
            return f"sqlite:///{folder / 'agent' / 'ledger.db'}"
        name = f"crash_{uuid4().hex[:12]}"
        template = f" TEMPLATE {make_url(of).database}" if of else ""
        execute(self.server.format(database="postgres"), f"CREATE DATABASE {name}{template}")
        return self.server.format(database=name)

    @contextmanager
    def _served(self, folder: Path, ledger: str) -> Iterator[Case]:
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=serve, args=(theirs, self.crm, folder / "crm", self.marked))
        process.start()
        theirs.close()
        try:
            crm = Crm(pipe=ours, url=ours.recv())
            configure(folder / "agent", self.crm, crm.url, ledger, marked=self.marked)
            yield Case(folder=folder, crm=crm, ledger_url=ledger)
            crm.ask("close")
        finally:
            ours.close()
            process.join(PATIENCE)
