"""What the shipped packs and their mappings say of many records and of related rows, which no definition test has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stagesync.audit.engine import judge
from stagesync.audit.evidence import RECORD, Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.audit.predicates import stated
from stagesync.model.frames import POLARS
from stagesync.model.kinds import Kind, Mode
from stagesync.policy.definitions import Definition
from stagesync.policy.mappings import CrmMapping, load_mapping
from tests.unit.small_world import NOW
from tests.unit.test_packs import CONFIG, PACKS, pack

FRAME = Frame(now=NOW, time_zone=ZoneInfo("UTC"))
SENTENCE = "Waiting for the customer to come back to us"
PROSE = {
    "bant": ["need"],
    "discovery-call": ["needs", "budget", "role", "timeline"],
    "pain-interest-fit": ["use_case", "pain"],
    "qualified-value": ["need", "next_step"],
    "recommended": ["pain", "next_step"],
}


def judged(definition: Definition, mapping: CrmMapping, rows: dict[str, pl.DataFrame]) -> Judgement:
    """The first object of the mapping that was read."""
    found = judge(
        connection="crm", definition=definition, mapping=mapping, tables=Tables(rows=rows), owners=(), frame=FRAME
    )
    return next(one for one in found if one.mapped.name in rows)


def deals(folder: Path, definition: Definition, place: str, records: int, **given: Any) -> Judgement:
    """So many deals in one place, of which the same is known."""
    words = {
        "mapping": "plain",
        "definition": definition.name,
        "crm": "export",
        "objects": {
            "Deal": {
                "name": "Id",
                "stage": {"field": "Stage", "stages": {"here": place}},
                "evidence": {item: {"field": item} for item in definition.evidence},
            }
        },
    }
    file = folder / "mapping.yaml"
    file.write_text(json.dumps(words), encoding="utf-8")
    columns = {
        name: pl.Series([given.get(name)] * records, dtype=POLARS[item.type])
        for name, item in definition.evidence.items()
    }
    ids = [f"d{number}" for number in range(records)]
    rows = pl.DataFrame({"Id": ids, "Stage": ["here"] * records, **columns})
    return judged(definition, load_mapping(file, definition), {"Deal": rows})


@pytest.mark.parametrize(("name", "item"), [(name, item) for name, items in PROSE.items() for item in items])
@pytest.mark.parametrize("records", [19, 20])
def test_a_sentence_pasted_on_many_deals_says_nothing(tmp_path: Path, name: str, item: str, records: int) -> None:
    definition = pack(name)
    top = next(rung.name for rung in reversed(definition.rungs) if not rung.terminal)
    judgement = deals(tmp_path, definition, top, records, **{item: SENTENCE})
    found = [one.record for one in judgement.each() if one.rule == f"{Kind.PLACEHOLDER}.{item}"]
    assert len(found) == (20 if records == 20 else 0)


@pytest.mark.parametrize("name", PACKS)
def test_what_reps_type_to_fill_a_field_says_nothing(name: str) -> None:
    typed = [
        "tbd",
        "TBD.",
        "x",
        "-",
        "n/a",
        "N.A.",
        "None",
        "--None--",
        "-none-",
        "Select",
        "--Select--",
        "xxxx",
        "???",
        "...",
    ]
    typed += ["see notes", "See above", "please select", " no idea "]
    assert [word for word in typed if stated(word, pack(name).placeholders)] == []


@pytest.mark.parametrize(("place", "mode"), [("cold-lead", Mode.AUDIT), ("lead", Mode.SUGGEST)])
def test_nothing_is_asked_about_a_cold_lead(tmp_path: Path, place: str, mode: Mode) -> None:
    judgement = deals(tmp_path, pack("bant"), place, 1, closed=False, decision_date=NOW.date().replace(month=1))
    assert {one.rule: one.mode for one in judgement.each() if one.kind is Kind.CONTRADICTION} == {
        "contradiction.decision-date-passed": mode
    }


MAILS: Mapping[str, Mapping[str, tuple[str, dict[str, Any], str]]] = {
    "salesforce": {
        "Lead": (
            "EmailMessageRelation",
            {"RelationId": "r", "RelationType": "ToAddress", "EmailMessage.MessageDate": None},
            "EmailMessage.Status",
        ),
        "Opportunity": ("EmailMessage", {"RelatedToId": "r", "Incoming": False, "MessageDate": None}, "Status"),
    },
    "hubspot": {
        name: ("emails", {"hs_timestamp": None, "hs_email_direction": "EMAIL"}, "hs_email_status")
        for name in ("contacts", "deals")
    },
}


@pytest.mark.parametrize(
    ("crm", "status", "sent"),
    [
        ("salesforce", "3", 1),
        ("salesforce", "5", 0),
        ("hubspot", "SENT", 1),
        ("hubspot", None, 1),
        ("hubspot", "BOUNCED", 0),
        ("hubspot", "FAILED", 0),
        ("hubspot", "SCHEDULED", 0),
    ],
)
def test_what_reached_nobody_was_not_sent(crm: str, status: str | None, sent: int) -> None:
    definition = pack("two-way-engagement")
    mapping = load_mapping(CONFIG / "mappings" / f"two-way-engagement-{crm}.yaml", definition)
    for name, (table, columns, status_column) in MAILS[crm].items():
        mapped = next(one for one in mapping.objects if one.name == name)
        key = mapping.table(table).key
        types = mapping.table(table).columns
        mail = {key: "m"} | columns | {status_column: status}
        rows = {
            name: pl.DataFrame({mapped.table.key: ["r"], mapped.stage_field: [next(iter(mapped.stages))[1]]}),
            table: pl.DataFrame(
                [mail], schema={word: POLARS[types[word]] if word != key else pl.String for word in mail}
            ),
            f"{table}~{name}": pl.DataFrame({"from": ["m"], "to": ["r"]}),
        }
        if mapped.group_field is not None:
            rows[name] = rows[name].with_columns(pl.lit(next(iter(mapped.stages))[0]).alias(mapped.group_field))
        evidence = judged(definition, mapping, rows).evidence
        assert evidence.rows.select(RECORD, "sent").rows() == [("r", sent)], evidence.unknown.get("sent")
