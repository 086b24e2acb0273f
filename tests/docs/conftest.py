"""A reader's terminal: a folder with the shipped configuration in it, and the product on the path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from stagesync.sandbox.process import SandboxProcess

from .blocks import REPOSITORY

Terminal = Callable[[str], "subprocess.CompletedProcess[str]"]
# The demo promises 30 s on two free cores; tests share them.
PATIENCE_SECONDS = 180
# The day that the README names: on another one a few numbers differ.
DEMO_DAY = "2026-11-20"


# The org of the documents, in whose place the embedded one answers.
ORG = "https://acme.my.salesforce.com"
PORTAL = "--crm hubspot"


def terminal(folder: Path, known: Mapping[str, str] | None = None) -> Terminal:
    """A function that runs one line in ``folder`` and returns its code and all that a terminal would show; ``known``
    are more environment variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAGESYNC_")}
    # 100 columns hold the widest table in the documents and fit a browser.
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "HOME": str(folder), **(known or {})}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(line: str) -> subprocess.CompletedProcess[str]:
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
        # A document says where things are in a clone, not on this machine.
        done.stdout = done.stdout.replace(f"{REPOSITORY}/", "")
        return done

    return run


@pytest.fixture
def typed(tmp_path: Path) -> Terminal:
    for folder in ("config", "tests"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    return terminal(tmp_path)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], SandboxProcess]]:
    """The embedded CRMs, started when a document first asks for them; its commands may change them."""
    with ExitStack() as stack:
        running: list[SandboxProcess] = []

        def once() -> SandboxProcess:
            if not running:
                folder = tmp_path_factory.mktemp("embedded") / "crms"
                running.append(stack.enter_context(SandboxProcess(folder, seed=1, records=120)))
            return running[0]

        yield once


@pytest.fixture
def connected(tmp_path: Path, embedded: Callable[[], SandboxProcess]) -> Terminal:
    """The same terminal, for which the org of the documents is the embedded one."""

    def run(line: str) -> subprocess.CompletedProcess[str]:
        crms = embedded()
        secrets = {"SALESFORCE_CLIENT_ID": crms.client_id, "SALESFORCE_CLIENT_SECRET": crms.client_secret}
        secrets["HUBSPOT_TOKEN"] = crms.hubspot_token
        # HubSpot has one address for all portals, so that no document gives it.
        there = line.replace(ORG, crms.url).replace(PORTAL, f"{PORTAL} --base-url {crms.url}")
        done = terminal(tmp_path, secrets)(there)
        done.stdout = done.stdout.replace(crms.url, ORG)
        return done

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], subprocess.CompletedProcess[str]]:
    """What ``stagesync demo`` does, run once however many documents show it."""
    seen: list[subprocess.CompletedProcess[str]] = []

    def once() -> subprocess.CompletedProcess[str]:
        if not seen:
            seen.append(terminal(tmp_path_factory.mktemp("demo"))(f"stagesync demo --as-of {DEMO_DAY}"))
        return seen[0]

    return once
