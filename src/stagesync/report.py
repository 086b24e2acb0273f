"""Findings and changes as JSON, CSV and Markdown. Every list says how many it left out.

The JSON is documented in docs/report.md; ``REPORT_VERSION`` counts its incompatible changes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from stagesync.audit.engine import Judgement
from stagesync.audit.forecast import Forecast
from stagesync.model.changes import Change, Plan
from stagesync.model.findings import Finding

REPORT_VERSION = 1
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


def as_json(
    run: str | None,
    as_of: datetime,
    judgements: Sequence[Judgement],
    findings: Sequence[Finding],
    forecasts: Sequence[Forecast] = (),
) -> str:
    """The audit as one JSON document, with a line break at the end."""
    document = {
        "version": REPORT_VERSION,
        "run": run,
        "as_of": as_of.isoformat(),
        "scope": [_scope(judgement) for judgement in judgements],
        "findings": [_finding(finding) for finding in findings],
        "forecast": [_forecast(forecast) for forecast in forecasts],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _scope(judgement: Judgement) -> dict[str, Any]:
    return {
        "connection": judgement.scope.connection,
        "object": judgement.scope.object,
        "in_scope": judgement.scope.in_scope,
        "evaluated": judgement.scope.evaluated,
        "skipped": dict(judgement.scope.skipped),
        "unknown": [
            {"criterion": entry.criterion, "reason": entry.reason, "records": entry.records}
            for entry in judgement.not_judged
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "key": finding.key,
        "connection": finding.connection,
        "object": finding.object,
        "record": finding.record,
        "record_name": finding.record_name,
        "owner": finding.owner,
        "owner_name": finding.owner_name,
        "kind": finding.kind,
        "rule": finding.rule,
        "severity": finding.severity,
        "mode": finding.mode,
        "stage": finding.stage,
        "native_stage": finding.native_stage,
        "pipeline": finding.pipeline,
        "earned": finding.earned,
        "since": finding.since.isoformat() if finding.since else None,
        "since_source": finding.since_source,
        "amount": finding.amount,
        "evidence": [
            {
                "criterion": evidence.criterion,
                "verdict": evidence.verdict,
                "reason": evidence.reason,
                "value": evidence.value,
                "source": evidence.source,
                "ask": evidence.ask,
            }
            for evidence in finding.evidence
        ],
    }


def _forecast(forecast: Forecast) -> dict[str, Any]:
    return {
        "connection": forecast.connection,
        "object": forecast.object,
        "win_rates": [
            {"stage": rate.stage, "rate": rate.rate, "won": rate.won, "closed": rate.closed, "reason": rate.reason}
            for rate in forecast.rates
        ],
        "total": asdict(forecast.total),
        "unearned": asdict(forecast.unearned),
        "by_stage": [{"stage": stage, **asdict(value)} for stage, value in forecast.by_stage.items()],
        "by_owner": [
            {"owner": owned.owner, "owner_name": owned.name, **asdict(owned.value)} for owned in forecast.by_owner
        ],
    }


def as_csv(findings: Sequence[Finding]) -> str:
    """One line a finding, with a header; texts that a spreadsheet would run as a formula are quoted."""
    return lines_of_csv(FINDING_COLUMNS, map(_row, findings))


def lines_of_csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Rows with a header; texts that a spreadsheet would run as a formula are quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_harmless(row[column]) for column in columns])
    return out.getvalue()


def as_markdown(findings: Sequence[Finding], limit: int) -> str:
    """A table for a pull request or a wiki, with what was left out below it."""
    columns = ("object", "record_name", "owner_name", "rule", "native_stage", "earned", "amount", "why")
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for finding in findings[:limit]:
        row = _row(finding)
        lines.append("| " + " | ".join(_cell(row[column]) for column in columns) + " |")
    if len(findings) > limit:
        lines.append(f"\n{len(findings) - limit} more findings are not shown.")
    return "\n".join(lines) + "\n"


def _row(finding: Finding) -> dict[str, str]:
    values = {**_finding(finding), "why": "; ".join(evidence.reason for evidence in finding.evidence)}
    return {column: "" if values[column] is None else str(values[column]) for column in FINDING_COLUMNS}


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


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table: no new cell, no new line, no HTML, no link and no picture."""
    for character in ("\\", "|", "[", "`"):
        text = text.replace(character, "\\" + character)
    return " ".join(text.replace("<", "&lt;").splitlines())


def plan_as_json(run: str, as_of: datetime, plan: Plan, identities: Mapping[str, str]) -> str:
    """A plan as data: the changes in order, what was left out, and the orgs that it is for."""
    document = {
        "version": REPORT_VERSION,
        "run": run,
        "as_of": as_of.isoformat(),
        "orgs": dict(identities),
        "changes": [_change(change) for change in plan.changes],
        "left_out": [
            {
                "connection": entry.connection,
                "object": entry.object,
                "record": entry.record,
                "rule": entry.rule,
                "reason": entry.reason,
            }
            for entry in plan.left_out
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _change(change: Change) -> dict[str, Any]:
    task = change.task
    return {
        "key": change.key,
        "kind": change.kind,
        "connection": change.connection,
        "object": change.object,
        "record": change.record,
        "record_name": change.record_name,
        "owner": change.owner,
        "rule": change.rule,
        "mode": change.mode,
        "reason": change.reason,
        "before": dict(change.before),
        "after": dict(change.after),
        "amount": change.amount,
        "findings": list(change.findings),
        "criteria": list(change.criteria),
        "task": None
        if task is None
        else {"subject": task.subject, "body": task.body, "due": task.due.isoformat(), "owner": task.owner},
        "crm_id": change.crm_id,
    }
