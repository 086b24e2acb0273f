"""Reports: the documented JSON, a CSV that no spreadsheet runs, Markdown and terminals that show names as they are."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs
from rich.console import Console

from stagesync import report
from stagesync.audit.judgement import Judgement
from stagesync.audit.ranking import Ranked
from stagesync.cli import show
from stagesync.model.findings import Finding
from stagesync.model.kinds import Severity
from tests.unit.oracle import NOW, Moment, Record, Rules, Rung
from tests.unit.worlds import World, judgement

NASTY = "=cmd|' /C calc'!A0"
SIGNS = [
    "+1",
    "-1+1",
    "@x",
    "\tx",
    "\r=1",
    "\n=1",
    "＝1+1",
    "a|b",
    "two\nlines",
    "`a`",
    "back\\slash\\",
    "plain",
    "ü 日本",
]
MARKUP = ["<script>alert(1)</script>", "[red]x[/red]", "[link=http://x]y[/link]", "![x](http://x)", "[/]"]
NAMES = [NASTY, *SIGNS, *MARKUP]


@pytest.fixture
def judged(tmp_path: Path) -> Judgement:
    rung = Rung("deal", {"pain": ("stated", "pain")})
    rules = Rules([rung], {}, {"Open": "deal"}, gaps=frozenset({"won"}))
    values = dict.fromkeys(("replies", "calls", "amount", "share", "pain", "step", "closed", "close_date", "start_date",
                            "last_activity", "booked"))  # fmt: skip
    records = [Record("r0", "Open", values, owner="ann", entered=NOW), Record("r1", "Not mapped", values, owner="ann")]
    return judgement(World(rules, records, Moment(NOW, ZoneInfo("UTC"))), tmp_path)


def named(judged: Judgement, names: list[str]) -> list[Finding]:
    (finding,) = judged.each()
    return [structs.replace(finding, key=f"k{n}", record_name=name, amount=float(n)) for n, name in enumerate(names)]


def test_the_json_has_the_documented_shape(judged: Judgement) -> None:
    text = "".join(report.as_json("run-1", NOW, [judged], judged.each()))
    document = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert {"run", "as_of", "scope", "findings", "forecast"} <= set(document)
    (scope,) = document["scope"]
    assert {key: scope[key] for key in ("connection", "object", "in_scope", "evaluated", "skipped")} == {
        "connection": "crm", "object": "Deal", "in_scope": 2, "evaluated": 1,
        "skipped": {"the mapping does not know the stage 'Not mapped'": 1},
    }  # fmt: skip
    (finding,) = document["findings"]
    wanted = (
        "key connection object record owner kind rule severity mode stage native_stage earned since amount evidence"
    )
    assert set(wanted.split()) <= set(finding)
    assert (finding["kind"], finding["stage"], finding["native_stage"], finding["earned"]) == (
        "premature",
        "deal",
        "Open",
        None,
    )
    assert finding["since"] == NOW.isoformat()
    (evidence,) = finding["evidence"]
    assert {"criterion", "verdict", "reason", "value", "source"} <= set(evidence)
    assert (evidence["criterion"], evidence["verdict"], evidence["source"]) == ("pain", "not met", "Deal.its_pain")


def test_no_cell_of_the_csv_is_a_formula_and_every_name_comes_back(judged: Judgement) -> None:
    rows = list(csv.DictReader(io.StringIO("".join(report.as_csv(named(judged, NAMES))), newline="")))
    assert [row["record_name"].removeprefix("'") for row in rows] == [name.replace("\r", "\n") for name in NAMES]
    starts = {row["record_name"][:1] for row in rows if row["record_name"] != "+1"}
    assert not starts & set("=+-@\t\r\n＝")
    assert rows[0]["record_name"] == "'" + NASTY
    assert rows[1]["record_name"] == "+1"


def test_every_finding_is_one_line_of_the_markdown_table(judged: Judgement) -> None:
    text = "".join(report.as_markdown(named(judged, NAMES), len(NAMES)))
    lines = text.splitlines()
    assert len(lines) == len(NAMES) + 2
    for line in lines[2:]:
        cells = line.replace("\\\\", "").replace("\\|", "")
        assert cells.count("|") == 9
        assert "<" not in line
        assert "](" not in line.replace("\\[", "") or "\\[" in line
        assert "| ann |" in line
    assert "3 more findings are not shown" in "".join(report.as_markdown(named(judged, NAMES[:5]), 2))


def test_the_worst_comes_first_and_limits_are_reached(judged: Judgement) -> None:
    ranked = Ranked([judged])
    assert list(ranked) == list(judged.each()) == [ranked[0]]
    assert ranked.by_record(1) == ranked.by_record(0) == [list(ranked)]
    assert ranked.reaches(Severity.LOW)
    assert ranked.reaches(Severity.MEDIUM)
    assert not ranked.reaches(Severity.HIGH)
    assert not Ranked([]).reaches(Severity.LOW)


@pytest.mark.parametrize("name", [name for name in NAMES if not set(name) & set("\t\r\n")])
def test_a_terminal_shows_names_as_they_are(judged: Judgement, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(record=True, width=300, highlight=False, file=io.StringIO())
    monkeypatch.setattr(show, "out", console)
    show.findings([named(judged, [name])], more=0)
    show.scope([judged])
    show.by_kind_and_stage([judged])
    assert name in console.export_text()
