"""The agent dies between any two effects; the next run ends the work, and nobody can tell that it died.

The whole walk is part of ``make soak``. The ordinary tests walk through what differs: reading changes nothing, so dying
before a request that reads is dying after whatever came before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest

from .conftest import Laboratory
from .lab import SECOND_MORNING, Killed, Lab
from .verdict import End, follows, undisturbed

EVERY = "STAGESYNC_EVERY_BOUNDARY"
"""Set to walk through all boundaries."""
CLOSELY = (("salesforce", "sqlite"), ("hubspot", "sqlite"))
LOOSELY = (
    ("salesforce-marked", "sqlite"),
    ("hubspot-marked", "sqlite"),
    ("salesforce", "postgresql"),
    ("hubspot", "postgresql"),
)
SELDOM = (("salesforce-marked", "postgresql"), ("hubspot-marked", "postgresql"))
READS = ("GET ", "/batch/read", "/search", "/composite/sobjects/Opportunity", "/composite/sobjects/Lead")
SHARES = 4
"""Tests into which a long walk is divided, so that they can run side by side."""
STEP = 12
"""On ordinary days every so many boundaries are enough where little differs from what is walked closely."""
_ends: dict[Lab, tuple[End, Sequence[str]]] = {}


def undisturbed_end(lab: Lab) -> tuple[End, Sequence[str]]:
    """How it ends when nobody dies, and the effects on the way."""
    if lab not in _ends:
        with lab.case() as case:
            _ends[lab] = undisturbed(case)
    return _ends[lab]


def walk(effects: Sequence[str], *, closely: bool) -> Sequence[int]:
    """The boundaries to die at. On ordinary days every third one of those before which something changed in the part
    that writes to the CRM, and some others."""
    if EVERY in os.environ:
        return range(len(effects))
    pulled = max(number for number, effect in enumerate(effects) if effect.startswith("os.r"))
    differing = [
        number for number in range(pulled + 1, len(effects)) if not any(word in effects[number - 1] for word in READS)
    ]
    return [*range(0, pulled, 2 * STEP), *differing[::3]] if closely else differing[::STEP]


def walks() -> Iterator[tuple[str, str, int, int]]:
    """World, database, which share of the walk, and of how many."""
    for world, database in (*CLOSELY, *LOOSELY, *(SELDOM if EVERY in os.environ else ())):
        shares = SHARES if EVERY in os.environ or (world, database) in CLOSELY else 1
        for share in range(shares):
            yield world, database, share, shares


@pytest.mark.parametrize(("world", "database", "share", "shares"), list(walks()))
def test_a_kill_anywhere_loses_nothing_and_makes_nothing_twice(
    laboratory: Laboratory, world: str, database: str, share: int, shares: int
) -> None:
    lab = laboratory(world, database)
    wanted, effects = undisturbed_end(lab)
    for boundary in walk(effects, closely=(world, database) in CLOSELY)[share::shares]:
        with lab.case() as case:
            with pytest.raises(Killed):
                case.run(SECOND_MORNING, kill_at=boundary)
            try:
                follows(case, wanted, twice=EVERY in os.environ)
            except AssertionError as error:
                error.add_note(f"killed before effect {boundary} of {len(effects)}, {effects[boundary]!r}")
                raise
