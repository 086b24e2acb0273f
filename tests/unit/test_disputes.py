"""Corrections that came back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stagesync.model.crm import Owner
from stagesync.planning.disputes import Correction, dispute, writer

START = datetime(2026, 3, 2, tzinfo=UTC)


def made(*stages: str, reverted: int | None = None) -> list[Correction]:
    return [
        Correction(before=stage, at=START + timedelta(days=n), reverted="reverted by Ana" if n == reverted else None)
        for n, stage in enumerate(stages)
    ]


@pytest.mark.parametrize(
    ("past", "native", "tries", "over"),
    [
        (made(), "Offer", None, False),
        (made("Contract"), "Offer", None, False),
        (made("Offer"), "Offer", 1, False),
        (made("Offer", "Contract"), "Offer", 1, False),
        (made("Offer", "Offer"), "Offer", 2, True),
        (made("Offer", "Contract", "Offer"), "Offer", 2, True),
        (made("Offer", reverted=0), "Offer", 1, True),
        # What was reverted once and corrected later by an approved plan counts as tried.
        (made("Offer", "Offer", reverted=0), "Offer", 2, True),
        (made(""), "", 1, False),
    ],
)
def test_who_is_left_alone(past: list[Correction], native: str, tries: int | None, over: bool) -> None:
    found = dispute(past, native)
    assert (found.tries if found else None) == tries
    assert bool(found and found.over) == over
    if found is not None:
        assert found.last == max(one.at for one in past if one.before == native)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("0051", "Ana Lima (0051)"),
        ("0052", "0052"),
        ("CRM_UI:userId:7", "a person (CRM_UI:userId:7)"),
        ("AUTOMATION_PLATFORM:enrollmentId:1", "a workflow (AUTOMATION_PLATFORM:enrollmentId:1)"),
        ("IMPORT", "an import (IMPORT)"),
        ("INTEGRATION:2311", "an integration (INTEGRATION:2311)"),
        ("SOMETHING_NEW:1", "SOMETHING_NEW:1"),
        (None, "somebody whom the stage history does not name"),
    ],
)
def test_who_wrote_it_in_words(by: str | None, words: str) -> None:
    assert writer(by, {"0051": Owner(id="0051", name="Ana Lima", email=None, active=True)}) == words
