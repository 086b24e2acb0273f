"""A process that dies by SIGKILL just before its n-th effect on the world outside it.

An effect is a request to a CRM, a commit of the ledger, a file or folder that is made, opened for writing, renamed,
linked or removed. Between two effects nothing changes but the process's own memory, which a kill takes: so dying before
each effect, and after the last, is dying everywhere. The counter sits below all of StageSync's code: in Python's
sockets, in SQLAlchemy's commit, and in Python's own audit events.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

MAKES = frozenset({"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Effects:
    """Counts effects, and dies before the one with the number ``last`` (from 0); None lives."""

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.seen: list[str] = []

    def about_to(self, effect: str) -> None:
        """Called just before an effect."""
        if len(self.seen) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(effect)


def watch(effects: Effects, folder: Path) -> None:
    """Count every effect of this process from here on; of files those below ``folder``. There is no way back."""
    _requests(effects)
    _commits(effects)
    _files(effects, folder)


def _before(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Call ``tell`` with the same arguments before each call of a function."""
    real = getattr(owner, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        tell(*args, **kwargs)
        return real(*args, **kwargs)

    setattr(owner, name, counted)


def _requests(effects: Effects) -> None:
    def sending(_wire: object, data: bytes, *_: Any) -> None:
        line = bytes(data).partition(b"\r\n")[0].decode("latin-1")
        if line.endswith(" HTTP/1.1"):  # a long body goes out after its head
            method, target, _version = line.split(" ")
            effects.about_to(f"{method} {target.partition('?')[0]}")

    _before(socket.socket, "sendall", sending)


def _commits(effects: Effects) -> None:
    written: list[bool] = []

    @event.listens_for(Engine, "commit")
    def _remember(connection: Connection) -> None:
        written.append(bool(connection.get_execution_options().get("stagesync_writes")))

    def committing(*_: Any) -> None:
        if written and written.pop():
            effects.about_to("commit")

    _before(DefaultDialect, "do_commit", committing)


def _files(effects: Effects, folder: Path) -> None:
    inside = str(folder)

    def heard(happening: str, details: tuple[Any, ...]) -> None:
        if happening == "open":
            path, mode, flags = details
            writes = (flags or 0) & WRITING if mode is None else set(mode) & set("wax+")
        else:
            path, writes = (details[0] if details else ""), happening in MAKES
        if writes and isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(inside):
            effects.about_to(f"{happening} {os.path.relpath(os.fsdecode(path), inside)}")

    sys.addaudithook(heard)

    # Between opening and writing a file is empty.
    real = io.open

    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        handle = real(file, mode, *args, **kwargs)
        if set(mode) & set("wax+") and (isinstance(file, int) or str(file).startswith(inside)):
            effects.about_to("write into it")
        return handle

    io.open = opened

    def to_disk(_frame: object, file: object, *_: Any, **__: Any) -> None:
        if str(file).startswith(inside):
            effects.about_to(f"write_parquet {os.path.relpath(str(file), inside)}")

    _before(pl.DataFrame, "write_parquet", to_disk)
