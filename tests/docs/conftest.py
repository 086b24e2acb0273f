"""A reader's terminal: a folder with the shipped configuration in it, and the product on the path."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from stagesync.sandbox.server import Sandbox
from tests.journeys.terminal import Finished, run_here

from .blocks import REPOSITORY

Terminal = Callable[[str], Finished]
# The demo promises 30 s on two free cores; tests share them.
PATIENCE_SECONDS = 180
# The day that the README names: on another one a few numbers differ.
DEMO_DAY = "2026-11-20"


# The org of the documents, in whose place the embedded one answers.
ORG = "https://acme.my.salesforce.com"
PORTAL = "--crm hubspot"


def terminal(folder: Path, known: Mapping[str, str] | None = None, *, apart: bool = False) -> Terminal:
    """A function that runs one line in ``folder`` and returns its code and, as ``out``, all that a terminal would show;
    ``known`` are more environment variables. What needs a shell has one, and with ``apart`` every line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAGESYNC_")}
    # 100 columns hold the widest table in the documents and fit a browser.
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "HOME": str(folder), **(known or {})}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(line: str) -> Finished:
        if apart or asks_the_shell(line):
            done = in_a_shell(line, folder, environment)
        else:
            program, *words = shlex.split(line)
            assert program == "stagesync", line
            done = run_here(*words, folder=folder, environment=environment, together=True)
        # A document says where things are in a clone, not on this machine.
        return Finished(code=done.code, out=done.out.replace(f"{REPOSITORY}/", ""), err="")

    return run


def asks_the_shell(line: str) -> bool:
    """Whether it is more than a program and its arguments."""
    return any(set(word) <= set("();<>|&") for word in shlex.shlex(line, posix=True, punctuation_chars=True) if word)


def in_a_shell(line: str, folder: Path, environment: Mapping[str, str]) -> Finished:
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return Finished(code=done.returncode, out=done.stdout, err="")


@pytest.fixture
def typed(tmp_path: Path) -> Terminal:
    for folder in ("config", "tests"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    return terminal(tmp_path)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """The folder of both embedded CRMs, filled when a document first asks for them."""
    folder = tmp_path_factory.mktemp("company") / "crms"

    def once() -> Path:
        if not folder.exists():
            with Sandbox.create(folder, seed=1, records=120):
                pass
        return folder

    return once


@pytest.fixture
def embedded(tmp_path: Path, company: Callable[[], Path]) -> Iterator[Callable[[], Sandbox]]:
    """The embedded CRMs, started when the document first asks for them: its own, since its commands change them."""
    with ExitStack() as stack:
        running: list[Sandbox] = []

        def once() -> Sandbox:
            if not running:
                folder = shutil.copytree(company(), tmp_path / "its own crms")
                running.append(stack.enter_context(Sandbox.open(folder, port=0)))
            return running[0]

        yield once


@pytest.fixture
def connected(tmp_path: Path, embedded: Callable[[], Sandbox]) -> Terminal:
    """The same terminal, for which the org of the documents is the embedded one."""

    def run(line: str) -> Finished:
        crms = embedded()
        secrets = {"SALESFORCE_CLIENT_ID": crms.client_id, "SALESFORCE_CLIENT_SECRET": crms.client_secret}
        secrets["HUBSPOT_TOKEN"] = crms.hubspot_token
        # HubSpot has one address for all portals, so that no document gives it.
        there = line.replace(ORG, crms.url).replace(PORTAL, f"{PORTAL} --base-url {crms.url}")
        done = terminal(tmp_path, secrets)(there)
        return Finished(code=done.code, out=done.out.replace(crms.url, ORG), err="")

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Finished]:
    """What ``stagesync demo`` does, run once however many documents show it."""
    seen: list[Finished] = []

    def once() -> Finished:
        if not seen:
            seen.append(terminal(tmp_path_factory.mktemp("demo"), apart=True)(f"stagesync demo --as-of {DEMO_DAY}"))
        return seen[0]

    return once
