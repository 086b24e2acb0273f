"""The two shared exports, audited, and every finding derived a second time by plain Python from the files.

Neither export was made for StageSync. What is asserted by name was read in the files by eye.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stagesync.agent.exports import export_reader, fitting, unusable
from stagesync.audit.engine import judge
from stagesync.audit.evidence import RECORD, Tables
from stagesync.audit.history import latest_moment
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.model.findings import Finding
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping

ROOT = Path(__file__).parents[2]
EXPORTS = ROOT / "tests" / "data" / "salesforce_exports"
WORKSHOP, DEVELOPER = EXPORTS / "data_cloud_workshop", EXPORTS / "developer_org"
DEFINITION = load_definition(ROOT / "config" / "definitions" / "recommended.yaml")
MAPPINGS = {
    name: load_mapping(ROOT / "config" / "mappings" / f"{name}.yaml", DEFINITION)
    for name in ("salesforce", "hubspot", "salesforce-workshop-export", "salesforce-developer-export")
}
MUCH_LATER = datetime(2026, 11, 21, tzinfo=UTC)

Row = Mapping[str, str]
Audited = tuple[datetime, dict[str, Judgement]]


def tables(folder: Path, mapping: CrmMapping) -> Tables:
    """Everything that the mapping needs."""
    reader = export_reader(folder, mapping)
    missing = {item.table: item.columns for item in reader.missing(mapping.tables)}
    rows = {
        table.name: pl.concat([page.rows for page in reader.pull(table)], how="diagonal") for table in mapping.tables
    }
    assert not reader.problems
    return Tables(rows=rows, missing=missing)


def audited(folder: Path, name: str) -> Audited:
    """The judgements of an export as of its newest moment."""
    mapping = MAPPINGS[name]
    read = tables(folder, mapping)
    now = latest_moment(mapping, read, MUCH_LATER)
    assert now is not None
    judged = judge(
        connection="export",
        definition=DEFINITION,
        mapping=mapping,
        tables=read,
        owners=(),
        frame=Frame(now=now, time_zone=ZoneInfo("UTC")),
    )
    return now, {judgement.mapped.name: judgement for judgement in judged}


@pytest.fixture(scope="module")
def workshop() -> Audited:
    """The workshop's export."""
    return audited(WORKSHOP, "salesforce-workshop-export")


@pytest.fixture(scope="module")
def developer() -> Audited:
    """The developer org's export."""
    return audited(DEVELOPER, "salesforce-developer-export")


def plain(folder: Path, stem: str) -> list[Row]:
    """The rows of a file as Python's csv module has them."""
    with (folder / f"{stem}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def by_rule(findings: Iterable[Finding]) -> dict[str, set[str]]:
    """The ids of records by rule."""
    result: dict[str, set[str]] = {}
    for finding in findings:
        result.setdefault(finding.rule, set()).add(finding.record)
    return result


def fits(employees: str) -> bool:
    """The recommended pack's idea of a company that fits."""
    return employees != "" and 20 <= int(employees) <= 5000


def test_each_export_has_one_mapping() -> None:
    mappings = list(MAPPINGS.values())
    assert [mapping.name for mapping in fitting(WORKSHOP, mappings)] == ["salesforce-workshop-export"]
    assert [mapping.name for mapping in fitting(DEVELOPER, mappings)] == ["salesforce-developer-export"]
    assert fitting(WORKSHOP, mappings[::-1]) == fitting(WORKSHOP, mappings)


def test_a_mapping_that_cannot_read_a_folder_says_why(tmp_path: Path) -> None:
    (tmp_path / "Opportunity.csv").write_text("Name,StageName\nx,Closed Won\n")
    mapping = MAPPINGS["salesforce-developer-export"]
    assert fitting(tmp_path, [mapping]) == []
    assert unusable(export_reader(tmp_path, mapping), mapping) == [
        "Lead: the export has no file Lead.csv",
        "Opportunity: Opportunity.csv has no column Id",
    ]
    assert unusable(export_reader(DEVELOPER, mapping), mapping) == []


class TestWorkshop:
    """Salesforce's workshop org: 60 leads, 50 opportunities, 75 tasks of which none was started."""

    def test_it_is_judged_as_of_the_last_look_at_a_record(self, workshop: Audited) -> None:
        assert workshop[0] == datetime(2024, 1, 25, 5, 26, 44, tzinfo=UTC)
        assert {name: (one.scope.in_scope, one.scope.evaluated) for name, one in workshop[1].items()} == {
            "Lead": (60, 60),
            "Opportunity": (50, 50),
        }

    def test_leads_are_qualified_without_the_size_of_their_company(self, workshop: Audited) -> None:
        leads = plain(WORKSHOP, "Lead")
        expected = {row["Id"] for row in leads if row["Status"] == "Qualified" and not fits(row["NumberOfEmployees"])}
        found = list(workshop[1]["Lead"].each())
        assert by_rule(found) == {"premature": expected}
        assert len(found) == 24
        assert {evidence.criterion for finding in found for evidence in finding.evidence} == {"fit"}

    def test_deals_that_should_have_closed_and_proposals_without_a_next_step(self, workshop: Audited) -> None:
        deals = plain(WORKSHOP, "Opportunity")
        size = {row["Id"]: row["NumberOfEmployees"] for row in plain(WORKSHOP, "Account")}
        working = [row for row in deals if row["StageName"] not in ("Closed Won", "Closed Lost")]
        late = {"Proposal/Quote", "Negotiation"}
        assert by_rule(workshop[1]["Opportunity"].each()) == {
            "contradiction.close-date-passed": {
                row["Id"] for row in deals if row["IsClosed"] != "1" and row["CloseDate"] < "2024-01-25"
            },
            "premature": {
                row["Id"]
                for row in working
                if not fits(size[row["AccountId"]]) or (row["StageName"] in late and not row["NextStep"])
            },
        }

    def test_by_name(self, workshop: Audited) -> None:
        found = list(workshop[1]["Opportunity"].each())
        assert Counter(finding.rule for finding in found) == {"premature": 18, "contradiction.close-date-passed": 6}
        too_small = [finding for finding in found if {evidence.criterion for evidence in finding.evidence} == {"fit"}]
        assert [(finding.record_name, finding.evidence[0].value) for finding in too_small] == [
            ("Parks, Carter and Collins - Business Loans - February 2024", "4")
        ]
        overdue = sum(finding.amount or 0 for finding in found if "close-date" in finding.rule)
        assert overdue == pytest.approx(5_280_334.32)

    def test_tasks_that_were_not_started_prove_nothing(self, workshop: Audited) -> None:
        assert {row["Status"] for row in plain(WORKSHOP, "Task")} == {"Not Started"}
        rows = workshop[1]["Lead"].evidence.rows
        assert rows["calls"].sum() == rows["meetings"].sum() == 0
        assert any("no e-mails" in left.reason for left in workshop[1]["Lead"].not_judged)


class TestDeveloperOrg:
    """A developer org with Salesforce's sample data: 36 opportunities, 22 leads, 48 rows of stage history."""

    def test_it_is_judged_as_of_the_last_change_and_not_of_a_simulated_date(self, developer: Audited) -> None:
        assert developer[0] == datetime(2026, 3, 7, 21, 0, tzinfo=UTC)
        assert developer[1]["Lead"].scope.skipped == {"converted": 5}
        assert developer[1]["Opportunity"].scope.evaluated == 36

    def test_every_date_and_amount_is_read(self, developer: Audited) -> None:
        deals = {row["Id"]: row for row in plain(DEVELOPER, "Opportunity")}
        rows = developer[1]["Opportunity"].evidence.rows
        assert not developer[1]["Opportunity"].evidence.unreadable
        for record, amount, close in rows.select(RECORD, "amount", "close_date").iter_rows():
            assert amount == (float(deals[record]["Amount"]) if deals[record]["Amount"] else None)
            month, day, year = map(int, deals[record]["CloseDate"].split("/"))
            assert close == date(2000 + year, month, day)

    def test_open_deals(self, developer: Audited) -> None:
        deals = [row for row in plain(DEVELOPER, "Opportunity") if row["IsClosed"] == "FALSE"]
        size = {row["Id"]: row["NumberOfEmployees"] for row in plain(DEVELOPER, "Account")}
        late = {"Proposal/Price Quote", "Negotiation/Review"}
        found = by_rule(developer[1]["Opportunity"].each())
        assert found == {
            "contradiction.close-date-passed": {row["Id"] for row in deals if row["CloseDate"] == "02/03/24"},
            "premature": {
                row["Id"]
                for row in deals
                if not fits(size[row["AccountId"]]) or (row["StageName"] in late and not row["NextStep"])
            },
        }
        assert {rule: len(records) for rule, records in found.items()} == {
            "contradiction.close-date-passed": 13,
            "premature": 12,
        }

    def test_a_proposal_without_a_value(self, developer: Audited) -> None:
        findings = developer[1]["Opportunity"].each()
        zenith = next(finding for finding in findings if finding.record_name.startswith("Zenith"))
        assert [evidence.criterion for evidence in zenith.evidence] == ["fit", "value-defined", "next-step"]
        assert zenith.since == datetime(2026, 2, 24, 2, 20, tzinfo=UTC)
        assert zenith.since_source == "stage history"

    def test_nobody_can_say_how_long_a_lead_has_waited(self, developer: Audited) -> None:
        assert developer[1]["Lead"].findings.height == 0
        assert developer[1]["Lead"].records["since"].null_count() == 17
