"""What a native stage means may depend on the record's pipeline or record type; "*" is all that are not named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stagesync.agent.pull import check_stages
from stagesync.audit.evidence import Tables
from stagesync.audit.forecast import forecast
from stagesync.audit.outcomes import outcomes, stood
from stagesync.errors import ConfigurationError
from stagesync.model.changes import ChangeKind
from stagesync.model.crm import NativeStage
from stagesync.planning.planner import plan
from stagesync.planning.situation import Situation
from stagesync.policy.definitions import load_definition
from stagesync.policy.durations import Duration, Unit
from stagesync.policy.mappings import load_mapping
from tests.unit.small_world import DEFINITION, MAPPING, NOW, Deal, judged, tables

STAGES: Mapping[str, Mapping[str, str]] = {
    "*": {"Talk": "offer", "Quote": "proposal", "Won": "customer", "Lost": "lost"},
    "renewal": {"Quote": "offer", "Signed": "proposal"},
    "": {"Talk": "lead"},
}
DEALS = {
    "a": ("new business", "Quote"),
    "b": ("renewal", "Quote"),
    "c": (None, "Talk"),
    "d": (None, "Quote"),
    "e": ("renewal", "Talk"),
    "f": ("new business", "Signed"),
    "g": ("renewal", "Signed"),
}


def words(by: str, stages: Mapping[str, Any] = STAGES, **more: Any) -> dict[str, Any]:
    mapping: dict[str, Any] = json.loads(json.dumps(MAPPING))
    mapping["objects"]["Deal"]["stage"] |= {by: "Kind", "stages": stages, **more}
    return mapping


def read(deals: Mapping[str, tuple[str | None, str]] = DEALS, **facts: Any) -> Tables:
    made = tables([Deal(name, stage, **facts) for name, (_, stage) in deals.items()])
    kinds = pl.Series("Kind", [kind for kind, _ in deals.values()], dtype=pl.String)
    return replace(made, rows={**made.rows, "Deal": made.rows["Deal"].with_columns(kinds)})


@pytest.mark.parametrize("by", ["pipeline", "record_type"])
def test_a_named_one_wins_stage_by_stage_and_the_others_fall_back(tmp_path: Path, by: str) -> None:
    found, _ = judged(tmp_path, [], mapping=words(by), read=read())
    standing = {row["record"]: (row["place"], row["pipeline"]) for row in found.records.iter_rows(named=True)}
    assert standing == {
        "a": ("proposal", "new business"),
        "b": ("offer", "renewal"),
        "c": ("lead", None),
        "d": ("proposal", None),
        "e": ("offer", "renewal"),
        "g": ("proposal", "renewal"),
    }
    assert found.scope.skipped == {"the mapping does not know the stage 'new business / Signed'": 1}


@pytest.mark.parametrize("by", ["pipeline", "record_type"])
def test_a_pipeline_is_written_with_its_stage_and_a_record_type_never(tmp_path: Path, by: str) -> None:
    definition = {**DEFINITION, "rules": {"premature": {"mode": "enforce"}}}
    found, _ = judged(tmp_path, [], definition, words(by), read({**DEALS, "h": ("renewal", "Lost")}, budget=False))
    made = plan([found], Situation(connection="crm", now=NOW, today=NOW.date(), task_due=Duration(2, Unit.DAYS)))
    written = {one.record: (one.before, one.after) for one in made.changes if one.kind is ChangeKind.SET_STAGE}
    kind = {"a": {"Kind": "new business"}, "d": {}, "g": {"Kind": "renewal"}}
    beside = kind if by == "pipeline" else {record: {} for record in kind}
    assert written == {
        "a": ({"Stage": "Quote"} | beside["a"], {"Stage": "Talk"} | beside["a"]),
        # The blank one has a stage of its own for a lead, which is below; the rung that is earned has none there.
        "d": ({"Stage": "Quote"}, {"Stage": "Talk"}),
        "g": ({"Stage": "Signed"} | beside["g"], {"Stage": "Quote"} | beside["g"]),
    }
    assert {one.pipeline for one in found.each() if one.record == "d"} == {None}


@pytest.mark.parametrize("by", ["pipeline", "record_type"])
def test_a_record_is_moved_only_to_stages_of_its_own_record_type(tmp_path: Path, by: str) -> None:
    definition = {**DEFINITION, "rules": {"premature": {"mode": "enforce"}}}
    stages = {**STAGES, "renewal": {"Quote": "proposal", "Signed": "proposal"}}
    found, _ = judged(tmp_path, [], definition, words(by, stages), read(budget=False))
    made = plan([found], Situation(connection="crm", now=NOW, today=NOW.date(), task_due=Duration(2, Unit.DAYS)))
    moved = {one.record for one in made.changes if one.kind is ChangeKind.SET_STAGE}
    assert not moved & {"b", "e", "g"}, "a renewal is never in 'Talk'"
    left = {one.record for one in made.left_out if "no earlier stage in this pipeline" in one.reason}
    assert {"b", "g"} <= left


def test_past_stages_are_looked_up_as_present_ones(tmp_path: Path) -> None:
    deals = {"a": ("new business", "Won"), "b": ("renewal", "Won"), "c": (None, "Won")}
    facts = {"won": True, "closed": True, "past": ("Talk", "Quote", "Won")}
    found, past = judged(tmp_path, [], mapping=words("record_type"), read=read(deals, **facts))
    assert past is not None
    steps = stood(found, past, outcomes(found).won)
    by_record: dict[str, list[str]] = {record: [] for record in deals}
    for row in steps.sort("at").iter_rows(named=True):
        by_record[found.records["record"][row["row"]]].append(found.definition.rungs[row["position"]].name)
    assert by_record == {"a": ["offer", "proposal"], "b": ["offer", "offer"], "c": ["lead", "proposal"]}
    told = forecast(found, past)
    assert told is not None
    assert {rate.stage: (rate.won, rate.closed) for rate in told.rates} == {
        "lead": (1, 1),
        "offer": (2, 2),
        "proposal": (2, 2),
    }


def test_without_a_fallback_only_named_ones_are_known(tmp_path: Path) -> None:
    found, _ = judged(tmp_path, [], mapping=words("record_type", {"renewal": STAGES["renewal"]}), read=read())
    assert sorted(found.records["record"]) == ["b", "g"]
    assert found.scope.skipped["the mapping does not know the stage '(none) / Talk'"] == 1


def test_a_record_type_that_cannot_be_read_judges_nothing_and_says_so(tmp_path: Path) -> None:
    made = read()
    without = replace(
        made,
        rows={**made.rows, "Deal": made.rows["Deal"].drop("Kind")},
        missing={"Deal": {"Kind": "Deal has no field RecordTypeId, or this user may not read it"}},
    )
    found, _ = judged(tmp_path, [], mapping=words("record_type"), read=without)
    assert found.unread == "Deal.Kind: Deal has no field RecordTypeId, or this user may not read it"
    assert found.records.height == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (words("pipeline", record_type="Type"), "not on both; keep 'pipeline' where the CRM has pipelines"),
        (words("pipeline") | {}, None),
        (words("record_type", {"Talk": "offer"}), "a mapping of stages for each record type is expected here"),
        (words("pipeline", {"Talk": "offer"}), "a mapping of stages for each pipeline is expected here"),
        (words("entered"), "name the field with 'pipeline' or 'record_type' first"),
        (words("record_type", {"*": {"Talk": "ofer"}}), "'ofer' is neither a stage nor a parking place"),
        (words("pipeline", pipeline="RecordType.DeveloperName"), "cannot be written; use 'record_type' for it"),
        (words("record_type", record_type="RecordType.DeveloperName"), None),
    ],
)
def test_what_cannot_be_meant_is_said_with_the_remedy(
    tmp_path: Path, changed: Mapping[str, Any], said: str | None
) -> None:
    (tmp_path / "d.yaml").write_text(json.dumps(DEFINITION), encoding="utf-8")
    (tmp_path / "m.yaml").write_text(json.dumps(changed), encoding="utf-8")
    definition = load_definition(tmp_path / "d.yaml")
    if said is None:
        (mapped,) = load_mapping(tmp_path / "m.yaml", definition).objects
        assert mapped.group_field in mapped.table.columns
        return
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(tmp_path / "m.yaml", definition)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("by", "known", "said"),
    [
        # Salesforce lists the values of the field, whatever record type has them.
        ("record_type", {None: ["Talk", "Quote", "Won", "Lost", "Signed"]}, []),
        ("record_type", {None: ["Talk", "Won", "Lost", "Signd"]}, ["no stage 'Quote'", "did you mean 'Signd'?"]),
        ("pipeline", {"renewal": ["Quote", "Signed"], "x": ["Talk", "Won"], "y": ["Lost"]}, []),
        ("pipeline", {"x": ["Talk", "Quote", "Won", "Lost"]}, ["has no pipeline 'renewal'"]),
        ("pipeline", {"renewal": ["Quote"], "x": ["Talk", "Won", "Lost"]}, ["no stage 'Signed'; it has Quote"]),
    ],
)
def test_stages_are_looked_for_in_the_crm(
    tmp_path: Path, by: str, known: Mapping[str | None, list[str]], said: list[str]
) -> None:
    (tmp_path / "d.yaml").write_text(json.dumps(DEFINITION), encoding="utf-8")
    (tmp_path / "m.yaml").write_text(json.dumps(words(by)), encoding="utf-8")
    mapping = load_mapping(tmp_path / "m.yaml", load_definition(tmp_path / "d.yaml"))
    stages = [
        NativeStage(pipeline=pipeline, value=value, label=value, position=n, active=True)
        for pipeline, values in known.items()
        for n, value in enumerate(values)
    ]
    if not said:
        check_stages(mapping, {"Deal": stages})
        return
    with pytest.raises(ConfigurationError) as caught:
        check_stages(mapping, {"Deal": stages})
    for words_ in said:
        assert words_ in str(caught.value)
