"""The embedded CRMs behind a real HTTP server on an ephemeral loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from stagesync.sandbox.salesforce.server import routes

from .salesforce_world import World, make_world

Serve = Callable[[Sequence[BaseRoute]], str]
START_SECONDS = 10


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that serves routes and returns ``http://127.0.0.1:PORT``; all servers stop with the test."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(routes: Sequence[BaseRoute]) -> str:
        # The sandbox sends its own Date header, by the sandbox's clock.
        config = uvicorn.Config(
            Starlette(routes=list(routes)),
            host="127.0.0.1",
            port=0,
            log_level="critical",
            date_header=False,
            timeout_keep_alive=65,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise RuntimeError("the sandbox server did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    yield start
    for server, thread in running:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=START_SECONDS)


@pytest.fixture
def salesforce(serve: Serve) -> World:
    """A small Salesforce org, served."""
    world = make_world()
    world.url = serve(routes(world.org))
    return world
