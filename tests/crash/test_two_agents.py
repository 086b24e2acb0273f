"""Two agents with one ledger begin at the same moment."""

from __future__ import annotations

import pytest

from .conftest import Laboratory
from .lab import SECOND_MORNING
from .test_every_boundary import undisturbed_end
from .verdict import differences, ended


@pytest.mark.parametrize(("crm", "database"), [("salesforce", "sqlite"), ("hubspot", "postgresql")])
def test_two_agents_do_the_work_of_one(laboratory: Laboratory, crm: str, database: str) -> None:
    lab = laboratory(crm, database)
    wanted, _ = undisturbed_end(lab)
    with lab.case() as case:
        waits = [case.begin(SECOND_MORNING) for _ in range(2)]
        first, second = sorted((wait() for wait in waits), key=lambda done: -len(done.planned))
        assert (first.exit_code, len(first.planned)) == (0, 17)
        # It was turned away, or came when all was done.
        assert "in use by" in second.said or (second.exit_code, second.planned) == (0, [])
        assert not differences(ended(case), wanted)
