"""One local server that plays both CRMs, filled with a company whose wrong stages are known.

Salesforce lives under ``/services/…``, HubSpot under ``/crm/…`` and its other roots, on one address, so both
connections are configured with the same base URL. Reachable from this machine only.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from stagesync.sandbox.company.seeding import Progress, quiet, seed_hubspot, seed_salesforce
from stagesync.sandbox.hubspot.portal import Portal
from stagesync.sandbox.hubspot.server import routes as hubspot_routes
from stagesync.sandbox.hubspot.standard import standard_metadata as standard_portal
from stagesync.sandbox.salesforce.metadata import standard_metadata as standard_org
from stagesync.sandbox.salesforce.org import Org
from stagesync.sandbox.salesforce.server import routes as salesforce_routes

Clock = Callable[[], datetime]
HOST = "127.0.0.1"
START_SECONDS = 10
STOP_SECONDS = 3
KEEP_ALIVE_SECONDS = 65
# Written last: a directory without it holds at most a seeding that was interrupted.
MANIFEST, ORG_FILE, PORTAL_FILE, ANSWERS = "sandbox.json", "salesforce.db", "hubspot.db", "answers.jsonl"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>StageSync sandbox</title></head><body>
<h1>StageSync sandbox</h1>
<p>A Salesforce org and a HubSpot portal that exist on this machine only, filled with {records} made-up records
each (seed {seed}, as of {as_of}). Nothing here reaches a real CRM.</p>
<table>
<tr><th align="left">Salesforce login URL</th><td><code>{url}</code></td></tr>
<tr><th align="left">client id</th><td><code>{client_id}</code></td></tr>
<tr><th align="left">client secret</th><td><code>{client_secret}</code></td></tr>
<tr><th align="left">HubSpot base URL</th><td><code>{url}</code></td></tr>
<tr><th align="left">private app token</th><td><code>{hubspot_token}</code></td></tr>
</table>
<p><a href="/answers">What an audit must find</a> (JSON lines).</p>
</body></html>
"""


class PortInUse(OSError):
    """Another program listens on the port that was asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(
            errno.EADDRINUSE,
            f"port {port} of {HOST} is in use: stop the program that listens there, or choose another port "
            "(0 takes any free one)",
        )
        self.port = port


class SandboxExists(FileExistsError):
    """The directory already holds a sandbox."""


class SandboxMissing(FileNotFoundError):
    """The directory holds no finished sandbox."""


class Sandbox:
    """Both CRMs, the key, and the server in front of them. A context manager: inside, the server answers."""

    def __init__(self, directory: Path, listener: socket.socket, clock: Clock) -> None:
        """Use ``create`` or ``open``."""
        self.directory = directory
        self.answers_path = directory / ANSWERS
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self.org = Org(directory / ORG_FILE, clock=clock, base_url=self.url)
        self.portal = Portal(directory / PORTAL_FILE, clock=clock)
        self._listener = listener
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def create(
        cls,
        directory: Path | str,
        *,
        seed: int = 1,
        records: int = 800,
        as_of: datetime | None = None,
        port: int = 0,
        clock: Clock | None = None,
        progress: Progress = quiet,
    ) -> Self:
        """Fill a directory with a new company; ``records`` leads or contacts and deals in each CRM.

        ``as_of`` (aware; the clock's present if left out) is the moment to which the company's life is told.
        ``progress`` hears how many records of how many are done, and of what.

        Raises:
            SandboxExists: there is one in the directory.
            PortInUse: somebody else has the port.
        """
        place, now = Path(directory), clock or _utc_now
        if (place / MANIFEST).exists():
            raise SandboxExists(
                errno.EEXIST, "there is a sandbox already; open it, or choose another place", str(place)
            )
        listener = _listen(port)
        place.mkdir(parents=True, exist_ok=True)
        _clear(place)
        sandbox = cls(place, listener, now)
        try:
            sandbox._seed(seed=seed, records=records, as_of=as_of or now(), progress=progress)
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    @classmethod
    def open(cls, directory: Path | str, *, port: int | None = None, clock: Clock | None = None) -> Self:
        """Open the sandbox that was made in a directory earlier, as it was left; on its first port if none is given.

        Raises:
            SandboxMissing: there is none.
            PortInUse: somebody else has the port.
        """
        place = Path(directory)
        if not (place / MANIFEST).exists():
            raise SandboxMissing(errno.ENOENT, "there is no sandbox; create one first", str(place))
        if port is None:
            port = int(json.loads((place / MANIFEST).read_text(encoding="utf-8"))["port"])
        return cls(place, _listen(port), clock or _utc_now)

    @property
    def client_id(self) -> str:
        """The demo client id for Salesforce."""
        return self.org.client_id

    @property
    def client_secret(self) -> str:
        """The demo client secret for Salesforce."""
        return self.org.client_secret

    @property
    def hubspot_token(self) -> str:
        """The demo private app token for HubSpot."""
        return self.portal.access_token

    def manifest(self) -> dict[str, Any]:
        """What the company was made from: ``seed``, ``records`` in each CRM, ``as_of`` (ISO, UTC), first ``port``."""
        found: dict[str, Any] = json.loads((self.directory / MANIFEST).read_text(encoding="utf-8"))
        return found

    def _seed(self, *, seed: int, records: int, as_of: datetime, progress: Progress) -> None:
        standard_org(self.org)
        standard_portal(self.portal)
        with self.answers_path.open("w", encoding="utf-8") as answers:
            seed_salesforce(self.org, seed=seed, records=records, as_of=as_of, answers=answers, progress=progress)
            seed_hubspot(self.portal, seed=seed, records=records, as_of=as_of, answers=answers, progress=progress)
        facts = {"seed": seed, "records": records, "as_of": as_of.astimezone(UTC).isoformat(), "port": self.port}
        (self.directory / MANIFEST).write_text(json.dumps(facts), encoding="utf-8")

    # Serving

    def application(self) -> Starlette:
        """The routes of both CRMs, a page that says how to connect, and the key."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/answers", self._answers),
                *salesforce_routes(self.org),
                *hubspot_routes(self.portal),
            ],
            middleware=[Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=1)],
        )

    async def _page(self, _request: Request) -> Response:
        text = PAGE.format(
            url=self.url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            hubspot_token=self.hubspot_token,
            **self.manifest(),
        )
        return HTMLResponse(text)

    async def _answers(self, _request: Request) -> Response:
        return FileResponse(self.answers_path, media_type="application/x-ndjson")

    def start(self) -> None:
        """Serve in a thread of its own; returns once the server answers."""
        config = uvicorn.Config(
            self.application(),
            log_config=None,
            access_log=False,
            log_level="critical",
            lifespan="off",
            date_header=False,  # the CRMs send their own, by the sandbox's clock
            timeout_graceful_shutdown=STOP_SECONDS,
            # Clients poll every 5 s, which is also uvicorn's default: they would meet a closing connection.
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="sandbox", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the sandbox server did not start")
            time.sleep(0.005)

    def close(self) -> None:
        """Stop serving, close the files; what was written to them stays."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=STOP_SECONDS * 2)
        self._listener.close()
        self.org.close()
        self.portal.database.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def serve_forever(self, ready: Callable[[Sandbox], object] | None = None) -> None:
        """Serve until SIGINT or SIGTERM, then close; ``ready`` is called once the server answers.

        For the main thread of a program: it takes over both signals while it runs.
        """
        stop = threading.Event()

        def end(_number: int, _frame: FrameType | None) -> None:
            stop.set()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with self:
                if ready is not None:
                    ready(self)
                stop.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _listen(port: int) -> socket.socket:
    """Take the port now, before minutes are spent on seeding."""
    # asyncio turns Nagle off only for sockets that say they are TCP; without it every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from None
        raise
    return listener


def _clear(place: Path) -> None:
    """Remove what an interrupted seeding left behind, and nothing else."""
    for name in (ORG_FILE, PORTAL_FILE, ANSWERS):
        for leftover in place.glob(f"{name}*"):
            leftover.unlink()
