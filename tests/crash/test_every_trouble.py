"""Each request that writes meets each trouble of its CRM; in calm weather the next two runs make all of it good.

All of them are part of ``make soak``; the ordinary tests take those whose traces are hardest to follow.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from .child import COMPANIES
from .conftest import Laboratory
from .lab import SECOND_MORNING, Killed
from .test_every_boundary import EVERY, undisturbed_end
from .verdict import PAUSE, recovers

WRITES = {"salesforce": 6, "hubspot": 7}
"""Requests that write in an undisturbed run."""
HARD = {
    "salesforce": [(1, "drop_after_commit"), (2, "drop_after_commit"), (3, "server_errors"), (3, "locked rows")],
    "hubspot": [(2, "lost answer"), (2, "long 423"), (4, "expired token"), (4, "long 423"), (5, "long 503")],
}


def strikes(crm: str) -> Sequence[tuple[int, str]]:
    """Which of the requests that write is struck, counted from 1, and by what."""
    if EVERY not in os.environ:
        return HARD[crm]
    return [(number, trouble) for number in range(1, WRITES[crm] + 1) for trouble in COMPANIES[crm].troubles]


@pytest.mark.parametrize(
    ("crm", "number", "trouble"), [(crm, *strike) for crm in sorted(COMPANIES) for strike in strikes(crm)]
)
def test_trouble_with_any_write_loses_nothing(laboratory: Laboratory, crm: str, number: int, trouble: str) -> None:
    lab = laboratory(crm, "sqlite")
    wanted, _ = undisturbed_end(lab)
    with lab.case() as case:
        case.crm.ask("strike", number, trouble)
        struck = case.run(SECOND_MORNING)
        case.crm.ask("calm")
        try:
            recovers(case, wanted, minutes=SECOND_MORNING + PAUSE)
        except AssertionError as error:
            error.add_note(f"the run that was struck: {struck}")
            raise


@pytest.mark.parametrize(
    ("after", "trouble"),
    [
        # A lifecycle stage was cleared and not set, and setting it fails.
        ("POST /crm/v3/objects/contacts/batch/update", "long 423"),
        ("POST /crm/v3/objects/contacts/batch/update", "lost answer"),
        # Stages were set, and opening the tasks that tell of it fails.
        ("POST /crm/v3/objects/deals/batch/update", "long 423"),
        ("POST /crm/v3/objects/deals/batch/update", "expired token"),
    ],
)
def test_what_is_begun_stays_begun_when_finishing_it_fails(laboratory: Laboratory, after: str, trouble: str) -> None:
    lab = laboratory("hubspot", "sqlite")
    wanted, effects = undisturbed_end(lab)
    with lab.case() as case:
        with pytest.raises(Killed):
            case.run(SECOND_MORNING, kill_at=effects.index(after) + 1)
        done = sum("/batch/update" in effect for effect in effects[: effects.index(after) + 1])
        case.crm.ask("strike", done + 1, trouble)
        case.run(SECOND_MORNING + PAUSE)
        case.crm.ask("calm")
        recovers(case, wanted, minutes=SECOND_MORNING + 2 * PAUSE)
