"""An admin who asks why: `explain` and `list` answer from what was pulled, without asking a CRM."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stagesync.sandbox.company.answers import Answer, read_answers
from stagesync.sandbox.server import Sandbox

from .deployment import Deployment, deployment
from .office import SalesforceOffice


@pytest.fixture(scope="module")
def audited(still: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that has audited the shared CRMs once."""
    made = deployment(tmp_path_factory.mktemp("explained"), still)
    assert made.run("audit", "--format", "json").code == 0
    yield made
    made.end()


def planted(sandbox: Sandbox, rule: str) -> Answer:
    return next(answer for answer in read_answers(sandbox.answers_path) if answer.rule == rule)


@pytest.mark.parametrize("rule", ["premature", "stalled", "placeholder.pain", "ready"])
def test_an_explanation_holds_the_finding_and_the_whole_ladder(audited: Deployment, still: Sandbox, rule: str) -> None:
    answer = planted(still, rule)
    done = audited.run("explain", answer.record, "--format", "json")
    assert done.code == 0, done.said
    [explained] = json.loads(done.out)
    assert (explained["connection"], explained["object"]) == (answer.crm, answer.object)
    assert rule in [finding["rule"] for finding in explained["findings"]]
    assert explained["stage"] == answer.stage
    if rule == "premature":
        assert explained["could_have_earned"] == answer.earned
    assert [step["stage"] for step in explained["ladder"]] == [
        "lead",
        "prospect",
        "opportunity",
        "proposal",
        "customer",
    ]
    assert [step["stage"] for step in explained["ladder"] if step["stands_here"]] == [answer.stage]
    criteria = [criterion for step in explained["ladder"] for criterion in step["criteria"]]
    assert len(criteria) == 11
    assert all(criterion["reason"] for criterion in criteria)
    known = [age for criterion in criteria for age in criterion["ages"]]
    assert "record last changed" in {age["what"] for age in known}
    assert all(datetime.fromisoformat(age["at"]) <= datetime.now(UTC) for age in known if "newest" not in age["what"])


def test_people_read_what_would_make_it_right(audited: Deployment, still: Sandbox) -> None:
    answer = planted(still, "premature")
    done = audited.run("explain", answer.record)
    assert done.code == 0, done.said
    assert "to mend it:" in done.out
    assert "as of: record last changed 20" in done.out
    assert "<- stands here" in done.out
    assert "Finding: premature" in done.out


def test_people_read_what_no_finding_means(audited: Deployment, still: Sandbox) -> None:
    """For a record of each kind of place that has no finding; which is which is read from the explanations as data."""
    faulty = {answer.record for answer in read_answers(still.answers_path) if not answer.fine}
    rows = SalesforceOffice(still).rows()["Opportunity"]
    said: dict[str, set[str]] = {}
    for native in sorted({row["StageName"] for row in rows.values()}):
        for record in [one for one in rows if rows[one]["StageName"] == native and one not in faulty][:1]:
            [explained] = json.loads(audited.run("explain", record, "--format", "json").out)
            assert (explained["findings"], explained["waived"]) == ([], [])
            [last] = audited.run("explain", record).out.splitlines()[-1:]
            here = [step for step in explained["ladder"] if step["stands_here"]]
            place = "parked" if not here else "settled" if here[0]["terminal"] else "earned"
            if place == "earned":
                assert explained["earned"] == explained["stage"]
            said.setdefault(place, set()).add(last.replace(explained["stage"], "…"))
    assert said == {
        "earned": {"No finding: the record stands where it has earned."},
        "settled": {"No finding: on '…' the record is settled, and its evidence is not asked any more."},
        "parked": {"No finding: '…' is no stage of the ladder, and only contradictions are looked for there."},
    }


def test_who_moved_a_record_has_a_name(audited: Deployment, still: Sandbox) -> None:
    names = {row["Id"]: row["Name"] for row in SalesforceOffice(still).rows()["User"].values()}
    moved = next(
        row for row in SalesforceOffice(still).rows()["OpportunityHistory"].values() if row["CreatedById"] in names
    )
    [explained] = json.loads(audited.run("explain", moved["OpportunityId"], "--format", "json").out)
    assert names[moved["CreatedById"]] in [past["by"] for past in explained["history"]]
    assert not [past["by"] for past in explained["history"] if past["by"] in names]


def test_a_record_is_found_by_its_name(audited: Deployment, still: Sandbox) -> None:
    answer = planted(still, "premature")
    [by_id] = json.loads(audited.run("explain", answer.record, "--format", "json").out)
    by_name = json.loads(audited.run("explain", by_id["record_name"].upper(), "--format", "json").out)
    assert answer.record in [one["record"] for one in by_name]


def test_an_unknown_record_is_said_so(audited: Deployment) -> None:
    done = audited.run("explain", "Nobody")
    assert done.code == 2
    assert "no judged record has the id or the name 'Nobody'" in done.err
    assert "converted" in done.err


def test_nothing_pulled_yet_says_what_to_do(still: Sandbox, tmp_path: Path) -> None:
    fresh = deployment(tmp_path / "fresh", still)
    done = fresh.run("explain", "anything")
    assert done.code == 3
    assert f"run `stagesync audit -c {fresh.config}` first" in done.err


def test_who_has_earned_a_stage_is_listed_whatever_the_field_says(audited: Deployment, still: Sandbox) -> None:
    listed = json.loads(audited.run("list", "prospects", "--format", "json").out)
    earned = {(row["connection"], row["record"]) for row in listed}
    for answer in read_answers(still.answers_path):
        if answer.rule == "premature":
            assert ((answer.crm, answer.record) in earned) == (answer.earned == "prospect"), answer
    rows = list(csv.DictReader(io.StringIO(audited.run("list", "prospect", "--format", "csv").out)))
    assert len(rows) == len(listed)
    shown = audited.run("list", "prospects", "--limit", "1")
    assert f"{len(listed) - 1:,} more records are not shown" in shown.out


def test_a_stage_that_is_not_there_is_named_with_the_nearest(audited: Deployment) -> None:
    done = audited.run("list", "prospct")
    assert done.code == 2
    assert "did you mean 'prospect'?" in done.err
