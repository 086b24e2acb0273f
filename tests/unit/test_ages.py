"""As of when evidence is: reckoned by hand for one deal among others."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stagesync.agent.exports import export_reader, read_tables
from stagesync.audit.ages import Age, ages
from stagesync.audit.engine import judge
from stagesync.audit.explain import explain
from stagesync.audit.masks import Frame
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping

NOW = datetime(2026, 3, 16, 12, tzinfo=UTC)
CHANGED = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)

DEFINITION: dict[str, Any] = {
    "definition": "aged",
    "ladder": ["lead", "offer"],
    "evidence": {
        "step": {"type": "text"},
        "size": {"type": "integer"},
        "region": {"type": "text"},
        "calls": {"type": "integer"},
        "notes": {"type": "integer"},
        "roles": {"type": "integer"},
        "budget": {"type": "boolean"},
        "last_activity": {"type": "datetime"},
    },
    "stages": {
        "lead": {"means": "m", "requires": [{"id": "size", "check": "size >= 10", "because": "b", "ask": "a"}]},
        "offer": {
            "means": "m",
            "requires": [
                {"id": "spoken", "check": "calls >= 1 and stated(step)", "because": "b", "ask": "a"},
                {"id": "budget", "check": "budget = true or notes >= 1", "because": "b", "ask": "a"},
            ],
        },
    },
}
MAPPING: dict[str, Any] = {
    "mapping": "aged",
    "definition": "aged",
    "crm": "export",
    "tables": {
        "Calls": {"Deal": "text", "Attended": "boolean", "Due": "date", "At": "datetime", "Noted": "datetime"},
        "Notes": {"Deal": "text", "Day": "date"},
        "Roles": {"Deal": "text"},
        "Account": {"Size": "integer"},
        "Region": {"Name": "text"},
    },
    "objects": {
        "Account": {"name": "Id", "modified": "Changed", "stage": {"field": "Kind", "stages": {"x": "lead"}},
                    "evidence": {item: {"gap": "not here"} for item in DEFINITION["evidence"]}},
        "Deal": {
            "name": "Id",
            "modified": "Changed",
            "stage": {"field": "Stage", "stages": {"Open": "lead", "Offer": "offer"}},
            "evidence": {
                "step": {"field": "Step"},
                "size": {"lookup": "Account", "by": "AccountId", "take": "Size"},
                "region": {"lookup": "Region", "by": "RegionId", "take": "Name"},
                "calls": {"count": "Calls", "on": "Deal", "where": "Attended = true"},
                "notes": {"count": "Notes", "on": "Deal"},
                "roles": {"count": "Roles", "on": "Deal"},
                "budget": {"gap": "nobody writes it down"},
                "last_activity": {"latest": [{"max": "Noted", "of": "Calls", "on": "Deal"},
                                             {"field": "Changed"}]},
            },
        },
    },
}  # fmt: skip
FILES = {
    "Account": ["Id,Kind,Size,Changed", "a1,x,12,2026-02-02T00:00:00Z", "a2,x,12,2026-02-28T00:00:00Z"],
    "Region": ["Id,Name", "r1,North"],
    "Deal": [
        "Id,Stage,Step,AccountId,RegionId,Changed",
        "d1,Offer,call,a1,r1,2026-03-01T08:30:00Z",
        "d2,Offer,call,a2,r1,2026-03-09T00:00:00Z",
        "d3,Open,,,,",
    ],
    "Calls": [
        "Id,Deal,Attended,Due,At,Noted",
        "c1,d1,true,2026-05-01,2026-01-10T10:00:00Z,2026-01-11T10:00:00Z",
        "c2,d1,true,2026-04-01,2026-01-20T10:00:00Z,2026-01-21T10:00:00Z",
        "c3,d1,false,2026-04-01,2026-02-20T10:00:00Z,2026-02-21T10:00:00Z",
        "c4,d2,true,2026-04-01,2026-02-25T10:00:00Z,2026-02-26T10:00:00Z",
    ],
    "Notes": ["Id,Deal,Day", "n1,d1,2026-03-03", "n2,d1,2026-03-02"],
    "Roles": ["Id,Deal", "p1,d1"],
}


def aged(folder: Path, record: str, mapping: dict[str, Any] = MAPPING) -> tuple[dict[str, Age], Any]:
    """The ages of a deal, and its explanation."""
    export = folder / "export"
    export.mkdir()
    for table, lines in FILES.items():
        (export / f"{table}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "definition.yaml").write_text(json.dumps(DEFINITION), encoding="utf-8")
    (folder / "mapping.yaml").write_text(json.dumps(mapping), encoding="utf-8")
    definition = load_definition(folder / "definition.yaml")
    checked = load_mapping(folder / "mapping.yaml", definition)
    read = read_tables(export_reader(export, checked), checked, "crm", lambda *_: None)
    frame = Frame(now=NOW, time_zone=ZoneInfo("UTC"))
    judged = judge(connection="crm", definition=definition, mapping=checked, tables=read, owners=[], frame=frame)
    (deals,) = [one for one in judged if one.mapped.name == "Deal"]
    known = dict(ages(deals, record, mapping=checked, tables=read, frame=frame))
    return known, explain(deals, record, known)


def test_each_item_is_as_old_as_what_it_was_made_of(tmp_path: Path) -> None:
    known, _ = aged(tmp_path, "d1")
    assert {item: (age.at, age.what) for item, age in known.items()} == {
        "step": (CHANGED, "record last changed"),
        "size": (datetime(2026, 2, 2, tzinfo=UTC), "Account last changed"),
        # c3 was not attended and c4 is of another deal; Due is only a day, and At stands before Noted.
        "calls": (datetime(2026, 1, 20, 10, tzinfo=UTC), "newest Calls.At"),
        "notes": (date(2026, 3, 3), "newest Notes.Day"),
        "last_activity": (CHANGED, "record last changed"),
    }


def test_nothing_known_is_nothing_said(tmp_path: Path) -> None:
    known, _ = aged(tmp_path, "d3")
    assert known == {}


def test_a_parent_that_a_dot_reads_is_not_as_old_as_the_record(tmp_path: Path) -> None:
    mapping = deepcopy(MAPPING)
    mapping["objects"]["Deal"]["evidence"]["step"] = {"field": "Account.Step"}
    known, _ = aged(tmp_path, "d1", mapping)
    assert "step" not in known


@pytest.mark.parametrize(
    ("criterion", "items"), [("size", ["size"]), ("spoken", ["calls", "step"]), ("budget", ["notes"])]
)
def test_each_criterion_has_the_ages_of_its_items(tmp_path: Path, criterion: str, items: list[str]) -> None:
    _, explained = aged(tmp_path, "d1")
    (found,) = [one for step in explained.ladder for one in step.criteria if one.criterion == criterion]
    assert [age.item for age in found.ages] == items
