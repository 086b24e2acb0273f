"""Every test that takes ``url`` or ``ledger`` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from stagesync.ledger import Ledger

from .postgres import CannotStart, running_server
from .rawsql import execute


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running server, with ``{database}`` to fill in."""
    try:
        with running_server() as server:
            yield server
    except CannotStart as reason:
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """An empty database."""
    name = f"ledger_{uuid4().hex[:12]}"
    admin = postgres.format(database="postgres")
    execute(admin, f"CREATE DATABASE {name}")
    yield postgres.format(database=name)
    execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that does not exist yet, in a folder that does not either."""
    return f"sqlite:///{tmp_path}/state/ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty place for a ledger, on either database."""
    name: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return name


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger.open(url, wait=10) as opened:
        yield opened
