"""One laboratory for each CRM and database, made when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ledger.conftest import postgres

from .lab import Lab, start_server

__all__ = ["postgres"]

Laboratory = Callable[[str, str], Lab]


@pytest.fixture(scope="session")
def laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """The laboratory of a world, such as ``hubspot`` or ``salesforce-marked``, on ``sqlite`` or ``postgresql``."""
    start_server()
    made: dict[tuple[str, str], Lab] = {}

    def lab(world: str, database: str) -> Lab:
        if (world, database) not in made:
            crm, _, marked = world.partition("-")
            server = request.getfixturevalue("postgres") if database == "postgresql" else None
            root = tmp_path_factory.mktemp(f"{world}-{database}")
            made[world, database] = Lab(root=root, crm=crm, marked=bool(marked), server=server)
        return made[world, database]

    return lab
