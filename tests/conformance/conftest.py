"""One suite for every CRM. To add one, write its world in a module and name it here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.sandbox.conftest import Serve, serve

from .hubspot_world import hubspot_world
from .salesforce_world import salesforce_world
from .world import World

__all__ = ["serve", "world"]

WORLDS: Mapping[str, Callable[[Serve, Path], World]] = {"salesforce": salesforce_world, "hubspot": hubspot_world}


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Iterator[World]:
    """Each CRM in turn."""
    made = WORLDS[request.param](serve, tmp_path)
    yield made
    made.reader.close()
    made.writer.close()
