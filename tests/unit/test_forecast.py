"""Face value and earned value, reckoned by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagesync.audit.evidence import Tables
from stagesync.audit.forecast import ENOUGH_CLOSED, Forecast, forecast
from tests.unit.small_world import DEFINITION, MAPPING, Deal, judged, lost, tables, won

CLOSED = [
    *won(10, ["O1", "O2", "P"]),
    *lost(20, ["O1", "P"]),
    *[Deal(f"early{n}", "Lost", closed=True, past=["O2", "Lost"]) for n in range(10)],
]
"""Offer: 10 won of 40, so 1/4. Proposal: 10 won of 30, so 1/3."""

OPEN = [
    Deal("sure", "P", 300.0),
    Deal("open budget", "P", 600.0, owner="bob", unreadable=frozenset({"budget"})),
    Deal("no step", "O2", 400.0, step=None),
    Deal("nobody knows who", "O1", 1000.0, owner=None, unreadable=frozenset({"people"})),
    Deal("no amount", "O1", None),
]


def made(folder: Path, deals: list[Deal], **words: Any) -> Forecast:
    found = forecast(*judged(folder, deals, **words))
    assert found is not None
    return found


def changed(words: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    copied: dict[str, Any] = copy.deepcopy(words)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return copied


def test_the_rates_come_from_closed_records_that_once_stood_there(tmp_path: Path) -> None:
    rates = {rate.stage: (rate.won, rate.closed, rate.rate) for rate in made(tmp_path, [*CLOSED, *OPEN]).rates}
    assert rates == {"offer": (10, 40, 0.25), "proposal": (10, 30, pytest.approx(1 / 3))}


def test_face_weighted_and_earned_value(tmp_path: Path) -> None:
    found = made(tmp_path, [*CLOSED, *OPEN])
    total = found.total
    assert (total.records, total.without_amount, total.face) == (5, 1, 2300.0)
    assert total.weighted == pytest.approx(100 + 200 + 100 + 250)
    # sure: 1/3 of 300. open budget: an offer or a proposal. no step: nothing. nobody knows who: nothing or a proposal.
    assert total.earned_low == pytest.approx(100 + 150 + 0 + 0)
    assert total.earned_high == pytest.approx(100 + 200 + 0 + 1000 / 3)


def test_by_stage_and_owner(tmp_path: Path) -> None:
    found = made(tmp_path, [*CLOSED, *OPEN])
    assert list(found.by_stage) == ["offer", "proposal"]
    offer = found.by_stage["offer"]
    assert (offer.records, offer.face, offer.earned_low) == (3, 1400.0, 0.0)
    assert offer.weighted == pytest.approx(350)
    assert offer.earned_high == pytest.approx(1000 / 3)
    owners = {owned.owner: (owned.value.records, owned.value.face, owned.value.earned_low) for owned in found.by_owner}
    assert owners == {None: (1, 1000.0, 0.0), "ann": (3, 700.0, pytest.approx(100)), "bob": (1, 600.0, 150.0)}
    assert [owned.owner for owned in found.by_owner] == [None, "ann", "bob"]


def test_what_surely_earned_no_stage_of_the_pipeline_is_named(tmp_path: Path) -> None:
    unearned = made(tmp_path, [*CLOSED, *OPEN]).unearned
    assert (unearned.records, unearned.face, unearned.earned_high) == (1, 400.0, 0.0)


def test_one_closed_deal_too_few_gives_no_rate_and_no_half_sums(tmp_path: Path) -> None:
    found = made(tmp_path, [*CLOSED[1:], *OPEN])
    offer, proposal = found.rates
    assert offer.rate == pytest.approx(9 / 39)
    assert (proposal.closed, proposal.rate) == (ENOUGH_CLOSED - 1, None)
    assert proposal.reason == "29 closed records once stood here; a win rate needs 30"
    assert found.by_stage["offer"].weighted == pytest.approx(1400 * 9 / 39)
    assert found.by_stage["proposal"].weighted is None
    assert (found.total.weighted, found.total.earned_low, found.total.earned_high) == (None, None, None)
    assert found.unearned.earned_low == 0.0


def test_a_later_stage_that_wins_less_turns_no_bound_around(tmp_path: Path) -> None:
    early = [Deal(f"v{n}", "Won", won=True, closed=True, past=["O1", "Won"]) for n in range(30)]
    deals = [*won(10, ["O1", "P"]), *lost(20, ["O1", "P"]), *early]
    found = made(tmp_path, [*deals, Deal("x", "P", 600.0, unreadable=frozenset({"budget"}))])
    assert found.total.earned_low == pytest.approx(200)
    assert found.total.earned_high == pytest.approx(400)
    owed = made(tmp_path, [*deals, Deal("x", "P", -600.0, unreadable=frozenset({"budget"}))])
    assert owed.total.earned_low == pytest.approx(-400)
    assert owed.total.earned_high == pytest.approx(-200)


def test_an_open_record_that_earned_a_terminal_stage_counts_as_the_stage_below(tmp_path: Path) -> None:
    found = made(tmp_path, [*CLOSED, Deal("sold", "O1", 300.0, won=True)])
    assert found.total.earned_low == pytest.approx(100)


@pytest.mark.parametrize("item", ["won", "closed"])
def test_without_outcomes_there_is_no_rate(tmp_path: Path, item: str) -> None:
    gap = changed(MAPPING, "objects", "Deal", "evidence", item, to={"gap": "not kept"})
    assert {rate.reason for rate in made(tmp_path, CLOSED, mapping=gap).rates} == {f"{item} is unknown: not kept"}
    text = changed(DEFINITION, "evidence", item, to={"type": "text"})
    text = changed(text, "stages", "customer", "requires", to=[])
    reason = f"the definitions have no Boolean evidence '{item}'"
    assert {rate.reason for rate in made(tmp_path, CLOSED, definition=text).rates} == {reason}


def test_an_outcome_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    doubtful = Deal("z", "Won", won=True, closed=True, past=["O1"], unreadable=frozenset({"closed"}))
    assert made(tmp_path, [*CLOSED, doubtful]).rates[0].closed == 40


def test_without_a_history_there_is_no_rate(tmp_path: Path) -> None:
    unread = Tables(rows={"Deal": tables(CLOSED).rows["Deal"]})
    assert {rate.reason for rate in made(tmp_path, CLOSED, read=unread).rates} == {"the stage history was not read"}
    without = copy.deepcopy(MAPPING)
    del without["objects"]["Deal"]["stage"]["history"]
    reason = "the mapping names no stage history"
    assert {rate.reason for rate in made(tmp_path, CLOSED, mapping=without).rates} == {reason}


def test_an_object_without_amounts_has_no_forecast(tmp_path: Path) -> None:
    without = copy.deepcopy(MAPPING)
    del without["objects"]["Deal"]["amount"]
    assert forecast(*judged(tmp_path, OPEN, mapping=without)) is None


def test_no_record_and_no_open_stage_are_no_trouble(tmp_path: Path) -> None:
    assert made(tmp_path, []).total.records == 0
    settled = changed(MAPPING, "objects", "Deal", "stage", "stages", to={"Won": "customer", "Lost": "lost"})
    found = made(tmp_path, CLOSED, mapping=settled)
    assert (found.rates, found.total.records) == ((), 0)


def test_a_sum_that_overflows_is_none(tmp_path: Path) -> None:
    absurd = [Deal(f"x{n}", "P", 1.7e308) for n in range(2)]
    assert made(tmp_path, [*CLOSED, *absurd]).total.face is None


def test_past_stages_of_another_pipeline_count_where_pipelines_agree(tmp_path: Path) -> None:
    stage = {
        "field": "Stage",
        "pipeline": "Line",
        "stages": {
            "new": {"A": "offer", "B": "proposal", "Lost": "lost"},
            "old": {"A": "offer", "B": "offer", "C": "proposal", "Lost": "lost"},
        },
        "history": MAPPING["objects"]["Deal"]["stage"]["history"],
    }
    mapping = changed(MAPPING, "objects", "Deal", "stage", to=stage)
    deals = [Deal("n", "Lost", closed=True, past=["A", "B", "C"]), Deal("m", "Lost", closed=True, past=["B"])]
    read = tables(deals)
    rows = read.rows["Deal"].with_columns(Line=pl.Series(["new", None]))
    found = made(tmp_path, deals, mapping=mapping, read=Tables(rows={**read.rows, "Deal": rows}))
    # n: A is an offer, B is a proposal in its own pipeline, C of the other one is a proposal. m was not judged.
    assert {rate.stage: rate.closed for rate in found.rates} == {"offer": 1, "proposal": 1}
