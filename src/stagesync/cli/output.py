"""Standard output whose reader may leave early (``stagesync audit | head``), or whose disk may be full."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from stagesync.errors import StageSyncError


class _Patient(io.FileIO):
    """A file that goes on as if nothing were when nobody reads it any more, or nothing can be written to it.

    ``failure`` is why it could not be written; None where it could, or only its reader has left.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(memoryview(data).cast("B"))


def outlive_the_reader() -> None:
    """A closed pipe or a full disk ends the output and not the work, so the exit code still says how the work went.
    What the terminal has no letter for is spelled out."""
    if sys.stdout is not sys.__stdout__ or not isinstance(sys.stdout, io.TextIOWrapper):
        return
    before = sys.stdout
    before.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Patient(before.fileno(), "w", closefd=False)),
        encoding=before.encoding,
        errors="backslashreplace" if before.errors == "strict" else before.errors,
        line_buffering=before.line_buffering,
    )


def check_written() -> None:
    """Raises StageSyncError where something that was said on standard output was not written."""
    buffer = getattr(sys.stdout, "buffer", None)
    file = buffer.raw if isinstance(buffer, io.BufferedWriter) else None
    if isinstance(file, _Patient):
        sys.stdout.flush()
        if file.failure is not None:
            said = f"what it says could not be written: {file.failure.strerror}"
            raise StageSyncError(f"{said}; the work itself was done, and `stagesync log show last` tells of a run")
