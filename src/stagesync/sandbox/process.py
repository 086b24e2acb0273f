"""The sandbox in a process of its own, so that the two CRMs do not share the agent's processor time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

STOP_SECONDS = 10.0


class SandboxFailed(OSError):
    """The sandbox did not start; the message says why."""


class SandboxProcess:
    """A context manager: inside, the sandbox answers at ``url``. It ends with the block, or with this process."""

    url: str
    client_id: str
    client_secret: str
    hubspot_token: str
    answers_path: Path

    def __init__(
        self,
        directory: Path,
        *,
        seed: int = 1,
        records: int = 800,
        port: int = 0,
        as_of: datetime | None = None,
        progress: Callable[[str, int], object] | None = None,
    ) -> None:
        """``progress`` hears what is being invented and how many records are done.

        ``as_of`` (aware) is the sandbox's present, from which its clock goes on; the real present if left out.
        """
        self._command = [sys.executable, "-m", "stagesync.sandbox", str(directory)]
        self._command += ["--seed", str(seed), "--records", str(records), "--port", str(port)]
        if as_of is not None:
            self._command += ["--as-of", as_of.isoformat()]
        self._progress = progress or (lambda _what, _done: None)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers. Raises SandboxFailed."""
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the agent; it ends this process in its own time.
            start_new_session=True,
        )
        try:
            self._take(self._wait())
        except BaseException:
            self.close()
            raise
        return self

    def _wait(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "ready" in message:
                ready: dict[str, Any] = message["ready"]
                return ready
            if "failed" in message:
                raise SandboxFailed(f"the sandbox did not start: {message['failed']}")
            self._progress(message["progress"], message["done"])
        raise SandboxFailed(f"the sandbox ended before it was ready (exit code {self._process.wait()})")

    def _take(self, facts: dict[str, Any]) -> None:
        self.url, self.answers_path = facts["url"], Path(facts["answers"])
        self.client_id, self.client_secret = facts["client_id"], facts["client_secret"]
        self.hubspot_token = facts["hubspot_token"]

    def close(self) -> None:
        """End it and wait until it has."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
