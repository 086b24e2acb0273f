"""``stagesync daemon``: the agent on a schedule, with JSON logs and /healthz."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from threading import Event
from types import FrameType

from stagesync.agent.daemon import Daemon
from stagesync.cli import logs
from stagesync.errors import LedgerError
from stagesync.settings import load_settings
from stagesync.wiring import Memory, opened, run_facts


def daemon(config: Path, *, full: bool = False) -> int:
    """Run until SIGTERM or SIGINT; the current batch is finished first. Wrong settings and secrets end it at once.

    ``full`` has the first run read everything.
    """
    logs.configure(as_json=True)
    settings = load_settings(config)
    facts, stop = run_facts(settings), Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    # A database may come up later than the daemon; the runs and the health page tell of it until then.
    with suppress(LedgerError), opened(settings, write=True, facts=facts):
        pass
    words, wanted = settings.words, iter([full])
    memory: Memory = {}
    serving = Daemon(
        open_agent=lambda: opened(
            settings, write=True, full=next(wanted, False), stop=stop, memory=memory, facts=facts
        ),
        schedule=words.schedule,
        host=words.health.host,
        port=words.health.port,
        time_zone=settings.time_zone,
        stop=stop,
    )
    return serving.run()
