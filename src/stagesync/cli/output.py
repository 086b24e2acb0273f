"""Standard output whose reader may leave early: ``stagesync audit | head``."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class _Patient(io.FileIO):
    """A file that goes on as if nothing were when nobody reads it any more."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(memoryview(data).cast("B"))


def outlive_the_reader() -> None:
    """A closed pipe ends the output and not the work, so the exit code still says how the work went. What the terminal
    has no letter for is spelled out."""
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
