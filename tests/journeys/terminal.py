"""The command line, run inside the test's own process: a process of its own would mostly load libraries.

Signals, a reader that leaves and a death in the middle need a real one: see ``Deployment.start``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from stagesync.cli.main import main

STAGESYNC = [sys.executable, "-c", "from stagesync.cli.main import main; main()"]
PATIENCE = 180.0
"""Seconds that a command may take before the test gives up: a limit against hanging, no claim about speed."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def run_here(*arguments: str, folder: Path, environment: Mapping[str, str], together: bool = False) -> Finished:
    """``stagesync ARGUMENTS`` in a folder, with nothing but this environment, to its end. With ``together`` all that it
    says is in ``out``, in the order in which a terminal would show it."""
    out = _written()
    err = out if together else _written()
    with chdir(folder), _alone(environment), _typed(arguments), redirect_stdout(out), redirect_stderr(err):
        code = _ended()
    return Finished(code=code, out=_text(out), err="" if together else _text(err))


def _ended() -> int:
    try:
        main()
    except SystemExit as end:
        # As Python ends a process: nothing is 0, and only a number is a code.
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextmanager
def _alone(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _typed(arguments: tuple[str, ...]) -> Iterator[None]:
    before = sys.argv, sys.stdin
    with Path(os.devnull).open(encoding="utf-8") as nobody:
        sys.argv, sys.stdin = ["stagesync", *arguments], nobody
        try:
            yield
        finally:
            sys.argv, sys.stdin = before


def _written() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(written: io.TextIOWrapper) -> str:
    raw = written.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode("utf-8")
