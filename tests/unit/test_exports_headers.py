"""Headers, names of files and ids that look alike to people, and are written in different ways."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from stagesync.connectors.exports import ExportFormat, ExportReader
from stagesync.errors import ConfigurationError
from stagesync.model.tables import ColumnType, Table
from tests.unit.test_exports_as_written import HEADER, MAPPING, audited, rules

DEALS = Table(name="Größen", key="id", columns={"Close Date": ColumnType.TEXT})


def read(folder: Path, content: bytes, name: str = "Größen.csv", style: ExportFormat | None = None) -> object:
    (folder / name).write_bytes(content)
    pages = ExportReader(folder, style or ExportFormat()).pull(DEALS)
    return [row for page in pages for row in page.rows.iter_rows()]


@pytest.mark.parametrize(
    "header",
    [
        "id,Close\u00a0Date",
        "\ufeffid,Close  Date",
        'ID, "Close\nDate"'.replace(", ", ","),
        "id,\u200bclose date\u00ad",
        "\n  \n,,\nid,Close Date",
        "sep=,\n\nid,Close Date",
    ],
)
def test_what_looks_like_the_header_that_is_named_is_that_header(tmp_path: Path, header: str) -> None:
    assert read(tmp_path, f"{header}\n1,soon\n2,late\n".encode()) == [("1", "soon"), ("2", "late")]


def test_a_name_may_be_composed_in_two_ways(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "Größen.csv")
    assert read(tmp_path, b"id,Close Date\n1,soon\n", name) == [("1", "soon")]


def test_the_mark_of_utf_8_says_more_than_the_declared_encoding(tmp_path: Path) -> None:
    style = ExportFormat(encoding="windows-1252")
    assert read(tmp_path, "\ufeffid,Close Date\n1,ü\n".encode(), style=style) == [("1", "ü")]
    assert read(tmp_path, "id,Close Date\n1,ü\n".encode("cp1252"), style=style) == [("1", "ü")]


def test_headers_in_another_encoding_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not in UTF-8; set 'encoding: windows-1252'"):
        read(tmp_path, "id,Close Date,Größe\n1,soon,2\n".encode("cp1252"))


def test_a_file_without_any_column_that_is_named_says_what_it_took_for_headers(tmp_path: Path) -> None:
    assert read(tmp_path, b"All my deals\n1,soon\n") == []
    (missing,) = ExportReader(tmp_path, ExportFormat()).missing([DEALS])
    assert "its first line was read as headers: All my deals" in missing.columns["Close Date"]


COUNTED = MAPPING.replace("{field: Calls}", "{count: calls, on: Deal}").replace(
    "objects:", "tables: {calls: {Deal: text}}\nobjects:"
)


def test_ids_that_are_written_otherwise_in_each_file_demote_nobody(tmp_path: Path) -> None:
    deals = HEADER + "".join(f"{n},Deal {n},Ann,01/05/2026,100,Offer,Open,call,,12/31/2026\n" for n in (1, 2))
    files = {"deals.csv": deals, "calls.csv": "Deal,Day\n1.0,x\n"}
    found, _ = audited(tmp_path, files, COUNTED)
    assert rules(found) == set()
    (unknown,) = found["scope"][0]["unknown"]
    assert unknown["records"] == 2
    assert "there it is such as '1.0', here such as '1'" in unknown["reason"]


def test_a_single_id_that_is_known_proves_that_ids_are_written_alike(tmp_path: Path) -> None:
    deals = HEADER + "".join(f"{n},Deal {n},Ann,01/05/2026,100,Offer,Open,call,,12/31/2026\n" for n in (1, 2))
    found, _ = audited(tmp_path, {"deals.csv": deals, "calls.csv": "Deal\n1\n9.0\n"}, COUNTED)
    assert rules(found) == {("2", "premature")}


def test_a_count_over_a_file_without_its_columns_is_unknown(tmp_path: Path) -> None:
    deals = HEADER + "1,Deal,Ann,01/05/2026,100,Offer,Open,call,,12/31/2026\n"
    found, _ = audited(tmp_path, {"deals.csv": deals, "calls.csv": "what,when\n1,2\n"}, COUNTED)
    assert rules(found) == set()
    assert found["scope"][0]["evaluated"] == 1
