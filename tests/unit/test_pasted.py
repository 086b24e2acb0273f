"""A text that stands on many records says nothing on any of them: who is found, in which words, and who is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagesync.errors import ConfigurationError
from stagesync.model.findings import Finding
from stagesync.model.kinds import Kind
from stagesync.policy.definitions import load_definition
from tests.unit.small_world import DEFINITION, MAPPING, Deal, judged, written_as

TEXT = "Waiting for the customer to come back to us"
LENGTH = len(TEXT)


def deals(*steps: str | None, stage: str = "O1") -> list[Deal]:
    return [Deal(f"d{number}", stage, step=step, budget=False) for number, step in enumerate(steps)]


def found(folder: Path, crowd: list[Deal], **pasted: Any) -> dict[str, Finding]:
    """The placeholder findings by record."""
    words = DEFINITION | ({"pasted": pasted} if pasted else {})
    judgement, _ = judged(folder, crowd, definition=words)
    return {one.record: one for one in judgement.each() if one.kind is Kind.PLACEHOLDER}


def test_a_text_on_many_records_is_told_with_its_number(tmp_path: Path) -> None:
    records = deals(TEXT, f" {TEXT.upper()}\n", TEXT.replace(" ", " \t"), "Call Ann on Monday about the contract draft")
    known = found(tmp_path, records, records=3, length=LENGTH)
    assert sorted(known) == ["d0", "d1", "d2"]
    (evidence,) = known["d0"].evidence
    assert evidence.reason == f"step has the same text on 3 records: '{TEXT}'"
    judgement, _ = judged(tmp_path, records, definition=DEFINITION | {"pasted": {"records": 3, "length": LENGTH}})
    premature = [one.record for one in judgement.each() if one.kind is Kind.PREMATURE]
    assert premature == ["d0", "d1", "d2"], "the offer needs a stated step"


@pytest.mark.parametrize(
    "limits", [{}, {"records": 4, "length": LENGTH}, {"records": 3, "length": LENGTH + 1}], ids=str
)
def test_fewer_or_shorter_texts_say_what_they_say(tmp_path: Path, limits: dict[str, Any]) -> None:
    # Blanks around a text do not make it longer.
    assert found(tmp_path, deals(TEXT, TEXT, f"  {TEXT}  "), **limits) == {}


def test_closed_and_parked_records_count_and_are_not_found(tmp_path: Path) -> None:
    records = [*deals(TEXT), replace(deals(TEXT, stage="Lost")[0], id="l"), Deal("w", "Won", step=TEXT, won=True)]
    assert list(found(tmp_path, records, records=3, length=5)) == ["d0"]


def test_a_placeholder_on_many_records_is_a_placeholder(tmp_path: Path) -> None:
    words = DEFINITION | {"placeholders": ["to be determined"], "pasted": {"records": 2, "length": 5}}
    judgement, _ = judged(tmp_path, deals("To be determined", "To be determined"), definition=words)
    said = [one.evidence[0].reason for one in judgement.each() if one.kind is Kind.PLACEHOLDER]
    assert said == ["step is filled with 'To be determined', which says nothing"] * 2


def test_few_and_many_records_are_read_alike(tmp_path: Path) -> None:
    """Few records are judged by functions of one record, many in columns."""
    for crowd in (3, 400):
        others = [f"Call number {number} on Monday about the contract" for number in range(crowd)]
        assert sorted(found(tmp_path, deals(TEXT, TEXT, *others), records=2, length=20)) == ["d0", "d1"]


def test_a_long_text_is_cut_in_words(tmp_path: Path) -> None:
    known = found(tmp_path, deals("so " * 50 + "on", "so " * 50 + "on"), records=2, length=20)
    assert known["d0"].evidence[0].reason.endswith("so so s…'")
    assert len(known["d0"].evidence[0].reason) < 130


def test_only_the_chosen_items_are_looked_at_and_a_wrong_one_has_its_place(tmp_path: Path) -> None:
    assert sorted(found(tmp_path, deals(TEXT, TEXT), records=2, length=20, items=["step"])) == ["d0", "d1"]
    with pytest.raises(ConfigurationError, match=r"definition.yaml:1:\d+: 'people' is of type integer; only texts"):
        written_as(tmp_path, DEFINITION | {"pasted": {"records": 2, "length": 20, "items": ["people"]}}, MAPPING)
    with pytest.raises(ConfigurationError, match="2 is the least"):
        written_as(tmp_path, DEFINITION | {"pasted": {"records": 1, "length": 20}}, MAPPING)


def test_the_shipped_numbers_leave_usual_next_steps_alone() -> None:
    config = Path(__file__).parents[2] / "config"
    pasted = load_definition(config / "definitions" / "recommended.yaml").pasted
    assert pasted is not None
    usual = ["Send proposal", "Follow up next week", "Schedule a demo with the decision maker"]
    assert all(len(text) < pasted.length for text in usual)
    # E-mail addresses and reasons of a loss are rightly the same on many records.
    assert pasted.items == ["pain", "next_step"]
