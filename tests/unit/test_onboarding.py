"""What `stagesync init` writes reads back as it was meant, and stages are taken for what their names say."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagesync.connectors.salesforce.likeness import LEAD_STATUSES, OPEN_STAGES, like_stage, like_status
from stagesync.model.crm import NativeStage
from stagesync.onboarding.yaml_text import WIDTH, Block, Entry, Remark, text_of
from stagesync.policy.document import read_document

# What a picklist or a field may be called: anything that a person can paste.
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
simple = names | st.sampled_from(
    ["on", "No", "null", "1e5", "- x", "a: b", "x #y", "{a}", "'", '"', "*", "~", "yes", " "]
)
data = st.recursive(
    simple | st.booleans() | st.integers(-(10**12), 10**12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(simple, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def blocks(draw: st.DrawFn, depth: int = 2) -> Block:
    entries: list[Entry | Remark] = []
    for key in draw(st.lists(simple, min_size=1, max_size=4, unique=True)):
        if draw(st.booleans()):
            entries.append(Remark(draw(names)))
        nested = depth > 0 and draw(st.booleans())
        value: Any = draw(blocks(depth - 1)) if nested else draw(data)
        entries.append(Entry(key, value, draw(st.just("") | names)))
    return Block(entries)


@given(blocks())
def test_what_is_written_reads_back(block: Block) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "written.yaml"
        file.write_text(text_of(block), encoding="utf-8", newline="")
        document = read_document(file)
        document.raise_problems()
        assert document.data == block.data()


def test_long_lines_are_filled() -> None:
    columns = {f"Column_{number}__c": "datetime" for number in range(20)}
    text = text_of(Block([Entry("tables", Block([Entry("Task", columns), Entry("x", [columns, "y"])]))]))
    assert max(map(len, text.splitlines())) <= WIDTH + 2
    assert len(text.splitlines()) > 6


def stage(name: str, **more: Any) -> NativeStage:
    return NativeStage(pipeline=None, value=more.pop("value", name), label=name, position=0, **more)


@pytest.mark.parametrize("name", OPEN_STAGES)
def test_standard_stages_are_sure(name: str) -> None:
    found = like_stage(stage(name, probability=99))
    assert found is not None
    assert (found.value, found.sure) == (name, True)


@pytest.mark.parametrize(
    ("native", "meant", "sure"),
    [
        (stage("Gewonnen", closed=True, won=True), "Closed Won", True),
        (stage("Negotiation/Review", closed=True), "Closed Lost", True),
        (stage("Renamed", value="Prospecting"), "Prospecting", True),
        (stage("Contract sent", probability=10), "Negotiation/Review", False),
        (stage("Angebot raus"), "Proposal/Price Quote", False),
        (stage("Discovery call"), "Needs Analysis", False),
        (stage("Zebra", probability=74.9), "Perception Analysis", False),
        (stage("Zebra", probability=0), "Prospecting", False),
    ],
)
def test_other_stages_are_taken_for_one_of_them(native: NativeStage, meant: str, sure: bool) -> None:
    found = like_stage(native)
    assert found is not None
    assert (found.value, found.sure) == (meant, sure)


def test_nothing_is_guessed_from_nothing() -> None:
    assert like_stage(stage("Zebra")) is None
    assert like_status(stage("Zebra")) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("New", "Open - Not Contacted"),
        ("Not contacted yet", "Open - Not Contacted"),
        ("Unqualified", "Closed - Not Converted"),
        ("Not Qualified", "Closed - Not Converted"),
        ("SQL", "Qualified"),
        ("Attempted to contact", "Working - Contacted"),
        ("Recycled", "Nurturing"),
    ],
)
def test_statuses_are_taken_for_a_standard_one(name: str, meant: str) -> None:
    found = like_status(stage(name))
    assert found is not None
    assert (found.value, found.sure) == (meant, False)
    assert found.value in LEAD_STATUSES


def test_what_converts_is_converted_whatever_it_is_called() -> None:
    found = like_status(stage("New", closed=True))
    assert found is not None
    assert (found.value, found.sure) == ("Closed - Converted", True)
