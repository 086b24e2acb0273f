"""``stagesync log``: runs, one run, one record, and whether the chain holds."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from stagesync.cli import show
from stagesync.cli.options import Format
from stagesync.errors import LedgerError
from stagesync.ledger import Entry, EntryKind, Ledger, RunRecord
from stagesync.settings import load_settings


@contextmanager
def _ledger(config: Path) -> Iterator[Ledger]:
    with Ledger.open(load_settings(config).ledger_url) as ledger:
        yield ledger


def list_runs(config: Path, *, limit: int, output: Format) -> int:
    """The newest runs."""
    with _ledger(config) as ledger:
        runs = ledger.runs(limit=limit)
        total = ledger.count(kind=EntryKind.RUN_STARTED)
    rows = [_run(run) for run in runs]
    columns = ("run", "command", "started", "result", "findings", "planned", "outcomes")
    _rows(rows, columns, output, title="Runs", left=total - len(runs), what="runs")
    return 0


def show_run(config: Path, run_id: str, *, output: Format, limit: int) -> int:
    """One run with the changes that it made."""
    with _ledger(config) as ledger:
        run = ledger.run(run_id)
        changes = ledger.changes(run.id)
        moved = {kind: ledger.count(run=run.id, kind=kind) for kind in _FINDING_KINDS}
    rows = [
        {
            "change": str(change.kind),
            "connection": change.connection,
            "object": change.object,
            "record": change.record,
            "name": change.record_name,
            "before": _values(change.before),
            "after": _values(change.after) or (change.task.subject if change.task else ""),
            "outcome": str(outcome.result) if outcome else "not known yet",
            "detail": outcome.detail if outcome else "",
        }
        for change, outcome in changes
    ]
    if output is Format.JSON:
        document = {**_run(run), "facts": dict(run.facts), "summary": dict(run.summary or {}), "changes": rows}
        _json({**document, "finding_entries": moved})
        return 0
    if output is Format.TABLE:
        _about(run, moved)
    shown = rows[:limit] if limit else rows
    _rows(shown, tuple(_CHANGE_COLUMNS), output, title="Changes", left=len(rows) - len(shown), what="changes")
    return 0


UNBROKEN = 3
"""How many columns, from the left, are never broken into two lines: they hold ids, kinds and times."""

_FINDING_KINDS = (EntryKind.FINDING_OPENED, EntryKind.FINDING_CHANGED, EntryKind.FINDING_RESOLVED)
_CHANGE_COLUMNS = ("change", "connection", "object", "record", "name", "before", "after", "outcome", "detail")


def show_record(config: Path, record: str, *, output: Format, limit: int) -> int:
    """All entries about a record."""
    with _ledger(config) as ledger:
        entries = list(ledger.entries(record=record, limit=limit or None))
        total = ledger.count(record=record)
    rows = [_entry(entry) for entry in entries]
    columns = ("seq", "at", "run", "kind", "rule", "says")
    _rows(rows, columns, output, title=f"Entries about {record}", left=total - len(rows), what="entries")
    return 0


def verify(config: Path) -> int:
    """Recompute the chain. Raises LedgerError with the place when it does not hold."""
    with _ledger(config) as ledger:
        found = ledger.verify()
    if not found.ok:
        raise LedgerError(f"the ledger's chain is broken at entry {found.at_seq}: {found.problem}")
    show.out.print(f"The chain of {found.entries:,} entries holds; head {found.head}", markup=False, soft_wrap=True)
    return 0


def _run(run: RunRecord) -> dict[str, Any]:
    summary = dict(run.summary or {})
    scope = summary.get("scope")
    outcomes = summary.get("outcomes")
    return {
        "run": run.id,
        "command": run.command,
        "started": f"{run.started:%Y-%m-%dT%H:%M:%SZ}",
        "result": run.result or "not finished",
        "findings": sum(entry["findings"] for entry in scope) if isinstance(scope, list) else "",
        "planned": summary.get("planned", ""),
        "outcomes": _values(outcomes) if isinstance(outcomes, dict) else "",
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(timespec="seconds"),
        "run": entry.run or "",
        "kind": str(entry.kind),
        "rule": entry.rule or "",
        "says": _says(entry),
    }


def _says(entry: Entry) -> str:
    body = entry.body
    if "finding" in body:
        return "; ".join(str(evidence["reason"]) for evidence in body["finding"].get("evidence", ()))
    if "change" in body:
        change = body["change"]
        after = _values(change.get("after") or {})
        return f"{change['kind']} {_values(change.get('before') or {})} -> {after}" if after else str(change["kind"])
    if "outcome" in body:
        outcome = body["outcome"]
        return f"{outcome['result']} {outcome.get('detail', '')}".strip()
    return str(body.get("text", ""))


def _values(values: Any) -> str:
    return ", ".join(f"{name}: {value}" for name, value in dict(values).items())


def _about(run: RunRecord, moved: dict[EntryKind, int]) -> None:
    lines = [
        f"Run {run.id}: {run.command}, {run.result or 'not finished'}",
        f"  started {run.started:%Y-%m-%d %H:%M:%S} UTC"
        + (f", finished {run.finished:%H:%M:%S}" if run.finished else ", never finished"),
        f"  findings: {moved[EntryKind.FINDING_OPENED]:,} new, {moved[EntryKind.FINDING_CHANGED]:,} changed, "
        f"{moved[EntryKind.FINDING_RESOLVED]:,} gone",
    ]
    summary = dict(run.summary or {})
    scope = summary.get("scope")
    lines += [
        f"  {entry['connection']} {entry['object']}: {entry['evaluated']} of {entry['in_scope']} judged"
        for entry in (scope if isinstance(scope, list) else ())
    ]
    errors = summary.get("errors")
    lines += [f"  failed: {message}" for message in (errors.values() if isinstance(errors, dict) else ())]
    refusals = summary.get("refusals")
    lines += [f"  refused: {refusal}" for refusal in (refusals if isinstance(refusals, list) else ())]
    for line in lines:
        show.out.print(line, markup=False, soft_wrap=True)
    show.out.print()


def _rows(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], output: Format, *, title: str, left: int, what: str
) -> None:
    match output:
        case Format.JSON:
            _json(list(rows))
        case Format.CSV:
            sys.stdout.write(_csv(rows, columns))
        case Format.MARKDOWN:
            sys.stdout.write(_markdown(rows, columns))
        case Format.TABLE if not rows:
            show.out.print(f"No {what}.")
        case Format.TABLE:
            table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
            for number, column in enumerate(columns):
                table.add_column(column, overflow="fold", no_wrap=number < UNBROKEN)
            for row in rows:
                table.add_row(*(Text(str(row[column])) for column in columns))
            show.out.print(table)
    if left > 0:
        show.err.print(f"{left:,} more {what} are not shown; --limit shows more.", markup=False)


def _json(document: object) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def _csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _markdown(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        cells = (str(row[column]).replace("|", "\\|").replace("\n", " ") for column in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
