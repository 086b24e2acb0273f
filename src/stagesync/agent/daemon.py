"""The daemon: runs on a schedule, one at a time, and says whether it is well.

A run that fails is logged and tried again at the next tick; the health page then says 503, so that nothing fails in
silence. SIGTERM lets the current batch finish.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import structlog
import uvicorn
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stagesync.agent import cycle
from stagesync.agent.connection import Agent
from stagesync.errors import Busy, Interrupted, StageSyncError, UsageError
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.machinery import cron_trigger
from stagesync.settings import Schedule

log = structlog.get_logger(__name__)

MISFIRE_SECONDS = 3_600
STOP_SECONDS = 30.0


@dataclass
class Heartbeat:
    """What the daemon last did. Times are UTC; ``exit_code``, ``failure`` and the limits by which it was ``refused``
    are of the last run."""

    started: datetime
    running: bool = False
    last_run: datetime | None = None
    last_good: datetime | None = None
    exit_code: int | None = None
    failure: str | None = None
    refused: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """The last run did what it should, or there was none yet. Findings and a guard's refusal are no illness."""
        return self.exit_code in (None, 0, 1, 4)


class Daemon:
    """Runs ``open_agent()`` on a schedule until ``stop`` is set."""

    def __init__(
        self,
        *,
        open_agent: Callable[[], AbstractContextManager[Agent]],
        schedule: Schedule,
        host: str,
        port: int,
        time_zone: ZoneInfo,
        stop: threading.Event,
    ) -> None:
        """``schedule`` is one that the settings took."""
        self._open_agent, self._stop = open_agent, stop
        self._trigger, self._at_once = trigger(schedule, time_zone), schedule.every is not None
        self._host, self._port = host, port
        self.heartbeat = Heartbeat(started=datetime.now(UTC))

    def run(self) -> int:
        """Serve and run until asked to stop. Raises UsageError when the port is taken."""
        listener = listen(self._host, self._port)
        server = uvicorn.Server(
            uvicorn.Config(self._pages(), log_config=None, access_log=False, lifespan="off", log_level="critical")
        )
        pages = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="health", daemon=True)
        pages.start()
        scheduler = BackgroundScheduler(timezone=UTC)
        scheduler.add_job(
            self.tick,
            self._trigger,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=MISFIRE_SECONDS,
            **({"next_run_time": datetime.now(UTC)} if self._at_once else {}),
        )
        scheduler.start()
        log.info("daemon_started", host=self._host, port=listener.getsockname()[1])
        try:
            # A wait with a timeout lets the signal handler run on every platform.
            while not self._stop.wait(0.5):
                pass
        finally:
            # waits for the run in progress, which ends after its current batch
            scheduler.shutdown(wait=True)
            server.should_exit = True
            pages.join(STOP_SECONDS)
            listener.close()
            log.info("daemon_stopped")
        return 0

    def tick(self) -> None:
        """One run; whatever goes wrong is in the log and in the heartbeat, and the daemon lives on."""
        beat = self.heartbeat
        beat.running, beat.last_run, beat.refused = True, datetime.now(UTC), ()
        try:
            with self._open_agent() as agent:
                result = cycle.run(agent, command="daemon", write=True, unattended=True)
            beat.exit_code = result.exit_code
            beat.failure = "; ".join(str(error) for error in result.errors.values()) or None
            beat.refused = tuple(refusal.limit for refusal in result.refusals)
        except Interrupted as stopped:
            log.info("run_interrupted", reason=str(stopped))
        except Busy as busy:
            # A second agent that stands by is well; who works and since when is in the message.
            beat.exit_code, beat.failure = 0, None
            log.info("run_left_to_another", reason=str(busy))
        except StageSyncError as error:
            beat.exit_code, beat.failure = error.exit_code, str(error)
            log.error("run_failed", kind=type(error).__name__, reason=str(error))
        except Exception as error:
            beat.exit_code, beat.failure = StageSyncError.exit_code, f"{type(error).__name__}: {error}"
            log.exception("run_crashed", kind=type(error).__name__)
        finally:
            beat.running = False
        if beat.healthy and beat.exit_code is not None:
            beat.last_good = datetime.now(UTC)

    def _pages(self) -> Starlette:
        async def healthz(_request: Request) -> Response:
            beat = self.heartbeat
            document = {
                "healthy": beat.healthy,
                "running": beat.running,
                "started": beat.started.isoformat(),
                "last_run": beat.last_run.isoformat() if beat.last_run else None,
                "last_good_run": beat.last_good.isoformat() if beat.last_good else None,
                "exit_code": beat.exit_code,
                "failure": beat.failure,
                "refused": beat.refused,
            }
            status = 200 if beat.healthy else 503
            return Response(json.dumps(document) + "\n", status_code=status, media_type="application/json")

        return Starlette(routes=[Route("/healthz", healthz)])


def trigger(schedule: Schedule, time_zone: ZoneInfo) -> BaseTrigger:
    """APScheduler's trigger for a schedule; cron expressions are in the time zone of the settings."""
    if schedule.cron is not None:
        return cron_trigger(schedule.cron, time_zone)
    every = schedule.every or Duration(1, Unit.HOURS)
    return IntervalTrigger(seconds=every.count * SECONDS[every.unit], jitter=None)


SECONDS = {Unit.MINUTES: 60, Unit.HOURS: 3_600, Unit.DAYS: 86_400}


def listen(host: str, port: int) -> socket.socket:
    """Take the port before the first run; UsageError says which one is in use and what to do."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be used for /healthz: {error.strerror}; choose another port under 'health'"
        ) from error
