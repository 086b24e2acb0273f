"""``--full``: a mirror that is wrong, for whatever reason, is right again after one full reading."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from stagesync.mirror import Mirror
from stagesync.sandbox.server import Sandbox

from .conftest import Deploy
from .deployment import Deployment


def spoil(mirror: Path) -> None:
    """Deals as a fault would leave them: one is gone, one is there that never was, and all say too much."""
    home = mirror / "salesforce"
    folder = home / (home / "CURRENT").read_text(encoding="utf-8")
    (file,) = folder.glob("Opportunity.*.parquet")
    deals = pl.read_parquet(file)
    never = deals.head(1).with_columns(Id=pl.lit("006000000000000ZZZ"))
    wrong = deals.tail(-1).with_columns(Amount=pl.col("Amount").fill_null(0) + 1_000_000)
    pl.concat([wrong, never]).write_parquet(file)


def deals(agent: Deployment) -> pl.DataFrame:
    return Mirror(agent.folder / "mirror").read("salesforce")[0]["Opportunity"].sort("Id")


@pytest.mark.parametrize("bulk_above", [0, 10**9])
def test_a_full_reading_repairs_a_mirror(sandbox: Sandbox, deploy: Deploy, bulk_above: int) -> None:
    agent = deploy(sandbox)
    agent.words["pull"] = {"recheck_runs": 0, "bulk_above": bulk_above}
    agent.only("salesforce")
    first = agent.run("audit", "--format", "json")
    assert first.code == 0, first.said
    right, found = deals(agent), json.loads(first.out)["findings"]
    assert (sandbox.org.calls["POST /jobs/query"] > 0) == (bulk_above == 0)

    spoil(agent.folder / "mirror")
    assert agent.run("audit", "--format", "json").code == 0
    assert not deals(agent).equals(right), "what changed says nothing of records that did not change"

    repaired = agent.run("audit", "--full", "--format", "json")
    assert repaired.code == 0, repaired.said
    assert deals(agent).equals(right)
    assert [one["key"] for one in json.loads(repaired.out)["findings"]] == [one["key"] for one in found]
    assert sandbox.org.database.value("SELECT COUNT(*) FROM _job") == 0
