"""The funnel against counting by hand: the oracle's verdicts, one record after the other."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from stagesync.audit.evidence import Tables
from stagesync.audit.funnel import Funnel, funnels
from stagesync.cli import show
from tests.unit import oracle
from tests.unit.small_world import DEFINITION, Deal, judged, tables
from tests.unit.worlds import World, judgement, worlds


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("funnel")


@settings(max_examples=40)
@given(worlds())
def test_it_agrees_with_counting_by_hand(folder: Path, world: World) -> None:
    rungs = [rung.name for rung in world.rules.rungs]
    standing: Counter[str] = Counter()
    surely: Counter[int] = Counter()
    could: Counter[int] = Counter()
    for record in world.records:
        verdict = oracle.judged(record, world.known_to_oracle, world.read_by_oracle)
        if verdict is None:
            continue
        place = oracle.place_of(record, world.rules)
        assert place is not None
        standing[place] += 1
        if place in rungs:
            surely.update({verdict.low: 1} if verdict.low == verdict.high else {})
            could.update(range(verdict.low, verdict.high + 1))
    (found,) = funnels([judgement(world, folder)])
    assert [(rung.stage, rung.standing, rung.surely, rung.could) for rung in found.rungs] == [
        (name, standing[name], surely[n], could[n]) for n, name in enumerate(rungs)
    ]
    assert (found.surely_none, found.could_none, found.parked) == (
        surely[-1],
        could[-1],
        standing["aside"] + standing["gone"],
    )
    for number, rung in enumerate(found.rungs):
        if rung.inverted_earned is not None:
            below = rungs.index(rung.inverted_earned)
            assert below < number
            assert surely[number] > could[below]
            assert not rung.terminal


def deals(stage: str, count: int, **facts: Any) -> list[Deal]:
    return [Deal(f"{stage}{number}", stage, **facts) for number in range(count)]


def funnel(folder: Path, found: list[Deal], definition: dict[str, Any] = DEFINITION) -> Funnel:
    (one,) = funnels([judged(folder, found, definition)[0]])
    return one


def test_more_on_a_rung_than_below_it_is_inverted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = funnel(tmp_path, [*deals("O1", 2), *deals("P", 3, people=0), *deals("Won", 9, won=True)])
    assert {rung.stage: rung.inverted for rung in found.rungs} == {
        "lead": None,  # no stage is mapped to it, so nothing could stand there
        "offer": None,
        "proposal": "offer",
        "customer": None,  # terminal: it gathers records for ever
    }
    assert [rung.inverted_earned for rung in found.rungs] == [None, None, "offer", None]
    assert found.surely_none == 3
    show.inverted([found])
    said = capsys.readouterr().out
    assert said == (
        "Inverted funnel: crm has 3 records on 'proposal' and 2 on 'offer' below it; by evidence 2 and 0.\n"
    )


def test_as_many_as_below_is_not_inverted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = funnel(tmp_path, [*deals("O1", 3, budget=False), *deals("P", 3)])
    assert not any(rung.inverted or rung.inverted_earned for rung in found.rungs)
    show.inverted([found])
    assert capsys.readouterr().out == ""


def test_what_is_unknown_inverts_nothing(tmp_path: Path) -> None:
    unsure = [replace(deal, unreadable=frozenset({"budget"})) for deal in deals("O1", 2)]
    found = funnel(tmp_path, [*unsure, *deals("P", 2)])
    offer, proposal = found.rungs[1:3]
    assert (offer.surely, offer.could, proposal.surely, proposal.could) == (0, 2, 2, 4)
    assert proposal.inverted_earned is None
    assert funnel(tmp_path, [*unsure[:1], *deals("P", 2)]).rungs[2].inverted_earned == "offer"


def test_a_rung_that_asks_for_nothing_leaves_none_on_the_one_below(tmp_path: Path) -> None:
    definition = deepcopy(DEFINITION)
    del definition["stages"]["proposal"]["requires"]
    found = funnel(tmp_path, deals("O1", 2), definition)
    assert [rung.surely for rung in found.rungs] == [0, 0, 2, 0]
    assert found.rungs[2].inverted_earned is None


def test_an_object_that_was_not_read_inverts_nothing(tmp_path: Path) -> None:
    read = tables(deals("P", 2))
    unread, _ = judged(tmp_path, [], read=Tables(rows={}, missing={"Deal": {"Id": "no file"}}))
    whole, _ = judged(tmp_path, [], read=read)
    (found,) = funnels([unread])
    assert not any(rung.standing or rung.inverted for rung in found.rungs)
    (both,) = funnels([whole, whole])
    assert both.rungs[2].standing == 4
