"""A company with two CRMs and StageSync beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stagesync.sandbox.server import Sandbox

from .deployment import Deployment, deployment

RECORDS = 120
FEW = 60
"""Enough where some findings of any kind will do: ``@pytest.mark.records(FEW)``."""
Deploy = Callable[..., Deployment]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STAGESYNC_DEBUG", "STAGESYNC_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sandbox(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Two small CRMs that this test may change."""
    asked = request.node.get_closest_marker("records")
    with Sandbox.create(tmp_path / "crms", seed=7, records=asked.args[0] if asked else RECORDS) as made:
        yield made


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Two small CRMs that several tests share and none may change."""
    with Sandbox.create(tmp_path_factory.mktemp("still") / "crms", seed=7, records=RECORDS) as made:
        yield made


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Deploy]:
    """Makes deployments; what they left running ends with the test."""
    made: list[Deployment] = []

    def make(sandbox: Sandbox, name: str = "agent", **options: bool) -> Deployment:
        made.append(deployment(tmp_path / name, sandbox, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()
