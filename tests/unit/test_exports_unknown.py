"""What an export holds but nobody can read is unknown, and an unknown never demotes."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stagesync.agent.exports import export_reader
from stagesync.audit.engine import judge
from stagesync.audit.evidence import RECORD, Tables
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.findings import Verdict
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping

ROOT = Path(__file__).parents[2]
DEFINITION = load_definition(ROOT / "config" / "definitions" / "recommended.yaml")
MAPPING = load_mapping(ROOT / "config" / "mappings" / "salesforce-workshop-export.yaml", DEFINITION)
DEAL = "006Ec00000AieKJIAZ"  # Patterson-Hansen, in Discovery; the account has 468 people
ACCOUNT = "001Ec00000GGw3iIAD"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the workshop's export, to be spoilt."""
    copy = tmp_path / "export"
    shutil.copytree(ROOT / "tests" / "data" / "salesforce_exports" / "data_cloud_workshop", copy)
    return copy


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def judged(folder: Path) -> dict[str, Judgement]:
    """The judgements of a folder."""
    reader = export_reader(folder, MAPPING)
    missing = {item.table: item.columns for item in reader.missing(MAPPING.tables)}
    rows = {
        table.name: pl.concat(pages, how="diagonal")
        for table in MAPPING.tables
        if (pages := [page.rows for page in reader.pull(table)])
    }
    frame = Frame(now=datetime(2024, 1, 25, tzinfo=UTC), time_zone=ZoneInfo("UTC"))
    found = judge(
        connection="export",
        definition=DEFINITION,
        mapping=MAPPING,
        tables=Tables(rows=rows, missing=missing),
        owners=(),
        frame=frame,
    )
    return {judgement.mapped.name: judgement for judgement in found}


def premature(folder: Path, name: str = "Opportunity") -> set[str]:
    return {finding.record for finding in judged(folder)[name].each() if finding.rule == "premature"}


def test_the_size_of_the_account_is_looked_up(folder: Path) -> None:
    assert judged(folder)["Opportunity"].verdicts(DEAL)["fit"] is Verdict.MET


@pytest.mark.parametrize("broken", ["#REF!", "many"])
def test_a_size_that_cannot_be_read_is_unknown(folder: Path, broken: str) -> None:
    before = premature(folder)
    spoil(folder / "Account.csv", ",468,", f",{broken},")
    assert judged(folder)["Opportunity"].verdicts(DEAL)["fit"] is Verdict.UNKNOWN
    assert premature(folder) == before


def test_an_account_that_is_not_in_the_export_is_unknown_and_no_account_is_blank(folder: Path) -> None:
    before = premature(folder)
    spoil(folder / "Account.csv", ACCOUNT, "001gone")
    assert judged(folder)["Opportunity"].verdicts(DEAL)["fit"] is Verdict.UNKNOWN
    assert premature(folder) == before
    spoil(folder / "Opportunity.csv", ACCOUNT, "")
    assert judged(folder)["Opportunity"].verdicts(DEAL)["fit"] is Verdict.NOT_MET


def test_without_the_file_of_accounts_no_deal_is_too_small(folder: Path) -> None:
    (folder / "Account.csv").unlink()
    judgement = judged(folder)["Opportunity"]
    assert "the export has no file Account.csv" in judgement.evidence.unknown["employees"]
    assert judgement.verdicts(DEAL)["fit"] is Verdict.UNKNOWN


def test_a_task_of_which_nobody_can_say_whether_it_was_done_leaves_the_count_open(folder: Path) -> None:
    task = (folder / "Task.csv").read_text(encoding="utf-8-sig").splitlines()
    row = next(line for line in task if "00QEc" in line)
    lead = next(cell for cell in row.split(",") if cell.strip('"').startswith("00QEc")).strip('"')
    (folder / "Task.csv").write_text("\n".join([task[0], row.replace("Not Started", "#N/A")]) + "\n", encoding="utf-8")
    rows = judged(folder)["Lead"].evidence.rows
    assert rows.filter(pl.col("calls?unreadable"))[RECORD].to_list() == [lead]


def test_a_table_without_its_id_judges_nothing_and_says_so(folder: Path) -> None:
    spoil(folder / "Opportunity.csv", "Id,IsDeleted,AccountId", "Key,IsDeleted,AccountId")
    judgement = judged(folder)["Opportunity"]
    assert (judgement.scope.in_scope, judgement.scope.evaluated) == (50, 0)
    assert [count for reason, count in judgement.scope.skipped.items() if "Opportunity.Id" in reason] == [50]
    assert not judgement.complete


def test_deals_that_are_won_leave_no_criterion_open(folder: Path) -> None:
    left = {item.criterion: item.records for item in judged(folder)["Opportunity"].not_judged}
    assert left["budget"] == 17
    assert left["pain-stated"] == 35


def test_a_reason_to_leave_records_out_that_cannot_be_read_is_said(folder: Path) -> None:
    spoil(folder / "Lead.csv", ",IsConverted,", ",WasConverted,")
    said = judged(folder)["Lead"].not_judged
    assert [(entry.criterion, entry.records) for entry in said if entry.criterion == "converted"] == [("converted", 60)]
    assert "nobody was left out for it: Lead.IsConverted" in next(entry.reason for entry in said)
