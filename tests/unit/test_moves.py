"""By hand: what the past of a record says, in words; pipelines, ladders and moments that chance draws too seldom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.explain import explain
from stagesync.audit.history import names_of, past_stages
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.crm import Owner
from stagesync.model.findings import Finding
from stagesync.model.kinds import Kind, Severity
from tests.unit.small_world import DEFINITION, MAPPING, NOW, written_as

FRAME = Frame(now=NOW, time_zone=ZoneInfo("UTC"))
MOMENT = pl.Datetime("us", "UTC")
LADDER = ["lead", "prospect", "offer", "proposal", "customer"]
STAGES = {
    "L": "lead",
    "P1": "prospect",
    "P2": "prospect",
    "O": "offer",
    "Q": "proposal",
    "Won": "customer",
    "X": "lost",
}

Step = tuple[int, str] | tuple[int, str, str | None]


def day(n: int) -> datetime:
    return NOW - timedelta(days=n)


def judged(
    folder: Path,
    native: str,
    *steps: Step,
    stages: Mapping[str, Any] = STAGES,
    pipeline: str | None = None,
    written: str | None = None,
    owners: Sequence[Owner] = (),
    **words: Any,
) -> Judgement:
    """One deal whose past stages were entered so many days ago, the third of each saying by whom."""
    definition = DEFINITION | {"ladder": LADDER} | words
    stage = {"means": "any", "requires": []}
    definition["stages"] = {name: stage | {"terminal": name == "customer"} for name in LADDER}
    deal = MAPPING["objects"]["Deal"]
    history = deal["stage"]["history"] | {"by": "By"}
    field = {"field": "Stage", "stages": stages, "history": history} | ({"pipeline": "Line"} if pipeline else {})
    mapping = MAPPING | {
        "tables": {"Past": {"Deal": "text", "Stage": "text", "At": "datetime", "By": "text"}},
        "objects": {"Deal": deal | {"stage": field}},
    }
    loaded, checked = written_as(folder, definition, mapping)
    rows: dict[str, list[str | None]] = {"Id": ["d"], "Stage": [native], "Line": [pipeline], "Owner": ["ann"]}
    past = [("d", step[1], day(step[0]), step[2] if len(step) > 2 else None) for step in steps]
    columns: dict[str, Any] = {"Deal": pl.String, "Stage": pl.String, "At": MOMENT, "By": pl.String}
    read = {
        "Deal": pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)),
        "Past": pl.DataFrame(past, schema=columns, orient="row").with_columns(Id=pl.lit("h")),
    }
    (found,) = judge(
        connection="crm",
        definition=loaded,
        mapping=checked,
        tables=Tables(rows=read),
        owners=owners,
        frame=FRAME,
        written={"Deal": {"d": written}} if written else None,
    )
    told = explain(found, "d", past=past_stages(found.mapped, read, FRAME))
    assert told is not None
    assert [one.at for one in told.history] == sorted(at for _, _, at, _ in past)
    return found


def moves(judgement: Judgement) -> list[Finding]:
    """What is found of its way; nothing is required here, so that every record is ready for more."""
    return [one for one in judgement.each() if one.kind in (Kind.REGRESSED, Kind.SKIPPED)]


def said(judgement: Judgement, kind: Kind) -> str | None:
    """What the finding of a kind says; None where there is none."""
    findings = [one for one in moves(judgement) if one.kind is kind]
    assert all(one.severity is Severity.LOW for one in findings)
    return findings[0].evidence[0].reason if findings else None


@pytest.mark.parametrize(
    ("native", "steps", "words"),
    [
        ("O", [(9, "O"), (5, "Q"), (2, "O", "ann")], "moved back from 'proposal' to 'offer' on 2026-03-14 by ann"),
        ("P1", [(9, "O"), (5, "P2"), (2, "P1")], "moved back from 'offer' to 'prospect' on 2026-03-11"),
        ("O", [(9, "Won"), (2, "O")], "moved back from 'customer' to 'offer' on 2026-03-14"),
        ("P2", [(9, "P1"), (2, "P2")], None),
        ("P1", [(9, "P2"), (2, "P1")], None),
        ("Q", [(9, "Q"), (5, "O"), (2, "Q")], None),
        # Out of a parking place a record starts afresh, even below where it was.
        ("P1", [(9, "Q"), (5, "X"), (2, "P1")], None),
        ("P1", [(9, "X"), (5, "O"), (2, "P1")], "moved back from 'offer' to 'prospect' on 2026-03-14"),
        # What nobody mapped is no place on the way.
        ("P1", [(9, "P1"), (5, "renamed"), (2, "P1")], None),
        ("P1", [(9, "O"), (5, "renamed"), (2, "P1")], "moved back from 'offer' to 'prospect' on 2026-03-14"),
        # Neither a history that ends elsewhere nor a move that is still to come is believed.
        ("P1", [(9, "O"), (5, "P1"), (2, "O")], None),
        ("P1", [(9, "O"), (5, "P1"), (2, "renamed")], None),
        ("P1", [(9, "O"), (-2, "P1")], None),
        # In one second the present stage came last, and the others climbed.
        ("P1", [(5, "P1"), (5, "O")], "moved back from 'offer' to 'prospect' on 2026-03-11"),
        ("Q", [(5, "O"), (5, "P1"), (5, "Q")], None),
        ("X", [(9, "Q"), (5, "O"), (2, "X")], None),
    ],
)
def test_a_move_back_is_told(tmp_path: Path, native: str, steps: list[Step], words: str | None) -> None:
    for order in (steps, steps[::-1]):
        assert said(judged(tmp_path, native, *order), Kind.REGRESSED) == words


@pytest.mark.parametrize(
    ("by", "named"),
    [
        ("u1", "Ann Lee"),
        ("CRM_UI:userId:7", "Bo (CRM_UI)"),
        # Who is not among the owners keeps the id.
        ("u2", "u2"),
        ("CRM_UI:userId:8", "CRM_UI:userId:8"),
        ("IMPORT", "IMPORT"),
    ],
)
def test_who_moved_it_has_a_name(tmp_path: Path, by: str, named: str) -> None:
    owners = [
        Owner(id="u1", name="Ann Lee", email=None, active=True),
        Owner(id="9", name="Bo", email=None, active=False, author="userId:7"),
    ]
    found = judged(tmp_path, "O", (9, "O"), (5, "Q"), (2, "O", by), owners=owners)
    assert said(found, Kind.REGRESSED) == f"moved back from 'proposal' to 'offer' on 2026-03-14 by {named}"
    past = pl.DataFrame({"record": "d", "stage": "O", "at": day(2), "by": by}).cast({"at": MOMENT})
    told = explain(found, "d", past=past, names=names_of(past["by"], owners))
    assert told is not None
    assert (told.moved_by, [one.by for one in told.history]) == (named, [named])


def test_a_move_back_has_its_moment_and_ours_is_none(tmp_path: Path) -> None:
    way: list[Step] = [(9, "Q"), (4, "P1"), (2, "P2")]
    (found,) = moves(judged(tmp_path, "P2", *way))
    # The rung was entered by its first native stage; since then the record moved among stages of the rung only.
    assert (found.kind, found.since) == (Kind.REGRESSED, day(4))
    assert moves(judged(tmp_path, "P2", *way, written="P1")) == []
    assert said(judged(tmp_path, "P2", *way, written="P2"), Kind.REGRESSED)
    assert said(judged(tmp_path, "P2", *way, written="O"), Kind.REGRESSED)


@pytest.mark.parametrize(
    ("native", "steps", "words"),
    [
        ("O", [(9, "L"), (2, "O", "ann")], "came from 'lead' to 'offer' without 'prospect' on 2026-03-14 by ann"),
        ("Q", [(9, "L"), (5, "Q")], "came from 'lead' to 'proposal' without 'prospect', 'offer' on 2026-03-11"),
        (
            "Q",
            [(9, "L"), (5, "O"), (2, "Q"), (1, "Q")],
            "came from 'lead' to 'offer' without 'prospect' on 2026-03-11",
        ),
        ("O", [(9, "L"), (5, "Q"), (2, "O")], "came from 'lead' to 'proposal' without 'prospect' on 2026-03-11"),
        # It is the last jump that is told, and what other jumps left out.
        ("O", [(9, "L"), (7, "O"), (5, "L"), (2, "O")], "came from 'lead' to 'offer' without 'prospect' on 2026-03-14"),
        ("O", [(9, "L"), (7, "P1"), (5, "L"), (2, "O")], None),
        ("O", [(9, "L"), (7, "P1"), (2, "O")], None),
        ("O", [(9, "O")], None),
        ("P1", [(9, "O"), (2, "P1")], None),
        # Out of a parking place a record starts afresh; where it was before, it was.
        ("O", [(9, "L"), (5, "X"), (2, "O")], None),
        ("O", [(9, "X"), (5, "L"), (2, "O")], "came from 'lead' to 'offer' without 'prospect' on 2026-03-14"),
        ("O", [(9, "P1"), (7, "X"), (5, "L"), (2, "O")], None),
        ("O", [(9, "L"), (5, "renamed"), (2, "O")], "came from 'lead' to 'offer' without 'prospect' on 2026-03-14"),
        ("O", [(9, "L"), (-2, "O")], None),
        ("Won", [(9, "L"), (2, "Won")], None),
        ("X", [(9, "L"), (5, "O"), (2, "X")], None),
    ],
)
def test_a_jump_is_told(tmp_path: Path, native: str, steps: list[Step], words: str | None) -> None:
    for order in (steps, steps[::-1]):
        assert said(judged(tmp_path, native, *order), Kind.SKIPPED) == words


def test_several_jumps_are_told_by_the_last(tmp_path: Path) -> None:
    ladder = [*LADDER[:-1], "signed", "customer"]
    stage = {"means": "any", "requires": [], "terminal": False}
    stages = STAGES | {"S": "signed"}
    deal = MAPPING["objects"]["Deal"]
    words = MAPPING | {"objects": {"Deal": deal | {"stage": deal["stage"] | {"stages": stages}}}}
    loaded, checked = written_as(
        tmp_path, DEFINITION | {"ladder": ladder, "stages": dict.fromkeys(ladder, stage)}, words
    )
    past = pl.DataFrame(
        [("d", "L", day(9)), ("d", "O", day(5)), ("d", "S", day(2))],
        schema={"Deal": pl.String, "Stage": pl.String, "At": MOMENT},
        orient="row",
    ).with_columns(Id=pl.lit("h"))
    deals = pl.DataFrame({"Id": ["d"], "Stage": ["S"], "Owner": ["ann"]})
    (found,) = judge(
        connection="crm",
        definition=loaded,
        mapping=checked,
        tables=Tables(rows={"Deal": deals, "Past": past}),
        owners=[],
        frame=FRAME,
    )
    assert said(found, Kind.SKIPPED) == (
        "came from 'offer' to 'signed' without 'proposal' on 2026-03-14; left out before: 'prospect'"
    )


PIPELINES = {
    "new": {"n1": "lead", "n2": "prospect", "n3": "offer", "both": "offer", "n5": "lost"},
    "short": {"s1": "lead", "s3": "offer", "both": "proposal", "s5": "lost"},
}


@pytest.mark.parametrize(
    ("pipeline", "native", "steps", "kinds"),
    [
        ("new", "n3", [(9, "n1"), (2, "n3")], [Kind.SKIPPED]),
        # This pipeline has no stage for a prospect: nothing was left out.
        ("short", "s3", [(9, "s1"), (2, "s3")], []),
        # Of a stage in both pipelines the record's own says the rung; of one in another alone that one does.
        ("short", "s3", [(9, "both"), (2, "s3")], [Kind.REGRESSED]),
        ("new", "n3", [(9, "both"), (2, "n3")], []),
        ("new", "n2", [(9, "s3"), (2, "n2")], [Kind.REGRESSED]),
    ],
)
def test_rungs_are_those_of_the_pipeline(
    tmp_path: Path, pipeline: str, native: str, steps: Sequence[Step], kinds: list[Kind]
) -> None:
    found = judged(tmp_path, native, *steps, stages=PIPELINES, pipeline=pipeline)
    assert [one.kind for one in moves(found)] == kinds


def test_an_explanation_names_every_stage_of_the_past(tmp_path: Path) -> None:
    found = judged(tmp_path, "P1", (9, "X", None), (5, "renamed", "a form"), (5, "P1", "ann"))
    past = pl.DataFrame(
        {"record": ["d", "d", "d", "other"], "stage": ["P1", "X", "renamed", "P1"], "by": ["ann", None, "a form", None]}
    ).with_columns(at=pl.Series([day(5), day(9), day(5), day(7)], dtype=MOMENT))
    told = explain(found, "d", past=past)
    assert told is not None
    assert [(one.at, one.native_stage, one.stage, one.by) for one in told.history] == [
        (day(9), "X", "lost", None),
        (day(5), "renamed", None, "a form"),
        (day(5), "P1", "prospect", "ann"),
    ]


def test_the_severity_of_a_move_is_low_unless_its_rule_says_so(tmp_path: Path) -> None:
    rules = {"regressed": {"mode": "suggest", "severity": "high"}}
    (found,) = moves(judged(tmp_path, "P1", (9, "O"), (2, "P1"), rules=rules))
    assert (found.severity, str(found.mode)) == (Severity.HIGH, "suggest")
    (found,) = moves(judged(tmp_path, "P1", (9, "O"), (2, "P1"), rules={"regressed": {"mode": "suggest"}}))
    assert found.severity is Severity.LOW
