"""Exports as CRMs, warehouses and spreadsheets write them: one column for two things, footers, structs, slips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from stagesync.cli.main import app
from stagesync.connectors.exports import ExportFormat, ExportReader
from stagesync.errors import ConfigurationError, UsageError
from stagesync.model.tables import ColumnType, Table
from stagesync.policy.definitions import load_definition
from stagesync.policy.mappings import load_mapping

DEFINITION = """\
definition: sales
ladder: [lead, proposal, customer]
parking: {lost: closed and lost}
evidence:
  next_step: {type: text}
  calls: {type: integer}
  amount: {type: number}
  close_date: {type: date}
  won: {type: boolean}
  last_activity: {type: datetime}
placeholders: [tbd]
stages:
  lead: {means: m, stalls_after: {idle: 10 business days}}
  proposal:
    means: m
    requires:
      - {id: spoken, check: calls >= 1, because: b, ask: a}
      - {id: next, check: stated(next_step), because: b, ask: a}
  customer: {means: m, terminal: true, requires: [{id: bought, check: won, because: b, ask: a}]}
contradictions:
  - {id: past, check: not won and close_date < today(), because: b, ask: a}
  - {id: free, check: won and amount is null, because: b, ask: a}
"""
MAPPING = """\
mapping: deals
definition: sales
crm: export
export:
  dates: ["%m/%d/%Y"]
  time_zone: Europe/Berlin
  "yes": [won]
  "no": [open, lost]
objects:
  deals:
    key: ID
    name: [Title, Value]
    owner: Owner
    created: Made
    amount: Value
    stage:
      field: Stage
      record_type: Status
      stages:
        Open: {Contacted: lead, Offer: proposal}
        Won: {Contacted: customer, Offer: customer}
        Lost: {Contacted: lost, Offer: lost}
    evidence:
      next_step: {field: Next}
      calls: {field: Calls}
      amount: {field: Value}
      close_date: {field: Close}
      won: {field: Status}
      last_activity: {field: Made}
"""
HEADER = "ID,Title,Owner,Made,Value,Stage,Status,Next,Calls,Close\n"


def written(folder: Path, files: Mapping[str, bytes | str], mapping: str = MAPPING) -> list[str]:
    """The options of a command that takes these files, by this mapping."""
    export = folder / "export"
    export.mkdir()
    for name, content in files.items():
        (export / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "sales.yaml").write_text(DEFINITION, encoding="utf-8")
    (folder / "mapping.yaml").write_text(mapping, encoding="utf-8")
    line = ["--from", str(export), "--mapping", str(folder / "mapping.yaml")]
    return [*line, "--definitions", str(folder / "sales.yaml")]


def audited(folder: Path, files: Mapping[str, bytes | str], mapping: str = MAPPING) -> tuple[dict[str, Any], Result]:
    """The report of these files as of the first of March, and how the command ended."""
    line = ["audit", *written(folder, files, mapping), "--as-of", "2026-03-01", "--format", "json"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done


def rules(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(finding["record"], finding["rule"]) for finding in found["findings"]}


def test_a_column_may_be_the_stage_and_say_who_won(tmp_path: Path) -> None:
    rows = (
        "1,Acme,Ann,01/05/2026,100,Offer,Open,call,1,12/31/2026\n"
        "2,Bolt,Ann,01/05/2026,100,Contacted,Open,call,1,02/01/2026\n"
        "3,Core,Ann,01/05/2026,,Offer,Won,call,1,02/01/2026\n"
        "4,Dead,Ann,01/05/2026,100,Offer,Lost,,,02/01/2026\n"
    )
    found, done = audited(tmp_path, {"deals.csv": HEADER + rows})
    assert done.exit_code == 0
    # The date of creation is the last sign of life too; 4 is closed, and its close date is past.
    expected = {("2", "contradiction.past"), ("2", "ready"), ("2", "stalled"), ("3", "contradiction.free")}
    assert rules(found) == {*expected, ("4", "contradiction.past")}
    (stalled,) = [finding for finding in found["findings"] if finding["rule"] == "stalled"]
    assert stalled["record_name"] == "Bolt 100"
    # Midnight in Berlin is the day before in UTC, and what people read is the day that stands in the file.
    assert stalled["evidence"][0]["reason"].endswith("(last: 2026-01-05)")


def test_a_field_of_a_crm_has_one_type(tmp_path: Path) -> None:
    (tmp_path / "sales.yaml").write_text(DEFINITION, encoding="utf-8")
    mapping = MAPPING.replace("crm: export", "crm: salesforce").replace("won: {field: Status}", "won: {field: Stage}")
    (tmp_path / "mapping.yaml").write_text(mapping, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(tmp_path / "mapping.yaml", load_definition(tmp_path / "sales.yaml"))
    (problem,) = caught.value.problems
    assert problem.line == mapping[: mapping.index("won: {field")].count("\n") + 1
    assert problem.message == "'Stage' is read as boolean here and as text for 'stage.field'; a field has one type"


def test_the_footer_of_a_report_and_rows_of_nothing_are_no_rows(tmp_path: Path) -> None:
    """As Salesforce writes below a report, and a spreadsheet below a table; ``sep=,`` is a word to a spreadsheet."""
    row = "1,Acme,Ann,01/05/2026,100,Offer,Open,call,1,12/31/2026\n"
    footer = '\n\n"My report"\n"Copyright (c) 2000-2026"\n"Confidential Information - Do Not Distribute"\n'
    found, done = audited(tmp_path, {"deals.csv": "sep=,\n" + HEADER + row + "," * 9 + "\n" + footer})
    assert done.exit_code == 0
    assert found["scope"][0]["in_scope"] == found["scope"][0]["evaluated"] == 1
    assert "deals.csv: 3 lines below the last row, after a blank line, were taken for a footer" in done.stderr


@pytest.mark.parametrize("after", ["2,Bolt,Ann,01/05/2026,1,Offer,Open,x,1,\n", "x\n" * 20])
def test_what_a_row_or_much_more_follows_is_no_footer(tmp_path: Path, after: str) -> None:
    row = "1,Acme,Ann,01/05/2026,100,Offer,Open,call,1,12/31/2026\n"
    _, done = audited(tmp_path, {"deals.csv": HEADER + row + "\nA note\n" + after})
    assert done.exit_code == 3
    assert "deals.csv:4: the row has 1 cell, the header has 10" in done.stderr


def test_a_row_that_was_cut_off_after_a_blank_line_is_no_footer(tmp_path: Path) -> None:
    _, done = audited(tmp_path, {"deals.csv": HEADER + "1,Acme,Ann,01/05/2026,1,Offer,Open,x,1,\n\n2,Bo"})
    assert "deals.csv:4: the row has 2 cells, the header has 10: it was cut off" in done.stderr


def test_cells_that_cannot_be_read_are_shown_and_two_digits_are_no_year(tmp_path: Path) -> None:
    rows = (
        "1,Acme,Ann,01/05/2026,1.5 M,Offer,Open,call,1,12/31/25\n"
        "2,Bolt,Ann,01/05/2026,100,Offer,Open,call,1,2026-W07\n"
        "3,Core,Ann,01/05/2026,100,Offer,Open,call,1,01/01/0025\n"
    )
    found, done = audited(tmp_path, {"deals.csv": HEADER + rows})
    assert rules(found) == {("3", "contradiction.past")}
    assert (
        "deals.csv: 2 values of 'Close' cannot be read as date, such as '12/31/25' (dates are read as %m/%d/%Y"
        in done.stderr
    )
    assert "1 value of 'Value' cannot be read as number, such as '1.5 M' (the decimal mark is '.';" in done.stderr


def test_of_two_headers_that_are_alike_it_is_said_which_one_is_read(tmp_path: Path) -> None:
    rows = "1,Acme,Ann,01/05/2026,100,Offer,Open,call,1,12/31/2026,tbd\n"
    found, done = audited(tmp_path, {"deals.csv": HEADER.replace("\n", ",Next\n") + rows})
    assert not rules(found)
    assert "deals.csv: 2 columns are called 'Next'; the first of them is read" in done.stderr


NESTED = Table(
    name="deals",
    key="id",
    columns={
        "props.pain": ColumnType.TEXT,
        "props.deep.size": ColumnType.INTEGER,
        "contacts": ColumnType.TEXT,
        "stage": ColumnType.TEXT,
    },
)
NESTED_ROWS: list[dict[str, object]] = [
    {"id": 1.0, "props": {"pain": "slow", "deep": {"size": 3}}, "contacts": [7, 8], "stage": 10.0},
    {"id": 2.0, "props": {"pain": None, "deep": None}, "contacts": [], "stage": 2.5},
    {"id": 3.0, "props": None, "contacts": None, "stage": None},
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_stands_inside_of_values_is_a_column_and_an_empty_list_is_blank(tmp_path: Path, suffix: str) -> None:
    if suffix == "jsonl":
        (tmp_path / "deals.jsonl").write_text("\n".join(map(json.dumps, NESTED_ROWS)), encoding="utf-8")
    else:
        pl.DataFrame(NESTED_ROWS).write_parquet(tmp_path / "deals.parquet")
    reader = ExportReader(tmp_path, ExportFormat())
    assert not reader.missing([NESTED])
    (page,) = reader.pull(NESTED)
    assert page.rows.rows() == [
        ("1", "slow", 3, "[7,8]", "10"),
        ("2", None, None, None, "2.5"),
        ("3", None, None, None, None),
    ]


def test_a_warehouse_s_categories_bytes_and_truths_are_read_as_their_words(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "id": pl.Series([b"a", b"b", None], dtype=pl.Binary),
            "size": pl.Series(["1,200", "Select", None], dtype=pl.Categorical),
            "day": pl.Series(["2026-01-31", None, "x"], dtype=pl.Enum(["2026-01-31", "x"])),
            "won": [1.0, 0.0, 2.0],
            "note": [b"\xff", b"gr\xc3\xb6\xc3\x9fe", b""],
        }
    ).write_parquet(tmp_path / "deals.parquet")
    kinds = {"size": ColumnType.INTEGER, "day": ColumnType.DATE, "won": ColumnType.BOOLEAN, "note": ColumnType.TEXT}
    reader = ExportReader(tmp_path, ExportFormat(empty=("select",)))
    (page,) = reader.pull(Table(name="deals", key="id", columns=kinds))
    rows = page.rows
    assert rows["id"].to_list() == ["a", "b", None]
    assert rows["size"].to_list() == [1200, None, None]
    assert "size?unreadable" not in rows.columns
    assert rows["day"].to_list() == [date(2026, 1, 31), None, None]
    assert rows["won"].to_list() == [True, False, None]
    assert rows["note"].to_list() == [None, "größe", None]
    assert [rows[f"{name}?unreadable"].to_list() for name in ("day", "won", "note")] == [
        [False, False, True],
        [False, False, True],
        [True, False, False],
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_its_mark_and_without(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "deals.csv").write_bytes("id,Name\r\n1,Größe\r\n".encode(encoding))
    reader = ExportReader(tmp_path, ExportFormat(encoding="utf-16"))
    (page,) = reader.pull(Table(name="deals", key="id", columns={"Name": ColumnType.TEXT}))
    assert page.rows.rows() == [("1", "Größe")]
    (tmp_path / "deals.csv").write_bytes(b"id,Name\n1,Ann\n")
    with pytest.raises(ConfigurationError, match=r"deals\.csv is not in UTF-16"):
        ExportReader(tmp_path, ExportFormat(encoding="utf-16")).missing([NESTED])


def test_line_ends_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_bytes(b'id,Name\n1,a\r2,b\r\n3,"c\rc\nc"\n4,d\r5')
    reader = ExportReader(tmp_path, ExportFormat())
    pages = reader.pull(Table(name="deals", key="id", columns={"Name": ColumnType.TEXT}))
    assert [row for page in pages for row in page.rows.rows()] == [("1", "a"), ("2", "b"), ("3", "c\rc\nc"), ("4", "d")]
    assert [str(problem) for problem in reader.problems] == [
        "deals.csv:8: the row has 1 cell, the header has 2: it was cut off, or a line break is not quoted"
    ]


def test_the_nearest_header_and_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "Deals.csv").write_bytes(b"Id,Stages\n")
    tables = [
        Table(name="deals", key="id", columns={"stage": ColumnType.TEXT}),
        Table(name="deal", key="id", columns={}),
    ]
    missing = {item.table: item.columns for item in ExportReader(tmp_path, ExportFormat()).missing(tables)}
    assert missing == {
        "deals": {"stage": "Deals.csv has no column stage (did you mean Stages?)"},
        "deal": {"id": "the export has no file deal.csv (did you mean Deals?)"},
    }


@pytest.mark.parametrize("name", ["place", "position", "record", "row", "since", "native", "value"])
def test_columns_and_evidence_may_be_called_what_they_like(tmp_path: Path, name: str) -> None:
    written(tmp_path, {"deals.csv": HEADER.replace("Next", name) + "1,Acme,Ann,01/05/2026,1,Offer,Open,tbd,1,\n"})
    for file in ("sales.yaml", "mapping.yaml"):
        words = (tmp_path / file).read_text(encoding="utf-8").replace("next_step:", f"{name}:")
        words = words.replace("field: Next", f"field: {name}").replace("stated(next_step)", f"stated({name})")
        (tmp_path / file).write_text(words, encoding="utf-8")
    line = ["--mapping", str(tmp_path / "mapping.yaml"), "--definitions", str(tmp_path / "sales.yaml")]
    done = CliRunner().invoke(
        app, ["audit", "--from", str(tmp_path / "export"), *line, "--format", "json"], catch_exceptions=False
    )
    found = rules(json.loads(done.stdout))
    assert found == {("1", f"placeholder.{name}"), ("1", "premature")}


@pytest.mark.parametrize("name", ["*", "^.*$", ":row", "Next?unreadable"])
def test_a_name_that_means_something_else_to_the_engine_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path, {}, MAPPING.replace("field: Next", f"field: '{name}'"))
    with pytest.raises(ConfigurationError, match="rename it in the file"):
        load_mapping(tmp_path / "mapping.yaml", load_definition(tmp_path / "sales.yaml"))


CALLS = MAPPING.replace("objects:", "tables:\n  calls: {Deals: text}\nobjects:").replace(
    "calls: {field: Calls}", "calls: {count: calls, on: Deals}"
)
TALKED = {
    "deals.csv": HEADER + "".join(f"{n},D,Ann,01/05/2026,1,Offer,Open,call,,\n" for n in (1, 2, 3)),
    "calls.csv": "Id,Deals\na,1\nb,1; 2;1\nc,\n",
}


def test_a_cell_may_name_several_records(tmp_path: Path) -> None:
    """As HubSpot exports associations. Taken for one id it would be a count that is too low."""
    found, _ = audited(tmp_path, TALKED, CALLS)
    assert not [one for one in found["findings"] if one["kind"] == "premature"]
    (unknown,) = [one for one in found["scope"][0]["unknown"] if one["criterion"] == "spoken"]
    assert unknown["reason"] == (
        "calls is unknown: calls.Deals has several ids in a cell, such as '1; 2;1'; write 'several: \";\"' under "
        "'export' in the mapping"
    )


def test_where_it_is_declared_each_of_them_counts(tmp_path: Path) -> None:
    line = written(tmp_path, TALKED, CALLS.replace("\nexport:", '\nexport:\n  several: ";"'))
    done = CliRunner().invoke(app, ["explain", "D 1", *line, "--format", "json"], catch_exceptions=False)
    counts = {one["record"]: one["ladder"][1]["criteria"][0]["value"] for one in json.loads(done.stdout)}
    assert counts == {"1": "2", "2": "1", "3": "0"}


def test_an_export_is_explained_and_listed_as_of_the_day_that_its_mapping_names(tmp_path: Path) -> None:
    rows = "1,Acme,Ann,01/05/2026,100,Contacted,Open,call,1,01/31/2026\n"
    line = written(tmp_path, {"deals.csv": HEADER + rows}, MAPPING.replace("  dates:", "  as_of: 2026-01-31\n  dates:"))
    listed = CliRunner().invoke(app, ["list", "proposals", *line], catch_exceptions=False)
    assert "export deals 1  Acme 100, stands on 'lead'" in listed.stdout
    told = CliRunner().invoke(app, ["explain", "1", *line], catch_exceptions=False)
    assert "stands on 'lead' (Contacted) since 2026-01-05, says creation of the record" in told.stdout
    assert "Finding: stalled" in told.stdout
    assert "past" not in told.stdout  # On its last day in Berlin a deal may still close.
    later = CliRunner().invoke(app, ["explain", "1", *line, "--as-of", "2026-02-01"], catch_exceptions=False)
    assert "Finding: contradiction.past" in later.stdout


def test_names_and_values_stand_in_one_line_whatever_is_in_them(tmp_path: Path) -> None:
    rows = '1,"Two\nlines \x1b[2J",Ann,01/05/2026,100,Offer,Open,"a\nb\x07c",,\n'
    rows += "2,Bolt,Ann,01/05/2026,,Offer,Open,call,x,\n"
    line = written(tmp_path, {"deals.csv": HEADER + rows})
    for command in (["audit"], ["explain", "1"], ["list", "lead", "--format", "markdown"], ["list", "lead"]):
        done = CliRunner().invoke(app, [*command, *line], catch_exceptions=False)
        assert done.exit_code == 0
        assert "Two lines  " in done.stdout
        assert "\x1b" not in done.stdout
    assert "in 'Offer', 100, Ann\n" in CliRunner().invoke(app, ["audit", *line]).stdout
    assert "next_step is 'a b c'" in CliRunner().invoke(app, ["explain", "1", *line]).stdout
    assert (
        "1 more record may have earned it: some evidence" in CliRunner().invoke(app, ["list", "proposal", *line]).stdout
    )


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("lost", "'lost' is a parking place, which nobody earns"),
        ("custmer", "did you mean 'customer'?"),
        ("x", "there are"),
    ],
)
def test_a_list_of_what_is_no_stage_says_what_there_is(tmp_path: Path, stage: str, said: str) -> None:
    line = written(tmp_path, {"deals.csv": HEADER + "1,Acme,Ann,01/05/2026,100,Offer,Open,call,1,\n"})
    refused = CliRunner().invoke(app, ["list", stage, *line])
    assert isinstance(refused.exception, UsageError)
    assert said in str(refused.exception)


@pytest.mark.parametrize("command", [["audit"], ["list", "leads"], ["explain", "1"]])
def test_options_of_exports_mean_nothing_without_one(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--as-of", "2026-01-31"])
    assert str(done.exception) == "--as-of is for exports; give their folder with --from"


@pytest.mark.parametrize("kind", ["text", "date", "datetime", "boolean", "integer"])
def test_definitions_that_want_another_type_are_tried_out(tmp_path: Path, kind: str) -> None:
    line = written(tmp_path, {"deals.csv": HEADER + "1,Acme,Ann,01/05/2026,1,Offer,Open,tbd,1,\n"})[:-2]
    new = DEFINITION.replace("next_step: {type: text}", f"next_step: {{type: {kind}}}")
    new = new.replace("stated(next_step)", "next_step is not null")
    (tmp_path / "new.yaml").write_text(new, encoding="utf-8")
    definitions = [str(tmp_path / "sales.yaml"), str(tmp_path / "new.yaml")]
    done = CliRunner().invoke(app, ["impact", *definitions, *line, "--format", "csv"], catch_exceptions=False)
    changed = [row.split(",")[0] for row in done.stdout.splitlines()[1:] if ",premature," in row]
    # "tbd" is a value of a text; as any other type it cannot be read, and what is unknown demotes nobody.
    assert changed == ["lost"]
