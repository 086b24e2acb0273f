"""A folder of exports, whole and broken."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagesync.connectors.exports import ExportFormat, ExportReader, csv_rows
from stagesync.connectors.exports.csv_rows import CsvFile
from stagesync.connectors.exports.problems import Problems
from stagesync.errors import ConfigurationError
from stagesync.model.tables import ColumnType, Table
from tests.thorough import tries

DEALS = Table(name="Deal", key="Id", columns={"Name": ColumnType.TEXT, "Amount": ColumnType.NUMBER})


def folder(tmp_path: Path, **files: str | bytes) -> Path:
    """A folder with these CSV files."""
    for stem, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / f"{stem}.csv").write_bytes(raw)
    return tmp_path


def pull(reader: ExportReader, table: Table = DEALS) -> pl.DataFrame:
    """All rows of a table."""
    return pl.concat([page.rows for page in reader.pull(table)], how="diagonal")


def read(tmp_path: Path, content: str | bytes, style: ExportFormat | None = None) -> tuple[list[object], list[str]]:
    """The rows of Deal.csv and what was said about the others."""
    reader = ExportReader(folder(tmp_path, Deal=content), style or ExportFormat())
    rows: list[object] = list(pull(reader).rows())
    return rows, [str(problem) for problem in reader.problems]


def test_a_table_is_found_whatever_its_case_and_columns_may_stand_anywhere(tmp_path: Path) -> None:
    reader = ExportReader(folder(tmp_path, DEAL="\ufeffOther, amount ,NAME,id\nx,5,n,1\n"), ExportFormat())
    assert not reader.missing([DEALS])
    assert pull(reader).rows(named=True) == [{"Id": "1", "Name": "n", "Amount": 5.0}]


def test_identity_is_the_folder(tmp_path: Path) -> None:
    identity = ExportReader(folder(tmp_path, Deal="Id\n"), ExportFormat()).identity()
    assert (identity.crm, identity.key, identity.name) == ("export", tmp_path.name, tmp_path.name)


def test_quotes_line_breaks_and_json_inside_cells(tmp_path: Path) -> None:
    content = 'Id,Name,Amount\r\n1,"a\r\nb, ""c""",1\r\n2,"{""city"":""X"",""n"":[1,2]}",2\r\n3,5" pipe,3'
    rows, problems = read(tmp_path, content)
    assert rows == [("1", 'a\r\nb, "c"', 1.0), ("2", '{"city":"X","n":[1,2]}', 2.0), ("3", '5" pipe', 3.0)]
    assert problems == []


def test_a_bad_row_costs_only_itself(tmp_path: Path) -> None:
    content = 'Id,Name,Amount\n1,a,1\n2,"b\nb",2\n\n3,cut\n4,d,4,too,many\n5,e,5,,\n6,f,6\n'
    rows, problems = read(tmp_path, content)
    assert [row[0] for row in rows] == ["1", "2", "5", "6"]  # type: ignore[index]
    assert [problem.split(": ")[0] for problem in problems] == ["Deal.csv:6", "Deal.csv:7"]
    assert "has 2 cells, the header has 3" in problems[0]


def test_a_quotation_mark_that_is_not_closed_costs_one_line(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, 'Id,Name,Amount\n1,a,1\n2,"open,2\n3,c,3\n4,d,4\n')
    assert [row[0] for row in rows] == ["1", "3", "4"]  # type: ignore[index]
    assert len(problems) == 1
    assert problems[0].startswith("Deal.csv:3")


def test_a_row_in_another_encoding_is_left_out_and_the_declared_encoding_reads_it(tmp_path: Path) -> None:
    content = "Id,Name,Amount\n1,Müller,1\n2,b,2\n".encode("windows-1252")
    rows, problems = read(tmp_path, content)
    assert rows == [("2", "b", 2.0)]
    assert "windows-1252" in problems[0]
    assert read(tmp_path, content, ExportFormat(encoding="windows-1252"))[0][0] == ("1", "Müller", 1.0)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    content = 'Id;Name;Amount\n1;"Ä\nö";€ 3.500,00\n'.replace("€", "€" if encoding != "latin-1" else "EUR")
    style = ExportFormat(encoding=encoding, delimiter=";", decimal=",")
    assert read(tmp_path, content.encode(encoding), style) == ([("1", "Ä\nö", 3500.0)], [])


def test_old_line_ends_and_a_single_column(tmp_path: Path) -> None:
    assert read(tmp_path, "Id,Name,Amount\r1,a,1\r2,b,2")[0] == [("1", "a", 1.0), ("2", "b", 2.0)]
    reader = ExportReader(folder(tmp_path, Only="Id\n1\n\n2\n"), ExportFormat())
    assert pull(reader, Table(name="Only", key="Id", columns={}))["Id"].to_list() == ["1", "2"]


def test_a_table_without_rows_is_there(tmp_path: Path) -> None:
    reader = ExportReader(folder(tmp_path, Deal="Id,Name,Amount\n"), ExportFormat())
    rows = pull(reader)
    assert rows.height == 0
    assert rows.columns == ["Id", "Name", "Amount"]


def test_what_is_not_there_is_missing_with_a_reason(tmp_path: Path) -> None:
    reader = ExportReader(folder(tmp_path, Deal="Id,Name\n", Void=""), ExportFormat())
    (tmp_path / "Task.xlsx").write_bytes(b"PK")
    reader = ExportReader(tmp_path, ExportFormat())
    tables = [DEALS, *(Table(name=name, key="Id", columns={}) for name in ("Void", "EmailMessage", "Task"))]
    assert {item.table: dict(item.columns) for item in reader.missing(tables)} == {
        "Deal": {"Amount": "Deal.csv has no column Amount"},
        "Void": {"Id": "Void.csv is empty"},
        "EmailMessage": {"Id": "the export has no file EmailMessage.csv"},
        "Task": {"Id": "Task.xlsx cannot be read; save it as CSV"},
    }
    assert pull(reader).columns == ["Id", "Name"]
    assert list(reader.pull(tables[2])) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Id;Name;Amount\n1;a;1\n", "set 'delimiter: ';''"),
        (b"PK\x03\x04rest", "workbook"),
        (b"Id,Name,Amount\n\x00\x01", "zero bytes"),
        ("Id,Name\n".encode("utf-16"), "encoding: utf-16"),
        (b"x" * 300_000, "a line of more than"),
        (b"Id,Name,Amount\n" + b"x" * 5_000_000, "a line of more than"),
        (b"Id,Name,Amount\n" + b"junk\n" * 5_000, "make no sense"),
        (b"Id,Name,Amount\n" + b'"' * 99 + b'\n",\n' * 90_000, "make no sense"),
    ],
)
def test_junk_is_refused_with_the_file_and_a_remedy(tmp_path: Path, content: bytes, said: str) -> None:
    reader = ExportReader(folder(tmp_path, Deal=content), ExportFormat())
    with pytest.raises(ConfigurationError, match=r"^Deal\.csv") as caught:
        pull(reader)
    assert said in str(caught.value)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("Id\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, said in ((tmp_path / "no", "no folder"), (file, "is a file"), (empty, "holds no exported table")):
        with pytest.raises(ConfigurationError, match=said):
            ExportReader(path, ExportFormat())


def test_two_files_for_one_table(tmp_path: Path) -> None:
    (tmp_path / "deal.jsonl").write_text('{"Id": "1"}\n')
    reader = ExportReader(folder(tmp_path, Deal="Id\n1\n"), ExportFormat())
    with pytest.raises(ConfigurationError, match=r"Deal\.csv and deal\.jsonl"):
        reader.missing([DEALS])


def test_a_format_that_makes_no_sense(tmp_path: Path) -> None:
    folder(tmp_path, Deal="Id\n")
    for style in (ExportFormat(time_zone="Mars/Olympus"), ExportFormat(dates=("%H",)), ExportFormat(delimiter='"')):
        with pytest.raises(ConfigurationError):
            ExportReader(tmp_path, style)


def test_a_second_look_at_some_records(tmp_path: Path) -> None:
    reader = ExportReader(folder(tmp_path, Deal="Id,Name,Amount\n1,a,1\n2,b,2\n3,c,x\n"), ExportFormat())
    assert reader.current(DEALS, ["3", "1", "9"])["Id"].to_list() == ["1", "3"]
    assert reader.own_tasks(["k"]) == {}
    assert reader.stages("Deal", "Stage") == ()
    assert reader.owners() == ()


def test_many_blocks_and_a_bad_row_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "BLOCK", 1_000)
    monkeypatch.setattr(csv_rows, "LARGEST_ROW", 2_000)
    lines = [f'{n},"name\n{n}",{n}' for n in range(500)]
    lines[250] = "250,cut off"
    rows, problems = read(tmp_path, "Id,Name,Amount\n" + "\n".join(lines) + "\n")
    assert [row[0] for row in rows] == [str(n) for n in range(500) if n != 250]  # type: ignore[index]
    assert [problem.split(": ")[0] for problem in problems] == ["Deal.csv:502"]


def test_json_lines(tmp_path: Path) -> None:
    (tmp_path / "Deal.jsonl").write_text(
        '{"Id": 1, "Name": " a ", "Amount": 1.5}\n{"Id": "2", "Name": {"x": [1]}, "Amount": "2,5"}\n'
        '{"Id": 3\n[1]\n\n{"Id": "4", "Amount": null}\n'
    )
    reader = ExportReader(tmp_path, ExportFormat(decimal=","))
    assert not reader.missing([DEALS])
    assert pull(reader).rows() == [("1", "a", 1.5), ("2", '{"x":[1]}', 2.5), ("4", None, None)]
    assert [problem.line for problem in reader.problems] == [3, 4]
    assert reader.unreadable == {"Deal": 2}


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "Id": [1, 2],
            "Name": ["a", " "],
            "Amount": [1.5, float("nan")],
            "Day": [date(2024, 1, 2), None],
            "N": [1.5, 2],
        }
    ).write_parquet(tmp_path / "Deal.parquet")
    table = Table(name="Deal", key="Id", columns={**DEALS.columns, "Day": ColumnType.DATETIME, "N": ColumnType.INTEGER})
    rows = pull(ExportReader(tmp_path, ExportFormat()), table)
    assert rows["Id"].to_list() == ["1", "2"]
    assert rows["Name"].to_list() == ["a", None]
    assert rows["Amount"].to_list() == [1.5, None]
    assert rows["Amount?unreadable"].to_list() == [False, True]
    assert rows["N"].to_list() == [None, 2]
    assert str(rows["Day"][0]) == "2024-01-02 00:00:00+00:00"
    (tmp_path / "Deal.parquet").write_bytes(b"PAR1 junk")
    with pytest.raises(ConfigurationError, match=r"Deal\.parquet"):
        pull(ExportReader(tmp_path, ExportFormat()))


any_cell = st.text(alphabet=st.sampled_from('ab,;"\n é'), max_size=6)
plain_cell = st.text(alphabet="abé ", min_size=1, max_size=4).filter(str.strip)


def written(path: Path, rows: list[list[str]], end: str) -> CsvFile:
    """A file of three columns, written by Python's csv module."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator=end).writerows([["A", "B", "C"], *rows])
    return CsvFile.open(path, ExportFormat())


def found(file: CsvFile, problems: Problems) -> list[list[str]]:
    """All rows that are read, blank cells as Python has them."""
    return [[cell or "" for cell in row] for page in file.pages(["A", "B", "C"], problems) for row in page.rows()]


@settings(max_examples=tries(ordinary=150, soak=1_000), deadline=None)
@given(rows=st.lists(st.lists(any_cell, min_size=3, max_size=3), max_size=12), end=st.sampled_from(["\n", "\r\n"]))
def test_whatever_stands_in_cells_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str
) -> None:
    problems = Problems(file="T.csv")
    file = written(tmp_path_factory.mktemp("any") / "T.csv", rows, end)
    assert found(file, problems) == rows
    assert problems.total == 0


@settings(max_examples=tries(ordinary=150, soak=1_000), deadline=None)
@given(rows=st.lists(st.lists(plain_cell, min_size=2, max_size=5), max_size=12))
def test_rows_of_another_width_are_counted_and_the_others_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    problems = Problems(file="T.csv")
    file = written(tmp_path_factory.mktemp("any") / "T.csv", rows, "\n")
    assert found(file, problems) == [row for row in rows if len(row) == 3]
    assert [problem.line for problem in problems.shown] == [n for n, row in enumerate(rows, 2) if len(row) != 3]


@settings(max_examples=tries(ordinary=150, soak=1_000), deadline=None)
@given(junk=st.one_of(st.binary(max_size=300), st.text(alphabet='a,"\n\r;é\x00', max_size=200).map(str.encode)))
def test_junk_is_read_or_refused_and_never_breaks(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk")
    folder(path, Deal=b"Id,Name,Amount\n" + junk)
    reader = ExportReader(path, ExportFormat())
    try:
        rows = pull(reader)
    except ConfigurationError:
        return
    assert rows.height + sum(reader.unreadable.values()) <= junk.count(b"\n") + junk.count(b"\r") + 1
