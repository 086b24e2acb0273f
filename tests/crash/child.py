"""What runs in processes of its own: the CRM, and the agent that may be killed."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stagesync.agent import cycle, plan_files
from stagesync.agent.connection import Agent
from stagesync.agent.running import RunResult
from stagesync.errors import StageSyncError, UsageError
from stagesync.settings import load_settings
from stagesync.wiring import opened

from .company import START, Company, Write
from .configuration import SETTINGS
from .hubspot_company import HubSpotCompany
from .killing import Effects, watch
from .salesforce_company import SalesforceCompany

Played = type[SalesforceCompany | HubSpotCompany]
COMPANIES: Mapping[str, Played] = {"salesforce": SalesforceCompany, "hubspot": HubSpotCompany}


@dataclass(frozen=True, kw_only=True)
class Morning:
    """One run of the agent in ``folder``, ``minutes`` after the first. It dies before the effect ``kill_at``.
    ``by_file`` is with a plan in a file, which is made, approved and applied, or whatever of that is still to be done.
    """

    folder: Path
    minutes: float
    kill_at: int | None = None
    by_file: bool = False


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run that was not killed tells: its effects in order, what it planned, and what became of it."""

    effects: Sequence[str]
    planned: Sequence[str]
    settled: int
    exit_code: int
    said: str


def run_agent(pipe: Connection, morning: Morning) -> None:
    """One run, as a command would make it. The last words go to a file beside the agent's folder."""
    words = os.open(morning.folder.parent / "words.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    effects = Effects(morning.kill_at)
    now = START + timedelta(minutes=morning.minutes)
    watch(effects, morning.folder)
    try:
        with opened(load_settings(morning.folder / SETTINGS), write=True, clock=lambda: now) as agent:
            result = _by_file(agent, morning.folder / "plan.json") if morning.by_file else _run(agent)
        planned = [f"{change.kind} {change.record_name}" for change in result.plan.changes]
        said = "; ".join(f"{name}: {error}" for name, error in result.errors.items())
        done = Done(
            effects=effects.seen,
            planned=planned,
            settled=result.settled,
            exit_code=result.exit_code,
            said=said,
        )
        effects.about_to("end")
        pipe.send(done)
    except StageSyncError as error:
        pipe.send(Done(effects=effects.seen, planned=[], settled=0, exit_code=error.exit_code, said=str(error)))
    except Exception as error:  # noqa: BLE001 - told to the test, which fails
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}")


def _run(agent: Agent) -> RunResult:
    return cycle.run(agent, command="run", write=True)


def _by_file(agent: Agent, file: Path) -> RunResult:
    if not file.exists():
        plan_files.write(file, plan_files.made(agent, cycle.run(agent, command="plan", write=False)))
    with suppress(UsageError):  # all rows are approved already
        plan_files.approve(file, agent.ledger, agent.facts, only=(), without=(), by="Ada", note="", at=agent.clock())
    return plan_files.apply_file(agent, file)


def serve(pipe: Connection, crm: str, folder: Path, marked: bool) -> None:
    """The CRM in ``folder``; first its address goes into the pipe, then it does what the pipe asks for."""
    company: Company = COMPANIES[crm](folder, marked=marked)
    writes: list[Write] = []
    weather = Weather()
    # asyncio turns Nagle off only for sockets that say they are TCP; without it every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        _Recorder(Starlette(routes=list(company.routes())), company, writes, weather),
        log_level="critical",
        lifespan="off",
        date_header=False,  # the CRMs send their own, by the company's clock
        timeout_keep_alive=65,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.001)
    pipe.send(f"http://127.0.0.1:{listener.getsockname()[1]}")
    while True:
        try:
            word, *arguments = pipe.recv()
        except EOFError:  # the test is gone
            return
        match word:
            case "writes":
                pipe.send(list(writes))
            case "minutes":
                company.clock.minutes = arguments[0]
                pipe.send(None)
            case "storm":
                weather.chance, weather.rate = Random(arguments[0]), arguments[1]
                pipe.send(None)
            case "strike":
                weather.struck = (arguments[0], arguments[1])
                pipe.send(None)
            case "calm":
                weather.rate, weather.struck = 0.0, None
                company.calm()
                pipe.send(None)
            case "close":
                company.close()
                pipe.send(None)
                return
            case _:
                pipe.send(getattr(company, word)(*arguments))


@dataclass
class Weather:
    """How often something goes wrong with a request: 0 never, 1 always. ``struck`` is the number of a request that
    writes, and what happens to it."""

    chance: Random = field(default_factory=Random)
    rate: float = 0.0
    struck: tuple[int, str] | None = None

    def strikes(self, company: Company, number: int) -> None:
        """Let happen what is to happen to a request; ``number`` counts those that write, 0 is one that reads."""
        if self.struck is not None and number == self.struck[0]:
            company.suffer(self.struck[1], self.chance)
        if self.chance.random() < self.rate:
            company.suffer(self.chance.choice(company.troubles), self.chance)


class _Recorder:
    """Notes what each request was to write, before the CRM sees it, and lets things go wrong."""

    def __init__(self, app: ASGIApp, company: Company, writes: list[Write], weather: Weather) -> None:
        self.app, self.company, self.writes, self.weather = app, company, writes, weather
        self.requests = 0
        """So many have written."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = b""
        more = True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        body = _decoded(content)
        written = self.company.write_of(scope["method"], scope["path"], body)
        self.requests += bool(written)
        self.weather.strikes(self.company, self.requests if written else 0)
        self.writes += written
        told = False

        async def again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": content, "more_body": False}

        await self.app(scope, again, send)


def _decoded(content: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(content)
    except ValueError:
        return None
    return body if isinstance(body, Mapping) else None
