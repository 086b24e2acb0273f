"""Writes reports piece by piece, so that a million findings need no more memory than a few."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from stagesync.audit.forecast import Forecast
from stagesync.audit.judgement import Judgement
from stagesync.model.counting import counted
from stagesync.model.findings import Finding
from stagesync.report.documents import finding_row, summary

FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""What a spreadsheet takes for the start of a formula, the wide forms of East Asian keyboards too."""
FINDING_COLUMNS = (
    "connection",
    "object",
    "record",
    "record_name",
    "owner",
    "owner_name",
    "kind",
    "rule",
    "severity",
    "mode",
    "stage",
    "native_stage",
    "earned",
    "since",
    "amount",
    "why",
)
MARKDOWN_COLUMNS = ("object", "record_name", "owner_name", "rule", "native_stage", "earned", "amount", "why")


def as_json(
    run: str | None,
    as_of: datetime,
    judgements: Sequence[Judgement],
    findings: Iterable[Finding],
    forecasts: Sequence[Forecast] = (),
) -> Iterator[str]:
    """The audit as one JSON document (``documents.Report``) in pieces: the summary, then each finding on a line."""
    encoder = msgspec.json.Encoder()
    head = msgspec.json.format(encoder.encode(summary(run, as_of, judgements, forecasts)), indent=2)
    yield head.removesuffix(b"\n}").decode() + ',\n  "findings": ['
    before = "\n    "
    for finding in findings:
        yield before + msgspec.json.format(encoder.encode(finding_row(finding)), indent=0).decode()
        before = ",\n    "
    yield "\n  ]\n}\n"


def as_csv(findings: Iterable[Finding]) -> Iterator[str]:
    """One line a finding, with a header; texts that a spreadsheet would run as a formula are quoted."""
    return lines_of_csv(FINDING_COLUMNS, map(_row, findings))


def lines_of_csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Rows with a header; texts that a spreadsheet would run as a formula are quoted."""
    writer = csv.writer(_Passing(), lineterminator="\n")
    yield str(writer.writerow(columns))
    for row in rows:
        yield str(writer.writerow([_harmless(row[column]) for column in columns]))


class _Passing:
    """A file that keeps nothing: ``writerow`` returns the line that it would have written."""

    @staticmethod
    def write(line: str) -> str:
        return line


def as_markdown(findings: Sequence[Finding], limit: int) -> Iterator[str]:
    """A table for a pull request or a wiki, with what was left out below it."""
    yield "| " + " | ".join(MARKDOWN_COLUMNS) + " |\n"
    yield "|" + " --- |" * len(MARKDOWN_COLUMNS) + "\n"
    for finding in findings[:limit] if limit < len(findings) else findings:
        row = _row(finding)
        # An export knows its owners by what stands in a column alone.
        row["owner_name"] = row["owner_name"] or row["owner"]
        yield "| " + " | ".join(cell(row[column]) for column in MARKDOWN_COLUMNS) + " |\n"
    if len(findings) > limit:
        yield f"\n{counted(len(findings) - limit, 'more finding is', 'more findings are')} not shown.\n"


def _row(finding: Finding) -> dict[str, str]:
    why = "; ".join(evidence.reason for evidence in finding.evidence)
    since = finding.since.isoformat() if finding.since else None
    values = {column: getattr(finding, column) for column in FINDING_COLUMNS if column not in ("why", "since")}
    return {
        name: "" if value is None else str(value) for name, value in (values | {"why": why, "since": since}).items()
    }


def _harmless(text: str) -> str:
    if text[:1] in FORMULA and not _is_number(text):
        text = "'" + text
    # csv quotes line feeds but not a lone carriage return, at which readers would begin a new row.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def cell(text: str) -> str:
    """Text in a cell of a Markdown table: no new cell, no new line, no HTML, no link and no picture."""
    for character in ("\\", "|", "[", "`"):
        text = text.replace(character, "\\" + character)
    return " ".join(text.replace("<", "&lt;").splitlines())
