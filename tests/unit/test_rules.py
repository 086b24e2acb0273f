"""What may be done about a finding, and who is let off: overrides, the day a rule starts, waivers, several ladders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from msgspec import structs

from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.explain import explain
from stagesync.audit.forecast import forecast
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.cli import show
from stagesync.model.findings import Verdict
from stagesync.model.kinds import Kind, Mode
from stagesync.model.waivers import Waiver
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)

DEFINITION: dict[str, Any] = {
    "definition": "two",
    "ladders": {"new": ["open", "offer", "sold"], "renewal": ["due", "talks"]},
    "parking": {"lost": "lost"},
    "evidence": {
        "pain": {"type": "text"},
        "budget": {"type": "boolean"},
        "amount": {"type": "number"},
        "won": {"type": "boolean"},
        "notice": {"type": "text"},
        "segment": {"type": "text"},
    },
    "stages": {
        "open": {"means": "m"},
        "offer": {
            "means": "m",
            "requires": [
                {"id": "pain", "check": "stated(pain)", "because": "b", "ask": "a"},
                {"id": "budget", "check": "budget", "because": "b", "ask": "a"},
            ],
        },
        "sold": {
            "means": "m",
            "terminal": True,
            "requires": [{"id": "won", "check": "won", "because": "b", "ask": "a"}],
        },
        "due": {"means": "m"},
        "talks": {
            "means": "m",
            "requires": [{"id": "notice", "check": "stated(notice)", "because": "b", "ask": "a"}],
        },
    },
    "contradictions": [{"id": "nothing", "check": "amount = 0", "because": "b", "ask": "a"}],
}

MAPPING: dict[str, Any] = {
    "mapping": "two",
    "definition": "two",
    "crm": "export",
    "objects": {
        "Deal": {
            "name": "Id",
            "owner": "Owner",
            "amount": "amount",
            "stage": {
                "field": "Stage",
                "pipeline": "Pipe",
                "entered": "Entered",
                "stages": {
                    "sales": {"Open": "open", "Offer": "offer", "Won": "sold", "Lost": "lost"},
                    "renewals": {"Due": "due", "Talks": "talks", "Lost": "lost"},
                },
            },
            "evidence": {item: {"field": item} for item in DEFINITION["evidence"]},
        }
    },
}

COLUMNS: dict[str, Any] = {
    "Id": pl.String,
    "Owner": pl.String,
    "Stage": pl.String,
    "Pipe": pl.String,
    "Entered": pl.Datetime("us", "UTC"),
    "pain": pl.String,
    "budget": pl.Boolean,
    "amount": pl.Float64,
    "won": pl.Boolean,
    "notice": pl.String,
    "segment": pl.String,
}


def deal(name: str, stage: str = "Offer", pipe: str = "sales", **more: object) -> dict[str, object]:
    return {
        "Id": name,
        "Stage": stage,
        "Pipe": pipe,
        "Owner": "ann",
        "Entered": datetime(2026, 2, 1, tzinfo=UTC),
    } | more


def judged(
    folder: Path,
    *deals: dict[str, object],
    rules: dict[str, Any] | None = None,
    waivers: list[dict[str, Any]] | None = None,
    granted: tuple[Waiver, ...] = (),
    gaps: tuple[str, ...] = (),
    now: datetime = NOW,
    zone: str = "UTC",
    more: Mapping[str, Any] | None = None,
) -> list[Judgement]:
    words, mapped = {**deepcopy(DEFINITION), **(more or {})}, deepcopy(MAPPING)
    words |= {"rules": rules or {}, "waivers": waivers or []}
    for item in gaps:
        mapped["objects"]["Deal"]["evidence"][item] = {"gap": "nobody knows"}
    for name, data in (("d.yaml", words), ("m.yaml", mapped)):
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    definition = load_definition(folder / "d.yaml")
    rows = pl.DataFrame([{name: one.get(name) for name in COLUMNS} for one in deals], schema=COLUMNS)
    return judge(
        connection="crm",
        definition=definition,
        mapping=load_mapping(folder / "m.yaml", definition),
        tables=Tables(rows={"Deal": rows}),
        owners=[],
        frame=Frame(now=now, time_zone=ZoneInfo(zone)),
        granted=granted,
    )


def found(judgements: list[Judgement]) -> dict[tuple[str, str], Mode]:
    return {(one.record, one.rule): one.mode for judgement in judgements for one in judgement.each()}


def waiver(**more: Any) -> Waiver:
    facts: dict[str, Any] = {"id": "w", "rule": "premature", "reason": "strategic", "by": "ada"}
    return Waiver(**(facts | {"until": date(2026, 12, 31)} | more))


# Modes --------------------------------------------------------------------------------------------------------------


def test_the_first_override_that_holds_decides(tmp_path: Path) -> None:
    rules = {
        "premature": {
            "mode": "suggest",
            "overrides": [
                {"when": "pipeline = 'renewals'", "mode": "audit"},
                {"when": "amount < 1000 and owner in ('ann', 'bob')", "mode": "enforce"},
                {"when": "stage = 'offer' and native_stage = 'Offer' and object = 'Deal'", "mode": "audit"},
            ],
        }
    }
    modes = found(
        judged(
            tmp_path,
            deal("small", amount=10.0),
            deal("large", amount=5000.0),
            deal("blank"),
            deal("strange", amount=10.0, Owner="eve"),
            deal("renewal", "Talks", "renewals", amount=10.0),
            rules=rules,
        )
    )
    assert modes == {
        ("small", "premature"): Mode.ENFORCE,
        ("large", "premature"): Mode.AUDIT,
        ("blank", "premature"): Mode.AUDIT,
        ("strange", "premature"): Mode.AUDIT,
        ("renewal", "premature"): Mode.AUDIT,
    }


@pytest.mark.parametrize(
    ("base", "override", "taken"),
    [("suggest", "enforce", Mode.SUGGEST), ("enforce", "audit", Mode.AUDIT), ("audit", "enforce", Mode.AUDIT)],
)
def test_where_an_unknown_leaves_the_mode_open_less_is_done(
    tmp_path: Path, base: str, override: str, taken: Mode
) -> None:
    rules = {"premature": {"mode": base, "overrides": [{"when": "segment = 'small'", "mode": override}]}}
    modes = found(judged(tmp_path, deal("a", segment="small"), rules=rules, gaps=("segment",)))
    assert modes[("a", "premature")] is taken


def test_records_that_were_there_before_the_rule_are_only_audited(tmp_path: Path) -> None:
    rules = {"premature": {"mode": "enforce", "starts": "2026-02-10"}}
    modes = found(
        judged(
            tmp_path,
            deal("before", Entered=datetime(2026, 2, 9, 22, 59, tzinfo=UTC)),
            # The first moment of 10 February in Berlin.
            deal("after", Entered=datetime(2026, 2, 9, 23, 0, tzinfo=UTC)),
            deal("nobody-knows", Entered=None),
            rules=rules,
            zone="Europe/Berlin",
        )
    )
    assert {record: mode for (record, _), mode in modes.items()} == {
        "before": Mode.AUDIT,
        "after": Mode.ENFORCE,
        "nobody-knows": Mode.AUDIT,
    }


def test_one_rule_of_a_kind_goes_before_its_kind(tmp_path: Path) -> None:
    rules = {"contradiction": {"mode": "audit"}, "contradiction.nothing": {"mode": "suggest"}}
    assert found(judged(tmp_path, deal("a", "Open", amount=0.0), rules=rules)) == {
        ("a", "contradiction.nothing"): Mode.SUGGEST
    }


# Waivers ------------------------------------------------------------------------------------------------------------


def test_a_waived_finding_is_set_aside_and_not_lost(tmp_path: Path) -> None:
    deals = (deal("a", amount=0.0), deal("b"))
    (judgement, _) = judged(tmp_path, *deals, granted=(waiver(record="a"),))
    assert set(found([judgement])) == {("a", "contradiction.nothing"), ("b", "premature")}
    assert judgement.waived.select("row", "rule", "waiver").rows() == [(0, "premature", 0)]
    assert [one.record for one in judgement.some(judgement.waived)] == ["a"]
    explanation = explain(judgement, "a")
    assert explanation is not None
    assert [one.by for one in explanation.waivers] == ["ada"]


@pytest.mark.parametrize(
    ("narrowed", "waived"),
    [
        ({}, {"a", "b"}),
        ({"record": "a"}, {"a"}),
        ({"object": "Deal", "connection": "crm"}, {"a", "b"}),
        ({"connection": "other"}, set()),
        ({"object": "Lead"}, set()),
        ({"rule": "contradiction", "record": "a"}, set()),
        ({"until": date(2026, 3, 16)}, {"a", "b"}),
        ({"until": date(2026, 3, 15)}, set()),
    ],
)
def test_a_waiver_reaches_as_far_as_it_says(tmp_path: Path, narrowed: dict[str, Any], waived: set[str]) -> None:
    rest = found(judged(tmp_path, deal("a"), deal("b"), granted=(waiver(**narrowed),)))
    assert {record for record, _ in rest} == {"a", "b"} - waived


def test_its_last_day_ends_in_the_time_zone_of_the_audit(tmp_path: Path) -> None:
    late = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    granted = (waiver(),)
    assert not found(judged(tmp_path, deal("a"), granted=granted, now=late))
    assert found(judged(tmp_path, deal("a"), granted=granted, now=late, zone="Europe/Berlin"))


def test_a_waiver_in_the_file_may_mean_many_records(tmp_path: Path) -> None:
    words = {"rule": "premature", "when": "segment = 'partner'", "reason": "r", "by": "ada", "until": "2026-12-31"}
    deals = (deal("a", segment="partner"), deal("b", segment="direct"), deal("c"))
    assert {record for record, _ in found(judged(tmp_path, *deals, waivers=[words]))} == {"b", "c"}
    # Where nobody can know whether it is meant, the record is let off.
    assert not found(judged(tmp_path, *deals, waivers=[words], gaps=("segment",)))
    only = words | {"record": "a", "when": "segment = 'direct'"}
    assert {record for record, _ in found(judged(tmp_path, *deals, waivers=[only]))} == {"a", "b", "c"}


def test_a_waived_criterion_demotes_nobody_and_earns_nothing(tmp_path: Path) -> None:
    deals = (deal("a", pain="they lose orders"), deal("b"))
    granted = (waiver(rule="budget"),)
    (judgement, _) = judged(tmp_path, *deals, granted=granted)
    (finding,) = judgement.each()
    assert (finding.record, finding.rule) == ("b", "premature")
    assert [evidence.criterion for evidence in finding.evidence] == ["pain"]
    assert judgement.low.tolist() == [0, 0]
    assert judgement.high.tolist() == [1, 0]
    explanation = explain(judgement, "a")
    assert explanation is not None
    said = {one.criterion: one for step in explanation.ladder for one in step.criteria}["budget"]
    assert said.verdict is Verdict.UNKNOWN
    assert said.reason == "waived by ada until 2026-12-31: strategic"


def test_thousands_of_waivers_are_one_join(tmp_path: Path) -> None:
    deals = [deal(f"d{n}") for n in range(300)]
    granted = tuple(waiver(id=f"w{n}", record=f"d{n}") for n in range(0, 300, 2))
    rest = {record for record, _ in found(judged(tmp_path, *deals, granted=granted))}
    assert rest == {f"d{n}" for n in range(1, 300, 2)}


# Ladders ------------------------------------------------------------------------------------------------------------


def test_a_record_is_judged_on_the_ladder_of_its_stage(tmp_path: Path) -> None:
    judgements = judged(
        tmp_path,
        deal("a", pain="they lose orders", budget=True),
        deal("b", "Talks", "renewals"),
        deal("c", "Due", "renewals", notice="will stay"),
        deal("d", "Lost", "renewals", amount=0.0),
        deal("e", "Strange", "renewals"),
    )
    assert [(one.scope.ladder, one.scope.in_scope, one.scope.evaluated) for one in judgements] == [
        ("new", 2, 1),
        ("renewal", 3, 3),
    ]
    assert judgements[0].scope.skipped == {"the mapping does not know the stage 'renewals / Strange'": 1}
    assert set(found(judgements)) == {("b", "premature"), ("c", "ready"), ("d", "contradiction.nothing")}
    (premature,) = (one for one in judgements[1].each() if one.kind is Kind.PREMATURE)
    assert (premature.stage, premature.earned) == ("talks", "due")


def test_each_ladder_is_named_beside_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judgements = judged(tmp_path, deal("a", amount=5.0), deal("b", "Talks", "renewals", amount=7.0))
    pipelines = [one for judgement in judgements if (one := forecast(judgement, None)) is not None]
    assert [one.ladder for one in pipelines] == ["new", "renewal"]
    show.scope(judgements)
    show.forecasts(pipelines, 40)
    said = capsys.readouterr().out
    assert re.findall(r"│ (new|renewal) +│ +1 │", said) == ["new", "renewal"]
    assert re.findall(r"pipeline of crm Deal, ladder '(\w+)'", said) == ["new", "renewal"]


def test_a_text_is_pasted_on_records_of_all_ladders(tmp_path: Path) -> None:
    judgements = judged(
        tmp_path,
        deal("a", pain="they lose orders"),
        deal("b", "Talks", "renewals", pain="they lose orders"),
        deal("c", "Due", "renewals", pain="They  lose orders"),
        deal("d", "Talks", "renewals", notice="they lose orders"),
        more={"pasted": {"records": 3, "length": 10}},
    )
    told = [rule for rule in found(judgements) if rule[1].startswith("placeholder")]
    assert told == [("a", "placeholder.pain")], "what stands in another item is another text"


def test_one_ladder_has_one_scope_without_a_name(tmp_path: Path) -> None:
    judgements = judged(tmp_path, deal("a"))
    single = structs.replace(judgements[0].definition)
    assert list(single.ladders) == ["new"]
    assert [rung.name for rung in single.rungs] == ["open", "offer", "sold"]
