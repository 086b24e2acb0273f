"""Euros are never added to dollars: sums within one currency stand, those over several are left out and said."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagesync.audit.evidence import Tables
from stagesync.audit.forecast import Forecast, forecast
from stagesync.cli import show
from tests.unit.small_world import MAPPING, Deal, judged, tables, won

DEALS = [
    *won(30, ["O1", "P"], amount=5.0),
    Deal("a", "O1", 100.0, owner="ann"),
    Deal("b", "O1", 50.0, owner="ann"),
    Deal("c", "P", 7.0, owner="bob", people=0),
    Deal("d", "P", None, owner="cat", people=0),
]


def found(folder: Path, currencies: dict[str, str | None], *, mapped: bool = True) -> tuple[Any, Forecast]:
    """The judgement and the forecast of the deals, with their currencies; the others are in euros."""
    read = tables(DEALS)
    column = pl.Series("CurrencyIsoCode", [currencies.get(deal.id, "EUR") for deal in DEALS], dtype=pl.String)
    rows = {**read.rows, "Deal": read.rows["Deal"].with_columns(column)}
    mapping = deepcopy(MAPPING)
    if mapped:
        mapping["objects"]["Deal"]["currency"] = "CurrencyIsoCode"
    judgement, past = judged(folder, DEALS, mapping=mapping, read=Tables(rows=rows))
    one = forecast(judgement, past)
    assert one is not None
    return judgement, one


def faces(one: Forecast) -> dict[str, float | None]:
    stages = {stage: value.face for stage, value in one.by_stage.items()}
    return stages | {str(owned.owner): owned.value.face for owned in one.by_owner} | {"all": one.total.face}


def test_one_currency_is_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judgement, one = found(tmp_path, {})
    assert faces(one) == {"offer": 150.0, "proposal": 7.0, "ann": 150.0, "bob": 7.0, "cat": 0.0, "all": 157.0}
    assert one.currencies == ("EUR",)
    assert one.total.weighted == 157.0
    show.by_kind_and_stage([judgement])
    assert "are not added" not in capsys.readouterr().out


def test_several_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judgement, one = found(tmp_path, {"c": "USD"})
    assert faces(one) == {"offer": 150.0, "proposal": 7.0, "ann": 150.0, "bob": 7.0, "cat": 0.0, "all": None}
    assert (one.total.weighted, one.total.earned_low, one.total.earned_high) == (None, None, None)
    assert one.currencies == ("EUR", "USD")
    show.by_kind_and_stage([judgement])
    show.forecasts([one], 40)
    said = capsys.readouterr().out
    assert "Deal: amounts are in EUR and USD, so they are not added." in said
    assert "Amounts are in EUR and USD; sums over several currencies are left out." in said
    assert "157" not in said


def test_a_blank_currency_is_none_of_the_others(tmp_path: Path) -> None:
    _, one = found(tmp_path, {"b": None, "d": "USD"})
    assert faces(one)["ann"] is None
    assert one.currencies == ("EUR", "no currency")  # d has no amount


def test_without_the_field_amounts_are_added_as_they_stand(tmp_path: Path) -> None:
    _, one = found(tmp_path, {"c": "USD"}, mapped=False)
    assert one.total.face == 157.0
    assert one.currencies == ()
