"""What a change of definitions does, reckoned by hand."""

from __future__ import annotations

import copy
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from stagesync.audit.impact import Hindsight, compared, hindsight
from stagesync.errors import ConfigurationError
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import SAYS_NOTHING, load_mapping
from tests.unit.small_world import DEFINITION, MAPPING, Deal, judged, lost, won


def with_checks(**checks: str) -> dict[str, Any]:
    words: dict[str, Any] = copy.deepcopy(DEFINITION)
    for stage, check in checks.items():
        words["stages"][stage]["requires"][0]["check"] = check
    return words


STRICTER = with_checks(offer="people >= 5", proposal="budget = true or people >= 5")


def test_findings_gained_lost_and_unchanged(tmp_path: Path) -> None:
    deals = [
        Deal("small", "O1", 100.0, people=2),
        Deal("large", "P", 200.0, people=9, step=None),
        Deal("both", "P", 300.0, people=2, step=None),
        Deal("fine", "O1", 400.0, people=9),
    ]
    old, new = judged(tmp_path, deals)[0], judged(tmp_path, deals, definition=STRICTER)[0]
    rows = compared([old], [new]).filter(rule="premature")
    assert rows.select("change", "record", "amount").rows() == [
        ("unchanged", "both", 300.0),
        ("lost", "large", 200.0),
        ("gained", "small", 100.0),
    ]
    assert rows.columns[-1] == "change"


def test_the_same_definitions_change_nothing(tmp_path: Path) -> None:
    deals = [Deal("a", "P", 1.0, step=None), Deal("b", "O1", None, people=None)]
    old, new = judged(tmp_path, deals)[0], judged(tmp_path, deals)[0]
    assert set(compared([old], [new])["change"]) == {"unchanged"}


def test_closed_deals_in_hindsight(tmp_path: Path) -> None:
    deals = [
        *won(3, ["O1", "P"]),
        Deal("lucky", "Won", won=True, closed=True, budget=False, past=["O1", "P", "Won"]),
        *lost(2, ["O1", "P"], budget=False),
        Deal("early", "Lost", closed=True, budget=False, past=["P", "O1", "Lost"]),
        Deal("unknown", "Lost", closed=True, past=["P", "Lost"], unreadable=frozenset({"budget"})),
        Deal("imported", "Lost", closed=True, past=["Lost"]),
        Deal("nowhere", "Lost", closed=True),
        Deal("open", "P", budget=False, past=["O1", "P"]),
    ]
    found = hindsight(*judged(tmp_path, deals))
    # lucky stood on a proposal without a budget; early had gone back to an offer; an unknown demotes nobody.
    assert found == Hindsight(
        connection="crm", object="Deal", won=4, won_demoted=1, lost=4, lost_demoted=2, without_past=2
    )


def test_of_two_stages_at_one_moment_the_lower_one_counts(tmp_path: Path) -> None:
    judgement, past = judged(tmp_path, [Deal("x", "Lost", closed=True, budget=False, past=["P", "O1"])])
    assert past is not None
    assert hindsight(judgement, past.with_columns(at=past["at"].min())).lost_demoted == 0


def test_without_outcomes_or_history_it_says_why(tmp_path: Path) -> None:
    judgement, past = judged(tmp_path, won(1, ["O1"]))
    assert hindsight(judgement, None).reason == "the stage history was not read"
    mapping: dict[str, Any] = copy.deepcopy(MAPPING)
    mapping["objects"]["Deal"]["evidence"]["won"] = {"gap": "not kept"}
    judgement, past = judged(tmp_path, won(1, ["O1"]), mapping=mapping)
    assert astuple(hindsight(judgement, past))[2:] == (0, 0, 0, 0, 0, "won is unknown: not kept")


def test_evidence_that_the_mapping_does_not_have_is_unknown_and_demotes_nobody(tmp_path: Path) -> None:
    words = with_checks(offer="champion = true")
    words["evidence"]["champion"] = {"type": "boolean"}
    del words["evidence"]["step"]
    judgement, _ = judged(tmp_path, [Deal("x", "P")], definition=words)
    assert judgement.evidence.unknown == {"champion": SAYS_NOTHING}
    assert judgement.findings.is_empty()
    definition = load_definition(tmp_path / "definition.yaml")
    with pytest.raises(ConfigurationError) as said:
        load_mapping(tmp_path / "mapping.yaml", definition)
    assert "Deal says nothing about champion" in str(said.value)
    assert "unknown evidence 'step'" in str(said.value)
