"""Kills at random moments of runs with CRMs that fail at random: in calm weather the next two runs make all of it good.

``make soak`` tries 500 seeds. A seed that fails is named in the test's id, and the note below the failure says how to
run it alone.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from .conftest import Laboratory
from .lab import SECOND_MORNING, Case, Killed
from .test_every_boundary import undisturbed_end
from .verdict import PAUSE, every_write_is_intended, recovers

SEEDS = "STAGESYNC_CRASH_SEEDS"
"""How many seeds are tried."""
MOST_EFFECTS = 110
"""About as many as the longest run has."""
WORLDS = ("salesforce", "hubspot", "salesforce", "hubspot", "salesforce-marked", "hubspot-marked")


@pytest.mark.parametrize("seed", range(int(os.environ.get(SEEDS, "50"))))
def test_kills_and_faults_at_random_lose_nothing(laboratory: Laboratory, seed: int) -> None:
    lab = laboratory(WORLDS[seed % len(WORLDS)], "sqlite")
    wanted, _ = undisturbed_end(lab)
    chance = Random(seed)
    story: list[str] = []
    with lab.case() as case:
        try:
            suffers(case, chance, story)
            recovers(case, wanted, minutes=SECOND_MORNING + (len(story) + 1) * PAUSE)
        except AssertionError as error:
            error.add_note("\n".join(story))
            error.add_note(f"run it alone: {SEEDS}={seed + 1} pytest 'tests/crash/test_random_kills.py' -k '[{seed}]'")
            raise


def suffers(case: Case, chance: Random, story: list[str]) -> None:
    """One to three runs in bad weather, most of them killed; the story tells what became of each."""
    for number in range(chance.randint(1, 3)):
        case.crm.ask("storm", chance.random(), chance.choice((0.0, 0.03, 0.1, 0.2)))
        kill_at = None if chance.random() < 0.25 else chance.randrange(MOST_EFFECTS)
        try:
            done = case.run(SECOND_MORNING + number * PAUSE, kill_at=kill_at)
            story.append(f"ended with {done.exit_code}: {done.said}")
        except Killed:
            story.append(f"killed before effect {kill_at}")
        case.crm.ask("calm")
        every_write_is_intended(case)
        with case.ledger() as ledger:
            assert ledger.verify().ok
