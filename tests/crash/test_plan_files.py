"""A plan in a file is made, approved and applied, and whoever does so dies in between: doing it again ends the work."""

from __future__ import annotations

import os

import pytest

from .conftest import Laboratory
from .lab import SECOND_MORNING, Killed
from .test_every_boundary import EVERY, STEP, undisturbed_end
from .verdict import PAUSE, differences, ended

SHARES = 2


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_a_plan_in_a_file_survives_a_kill_anywhere(laboratory: Laboratory, crm: str, share: int) -> None:
    lab = laboratory(crm, "sqlite")
    wanted, _ = undisturbed_end(lab)
    with lab.case() as case:
        effects = case.run(SECOND_MORNING, by_file=True).effects
        assert not differences(ended(case), wanted)
    boundaries = [
        number
        for number, effect in enumerate(effects)
        if EVERY in os.environ or "plan.json" in effect or number % (3 * STEP) == STEP
    ]
    for boundary in boundaries[share::SHARES]:
        with lab.case() as case:
            with pytest.raises(Killed):
                case.run(SECOND_MORNING, kill_at=boundary, by_file=True)
            again = case.run(SECOND_MORNING + PAUSE, by_file=True)
            found = differences(ended(case), wanted)
            # Only where nothing was left to do may the file be refused.
            assert again.exit_code == 0 or "applied already" in again.said, (effects[boundary], again)
            assert not found, f"killed before {boundary}, {effects[boundary]!r}: " + "; ".join(found)
