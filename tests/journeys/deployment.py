"""A deployment as an operator has it: a folder with settings, secrets in the environment, and the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stagesync.agent.connection import Agent
from stagesync.ledger import Ledger
from stagesync.sandbox.server import Sandbox
from stagesync.settings import load_settings, shipped_configuration
from stagesync.wiring import opened

from .terminal import PATIENCE, STAGESYNC, Finished, run_here


@dataclass(kw_only=True)
class Deployment:
    """Settings in ``folder`` for the CRMs at ``url``; ``words`` are the settings as data, ``save`` writes them."""

    folder: Path
    words: dict[str, Any]
    secrets: dict[str, str]
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "stagesync.yaml"

    @property
    def ledger_file(self) -> Path:
        return self.folder / "ledger.db"

    def save(self) -> None:
        self.config.write_text(yaml.safe_dump(self.words, sort_keys=False), encoding="utf-8")

    def copy_of(self, name: str) -> Path:
        """A shipped definition or mapping, copied beside the settings, which then use the copy."""
        source = shipped_configuration() / name
        target = self.folder / source.name
        target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        if name.startswith("definitions/"):
            self.words["definitions"] = target.name
        else:
            self.words["connections"][target.stem]["mapping"] = target.name
        self.save()
        return target

    def only(self, connection: str) -> None:
        """Leave the other connections out of the settings."""
        self.words["connections"] = {connection: self.words["connections"][connection]}
        self.save()

    def run(self, *arguments: str, environment: Mapping[str, str | None] | None = None) -> Finished:
        """``stagesync ARGUMENTS --config …``, to its end."""
        known = self._environment(environment)
        return run_here(*self._typed(arguments), folder=self.folder, environment=known)

    def run_apart(self, *arguments: str, environment: Mapping[str, str | None] | None = None) -> Finished:
        """The same as a process of its own."""
        process = self.start(*arguments, environment=environment)
        out, err = process.communicate(timeout=PATIENCE)
        return Finished(code=process.returncode, out=out, err=err)

    def start(
        self, *arguments: str, environment: Mapping[str, str | None] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """A process of its own, running."""
        process = subprocess.Popen(
            [*STAGESYNC, *self._typed(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            cwd=self.folder,
            env=self._environment(environment),
            **options,
        )
        self._running.append(process)
        return process

    def _typed(self, arguments: Sequence[str]) -> list[str]:
        return [*arguments, "--config", str(self.config)]

    def _environment(self, more: Mapping[str, str | None] | None) -> dict[str, str]:
        values: dict[str, str | None] = {**os.environ, **self.secrets, "COLUMNS": "200", **(more or {})}
        return {name: value for name, value in values.items() if value is not None}

    @contextmanager
    def agent(self, **options: Any) -> Iterator[Agent]:
        """The agent in this process, for tests that must act between two of its steps."""
        with environment(self), opened(load_settings(self.config), **{"write": True, **options}) as agent:
            yield agent

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, opened beside whatever runs."""
        with Ledger.open(f"sqlite:///{self.ledger_file}") as ledger:
            yield ledger

    def files(self) -> list[Path]:
        """Everything that StageSync left in the folder."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def end(self) -> None:
        """End what this test started and left running."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


def deployment(folder: Path, sandbox: Sandbox, *, enforce: bool = True) -> Deployment:
    """Both connections lead to the sandbox; with ``enforce`` the stages of premature records are corrected."""
    shipped = shipped_configuration()
    folder.mkdir(parents=True, exist_ok=True)
    made = Deployment(
        folder=folder,
        words={
            "definitions": str(shipped / "definitions" / "recommended.yaml"),
            "connections": {
                "salesforce": {
                    "crm": "salesforce",
                    "mapping": str(shipped / "mappings" / "salesforce.yaml"),
                    "login_url": sandbox.url,
                    "client_id": {"env": "JOURNEY_SALESFORCE_ID"},
                    "client_secret": {"env": "JOURNEY_SALESFORCE_SECRET"},
                },
                "hubspot": {
                    "crm": "hubspot",
                    "mapping": str(shipped / "mappings" / "hubspot.yaml"),
                    "base_url": sandbox.url,
                    "token": {"env": "JOURNEY_HUBSPOT_TOKEN"},
                },
            },
            "data": ".",
            "rules": {"premature": {"mode": "enforce" if enforce else "suggest"}},
            "guard": {"stage_changes": 1000, "share": 1.0, "tasks": 1000},
            "health": {"host": "127.0.0.1", "port": 0},
        },
        secrets={
            "JOURNEY_SALESFORCE_ID": sandbox.client_id,
            "JOURNEY_SALESFORCE_SECRET": sandbox.client_secret,
            "JOURNEY_HUBSPOT_TOKEN": sandbox.hubspot_token,
        },
    )
    made.save()
    return made


def mark_in_texts(agent: Deployment) -> None:
    """Let the last line of a task's text stand for the key, as in an org without a field for it."""
    mapping = agent.copy_of("mappings/salesforce.yaml")
    text = mapping.read_text(encoding="utf-8")
    told = text.replace("key: StageSync_Key__c", "marker: Description").replace("StageSync_Key__c:", "Description:")
    assert "StageSync_Key__c:" not in told != text
    mapping.write_text(told, encoding="utf-8")


@contextmanager
def environment(deployed: Deployment) -> Iterator[None]:
    """The secrets of a deployment, in the environment of this process."""
    before = {name: os.environ.get(name) for name in deployed.secrets}
    os.environ.update(deployed.secrets)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def wait_until(holds: Callable[[], object], what: str, *, seconds: float = PATIENCE, step: float = 0.02) -> None:
    """Look again and again; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}"
        time.sleep(step)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)
