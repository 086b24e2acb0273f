"""The daemon: runs on its schedule, one run at a time, says whether it is well, and ends cleanly when asked."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from apscheduler.triggers.interval import IntervalTrigger

from stagesync.agent import cycle
from stagesync.agent import daemon as module
from stagesync.agent.connection import Agent
from stagesync.agent.daemon import Daemon, trigger
from stagesync.cli import daemon as command
from stagesync.errors import ConfigurationError
from stagesync.ledger import EntryKind
from stagesync.policy.durations import Duration, Unit
from stagesync.sandbox.server import Sandbox
from stagesync.settings import Schedule

from .conftest import FEW, Deploy
from .deployment import Deployment, wait_until
from .office import SalesforceOffice, offices
from .terminal import PATIENCE

pytestmark = pytest.mark.records(FEW)

HOURLY = Schedule(every=Duration(1, Unit.HOURS))


class Watched:
    """A daemon in a process of its own, its log read while it runs."""

    def __init__(self, agent: Deployment) -> None:
        self.process = agent.start("daemon", stdout=subprocess.DEVNULL)
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def events(self) -> list[dict[str, Any]]:
        """Every line of the log; each must be one JSON object."""
        return [json.loads(line) for line in self.lines]

    def event(self, name: str) -> dict[str, Any]:
        """The first event of this name, waited for."""
        wait_until(lambda: self._found(name) or self.process.poll() is not None, f"the event {name}")
        found = self._found(name)
        assert found, self.lines
        return found[0]

    def _found(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["event"] == name]

    def health(self) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.event('daemon_started')['port']}/healthz", timeout=10)

    def terminate(self) -> int:
        """SIGTERM; the exit code, once it has ended and all was read."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE)
        self._reading.join(10)
        return code


def test_it_runs_at_once_says_how_it_is_and_ends(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.words["schedule"] = {"every": "1 hours"}
    agent.save()
    daemon = Watched(agent)
    finished = daemon.event("run_finished")
    assert (finished["result"], finished["exit_code"]) == ("done", 0)
    wait_until(lambda: daemon.health().json()["exit_code"] is not None, "the end of the run")

    answer = daemon.health()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    said = answer.json()
    assert said["healthy"] is True
    assert datetime.fromisoformat(said["last_run"]) <= datetime.now(UTC)
    assert said["last_good_run"] >= said["last_run"]

    assert daemon.terminate() == 0
    assert [event["event"] for event in daemon.events()][-1] == "daemon_stopped"
    with agent.ledger() as ledger:
        (run,) = ledger.runs()
        assert (run.command, run.result) == ("daemon", "done")
        assert ledger.verify().ok
    assert all(office.tasks() for office in offices(sandbox))
    check_log(daemon, sandbox)


def check_log(daemon: Watched, sandbox: Sandbox) -> None:
    """Events are constant words with a time and a level, and hold no value of a record."""
    for event in daemon.events():
        assert re.fullmatch(r"[a-z._]+", event["event"])
        assert {"timestamp", "level"} <= event.keys()
    text = "".join(daemon.lines)
    for office in offices(sandbox):
        for record in office.rows()[office.deals].values():
            name = record.get("Name") or record["dealname"]
            assert name not in text


def test_sigterm_in_the_middle_of_a_run(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    sandbox.org.faults.latency_seconds = 0.05
    daemon = Watched(agent)
    daemon.event("batch_applied")
    assert daemon.terminate() == 0
    assert [event["event"] for event in daemon.events()][-1] == "daemon_stopped"
    with agent.ledger() as ledger:
        (run,) = ledger.runs()
        assert run.result == "interrupted"
        assert run.finished is not None
        assert ledger.count(kind=EntryKind.OUTCOME) > 0
    sandbox.org.faults.latency_seconds = 0.0
    done = agent.run("run")
    assert done.code == 0, done.said
    made = {office.name: [task.record for task in office.tasks()] for office in offices(sandbox)}
    assert all(len(records) == len(set(records)) > 0 for records in made.values())


def test_it_is_unwell_while_a_crm_is_down_and_lives_on(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    agent.only("salesforce")
    agent.words["connections"]["salesforce"]["login_url"] = "http://127.0.0.1:9"
    agent.save()
    daemon = Watched(agent)
    assert daemon.health().status_code == 200, "before the first run has ended nothing is wrong"
    wait_until(lambda: daemon.health().status_code == 503, "the health page to tell of it")
    said = daemon.health().json()
    assert said["healthy"] is False
    assert said["exit_code"] == 5
    assert "127.0.0.1:9" in said["failure"]
    assert said["last_good_run"] is None
    assert daemon.process.poll() is None
    assert daemon.terminate() == 0
    assert all("event" in event for event in daemon.events())


def test_wrong_settings_end_it_at_once(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    for schedule, said in (
        ({"cron": "every morning"}, "cron has 5 fields, as in '0 6 * * 1-5', and not 2"),
        ({"cron": "61 6 * * *"}, "the cron expression '61 6 * * *' cannot be read"),
        ({"cron": "0 6 * * 5-1"}, "the days 5-1 run backwards"),
        ({"every": "3 business days"}, "'3 business days' cannot be waited for"),
        ({"every": "1 hours", "cron": "0 6 * * *"}, "write either every"),
    ):
        agent.words["schedule"] = schedule
        agent.save()
        done = agent.run_apart("daemon")
        assert done.code == 2, done.said
        assert said in done.err
        assert agent.run("check").err == done.err
        assert "Traceback" not in done.err


def test_its_runs_are_on_record_with_the_settings_that_it_works_by(
    still: Sandbox, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files may change, or be gone for a moment, while it runs; it has read them at its start."""
    agent, made_with = deploy(still), []

    class Ticks:
        def __init__(self, *, open_agent: Callable[[], AbstractContextManager[Agent]], **_: object) -> None:
            self.open_agent = open_agent

        def run(self) -> int:
            self.note()
            agent.words["time_zone"] = "Asia/Tokyo"
            agent.save()
            self.note()
            agent.config.unlink()
            self.note()
            return 0

        def note(self) -> None:
            with self.open_agent() as opened:
                made_with.append(opened.facts)

    monkeypatch.setattr(command, "Daemon", Ticks)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    written = hashlib.sha256(agent.config.read_bytes()).hexdigest()
    assert agent.run("daemon").code == 0
    assert [facts["settings_sha256"] for facts in made_with] == [written] * 3


def test_a_missing_secret_ends_it_at_once(still: Sandbox, deploy: Deploy) -> None:
    done = deploy(still).run_apart("daemon", environment={"JOURNEY_HUBSPOT_TOKEN": None})
    assert done.code == 2, done.said
    assert "JOURNEY_HUBSPOT_TOKEN" in done.err


def test_a_cron_expression_is_in_the_time_zone_of_the_settings() -> None:
    found = trigger(Schedule(cron="30 6 * * mon-fri"), ZoneInfo("Europe/Berlin"))
    saturday = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert found.get_next_fire_time(None, saturday).astimezone(UTC) == datetime(2026, 11, 23, 5, 30, tzinfo=UTC)


def test_a_cron_daemon_waits_for_its_time(still: Sandbox, deploy: Deploy) -> None:
    agent = deploy(still)
    agent.words["schedule"] = {"cron": "0 6 29 2 *"}
    agent.save()
    daemon = Watched(agent)
    said = daemon.health()
    assert said.status_code == 200
    assert said.json()["last_run"] is None
    assert daemon.terminate() == 0
    assert not agent.ledger_file.exists() or not list_runs(agent)


def list_runs(agent: Deployment) -> list[str]:
    with agent.ledger() as ledger:
        return [run.id for run in ledger.runs()]


def test_what_libraries_warn_of_is_json_too() -> None:
    words = (
        "import logging; from stagesync.cli import logs; logs.configure(as_json=True); "
        "logging.getLogger('apscheduler').warning('skipped: %d', 1)"
    )
    ran = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True, timeout=PATIENCE)
    event = json.loads(ran.stderr)
    assert (event["event"], event["logger"], event["message"]) == ("library_warned", "apscheduler", "skipped: 1")


def test_never_two_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that take longer than the interval: the next one waits for its turn."""
    monkeypatch.setitem(module.SECONDS, Unit.HOURS, 1)
    together, most, runs = 0, 0, 0
    stop, lock = threading.Event(), threading.Lock()

    @contextmanager
    def slow_agent() -> Iterator[Agent]:
        nonlocal together, most, runs
        with lock:
            together, runs = together + 1, runs + 1
            most = max(most, together)
        if runs == 3:
            stop.set()
        else:
            threading.Event().wait(1.6)
        with lock:
            together -= 1
        raise ConfigurationError("long enough")
        yield  # a context manager must

    daemon = Daemon(
        open_agent=slow_agent,
        schedule=HOURLY,
        host="127.0.0.1",
        port=0,
        time_zone=ZoneInfo("UTC"),
        stop=stop,
    )
    assert isinstance(trigger(HOURLY, ZoneInfo("UTC")), IntervalTrigger)
    assert daemon.run() == 0
    assert (runs, most) == (3, 1)
    assert daemon.heartbeat.exit_code == 2
    assert not daemon.heartbeat.healthy


def test_refused_credentials_are_tried_once_an_hour_and_it_stays_unwell(sandbox: Sandbox, deploy: Deploy) -> None:
    agent = deploy(sandbox)
    agent.only("salesforce")
    right, sandbox.org.client_secret = sandbox.org.client_secret, "another"
    now = [datetime.now(UTC)]
    daemon = Daemon(
        open_agent=lambda: agent.agent(clock=lambda: now[0]),
        schedule=HOURLY,
        host="127.0.0.1",
        port=0,
        time_zone=ZoneInfo("UTC"),
        stop=threading.Event(),
    )
    logins = "POST /services/oauth2/token"

    for minute in range(0, 60, 10):
        now[0] += timedelta(minutes=10 if minute else 0)
        daemon.tick()
        beat = daemon.heartbeat
        assert (beat.exit_code, beat.healthy, beat.last_good) == (5, False, None)
        assert "invalid client credentials" in str(beat.failure)
    assert sandbox.org.calls[logins] == 1
    assert "paused until" in str(daemon.heartbeat.failure)
    now[0] += timedelta(minutes=11)
    daemon.tick()
    assert sandbox.org.calls[logins] == 2
    assert "tries again at" in str(daemon.heartbeat.failure)

    # A person who mistypes does not bind the daemon, and one who gets through sets it free.
    with agent.agent(write=False, clock=lambda: now[0]) as opened:
        assert cycle.run(opened, command="audit", write=False, plan=False).exit_code == 5
    sandbox.org.client_secret = right
    daemon.tick()
    assert sandbox.org.calls[logins] == 3
    with agent.agent(write=False, clock=lambda: now[0]) as opened:
        assert cycle.run(opened, command="audit", write=False, plan=False).exit_code == 0
    daemon.tick()
    assert (daemon.heartbeat.exit_code, daemon.heartbeat.failure) == (0, None)
    assert SalesforceOffice(sandbox).tasks()
