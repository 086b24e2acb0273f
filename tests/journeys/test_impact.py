"""An admin who wants to change a definition asks first what that would do; and reads what the pipeline is worth."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stagesync.sandbox.server import Sandbox
from stagesync.settings import shipped_configuration

from .deployment import Deployment, deployment

OLD = shipped_configuration() / "definitions" / "recommended.yaml"


@pytest.fixture(scope="module")
def audited(still: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, dict[str, Any]]]:
    """A deployment that has audited the shared CRMs once, and its report."""
    made = deployment(tmp_path_factory.mktemp("impact"), still)
    done = made.run("audit", "--format", "json")
    assert done.code == 0, done.said
    yield made, json.loads(done.out)
    made.end()


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Proposals need no next step and nobody who decides any more but a champion, of whom the mappings say nothing."""
    text = OLD.read_text(encoding="utf-8")
    text = text.replace("  pain: {type: text,", "  champion: {type: boolean}\n  pain: {type: text,")
    text = text.replace("check: stated(next_step)", "check: champion = true")
    text = text.replace("check: decision_makers >= 1", "check: champion = true")
    text = text.replace("employees between 20 and 5000", "employees between 60 and 5000")
    assert text.count("champion") == 3
    (tmp_path / "new.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "new.yaml"


def test_what_a_change_would_flag_agrees_with_the_audit(audited: tuple[Deployment, dict[str, Any]], new: Path) -> None:
    deployed, report = audited
    done = deployed.run("impact", str(OLD), str(new), "--format", "json")
    assert done.code == 0, done.said
    told = json.loads(done.out)
    today = Counter(finding["rule"] for finding in report["findings"])
    before = {rule["rule"]: rule["lost"]["findings"] + rule["unchanged"]["findings"] for rule in told["rules"]}
    assert {rule: count for rule, count in before.items() if count} == dict(today)
    changes = Counter((record["rule"], record["change"]) for record in told["records"])
    for rule in told["rules"]:
        for change in ("gained", "lost"):
            assert changes[rule["rule"], change] == rule[change]["findings"]
    assert changes["premature", "gained"]
    assert changes["premature", "lost"]
    assert changes["placeholder.next_step", "lost"], "nobody asks for a next step any more"
    assert told["unmapped"] == {"salesforce": ["champion"], "hubspot": ["champion"]}
    old, newer = ({(one["connection"], one["object"]): one for one in told["closed"][side]} for side in ("old", "new"))
    for place in (("salesforce", "Opportunity"), ("hubspot", "deals")):
        assert old[place]["won"] == newer[place]["won"] > 0
        assert old[place]["lost"] == newer[place]["lost"] > 0
    assert old["salesforce", "Lead"]["reason"] == "won is unknown: lives on the opportunity"
    assert "evidence of today" in told["closed"]["note"]


def test_people_and_spreadsheets_read_it_too(audited: tuple[Deployment, dict[str, Any]], new: Path) -> None:
    deployed, _ = audited
    done = deployed.run("impact", str(OLD), str(new), "--limit", "1")
    assert done.code == 0, done.said
    for said in ("says nothing about champion", "won, but demoted", "evidence of today", "more findings are not shown"):
        assert said in done.out
    rows = list(csv.DictReader(io.StringIO(deployed.run("impact", str(OLD), str(new), "--format", "csv").out)))
    assert {row["change"] for row in rows} == {"gained", "lost"}
    same = deployed.run("impact", str(OLD), str(OLD))
    assert "No finding is gained and none is lost." in same.out


def test_wrong_files_are_told(audited: tuple[Deployment, dict[str, Any]], tmp_path: Path) -> None:
    deployed, _ = audited
    assert deployed.run("impact", str(OLD), str(tmp_path / "none.yaml")).code == 2
    other = OLD.with_name("bant.yaml")
    done = deployed.run("impact", str(OLD), str(other))
    assert done.code == 2
    assert "this mapping is for 'recommended', but the definitions are 'bant'" in done.err
    assert deployed.run("impact", str(OLD), str(OLD), "--format", "markdown").code == 2
    assert deployed.run("impact", str(OLD), str(OLD), "--mapping", "x.yaml").code == 2


def test_nothing_pulled_yet_says_what_to_do(still: Sandbox, tmp_path: Path) -> None:
    fresh = deployment(tmp_path / "fresh", still)
    done = fresh.run("impact", str(OLD), str(OLD))
    assert done.code == 3
    assert f"run `stagesync audit -c {fresh.config}` first" in done.err


def test_the_pipeline_is_worth_what_it_has_earned(audited: tuple[Deployment, dict[str, Any]]) -> None:
    _, report = audited
    places = {(one["connection"], one["object"]): one for one in report["forecast"]}
    assert set(places) == {("salesforce", "Opportunity"), ("hubspot", "deals")}
    for one in places.values():
        assert [rate["stage"] for rate in one["win_rates"]] == ["opportunity", "proposal"]
        assert all((rate["rate"] is None) == (rate["closed"] < 30) for rate in one["win_rates"])
        assert one["total"]["records"] == sum(stage["records"] for stage in one["by_stage"])
        assert one["total"]["face"] == pytest.approx(sum(owner["face"] for owner in one["by_owner"]))
