"""``python -m stagesync.sandbox DIRECTORY``: the sandbox as a process of its own, telling its parent what it does.

It writes one JSON object a line to standard output: ``{"progress": …, "done": …, "total": …}`` while the company is
invented, then ``{"ready": {…}}``. It ends when its standard input is closed, so it never outlives its parent.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stagesync.sandbox.server import PortInUse, Sandbox


def main() -> int:
    """Serve until the parent is gone, SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="stagesync.sandbox")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records", type=int, default=800)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--as-of", type=datetime.fromisoformat, help="the sandbox's present, from which its clock goes on"
    )
    options = parser.parse_args()
    try:
        sandbox = Sandbox.create(
            options.directory,
            seed=options.seed,
            records=options.records,
            port=options.port,
            clock=clock_from(options.as_of) if options.as_of else None,
            progress=_told,
        )
    except (PortInUse, OSError) as error:
        _write({"failed": error.strerror or str(error)})
        return 1
    threading.Thread(target=_wait_for_parent, daemon=True).start()
    sandbox.serve_forever(_ready)
    return 0


def clock_from(moment: datetime) -> Callable[[], datetime]:
    """A clock that shows ``moment`` (aware) now and goes on from there."""
    started = time.monotonic()
    return lambda: moment.astimezone(UTC) + timedelta(seconds=time.monotonic() - started)


def _told(done: int, total: int, what: str) -> None:
    _write({"progress": what, "done": done, "total": total})


def _ready(sandbox: Sandbox) -> None:
    facts = {
        "url": sandbox.url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "hubspot_token": sandbox.hubspot_token,
        "answers": str(sandbox.answers_path),
    }
    _write({"ready": facts})


def _write(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _wait_for_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
