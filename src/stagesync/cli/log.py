"""``stagesync log``: runs, one run, one record, and whether the chain holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from polars.exceptions import PolarsError

from stagesync import report
from stagesync.cli import hints, listing, show
from stagesync.cli.options import Exported, Format
from stagesync.errors import LedgerError, UsageError
from stagesync.ledger import Entry, EntryKind, Ledger, RunRecord, Where
from stagesync.model.counting import counted
from stagesync.policy.document import nearest
from stagesync.settings import load_settings
from stagesync.wiring import utc_now


@contextmanager
def _ledger(config: Path) -> Iterator[Ledger]:
    with Ledger.open(load_settings(config).ledger_url) as ledger:
        yield ledger


def list_runs(config: Path, *, limit: int, output: Format) -> int:
    """The newest runs."""
    with _ledger(config) as ledger:
        runs = ledger.runs(limit=limit or None)
        total = ledger.count(kind=EntryKind.RUN_STARTED)
    rows = [_run(run) for run in runs]
    columns = ("run", "command", "started", "result", "findings", "planned", "outcomes")
    listing.write(rows, columns, output, _run_line, title="Runs", left=total - len(runs), one="run", many="runs")
    return 0


def show_run(config: Path, run_id: str, *, output: Format, limit: int) -> int:
    """One run with the changes that it made."""
    with _ledger(config) as ledger:
        run = ledger.run(run_id)
        changes = ledger.changes(run.id)
        moved = {kind: ledger.count(run=run.id, kind=kind) for kind in _FINDING_KINDS}
        signed = _signed(ledger, run)
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
        listing.as_json({**document, "finding_entries": moved, "plan": signed})
        return 0
    if output is Format.TABLE:
        _about(run, moved, signed)
    shown = rows[:limit] if limit else rows
    listing.write(
        shown,
        _CHANGE_COLUMNS,
        output,
        _change_line,
        title="Changes",
        left=len(rows) - len(shown),
        one="change",
        many="changes",
    )
    return 0


_FINDING_KINDS = (EntryKind.FINDING_OPENED, EntryKind.FINDING_CHANGED, EntryKind.FINDING_RESOLVED)
_CHANGE_COLUMNS = ("change", "connection", "object", "record", "name", "before", "after", "outcome", "detail")


def show_record(config: Path, record: str, *, output: Format, limit: int) -> int:
    """All entries about a record."""
    with _ledger(config) as ledger:
        entries, total = ledger.page(record=record, limit=limit or None)
    rows = [_entry(entry) for entry in entries]
    columns = ("seq", "at", "run", "kind", "rule", "says")
    listing.write(
        rows,
        columns,
        output,
        _entry_line,
        title=f"Entries about {record}",
        left=total - len(rows),
        one="entry",
        many="entries",
    )
    return 0


def list_entries(config: Path, where: Where, *, output: Format, limit: int) -> int:
    """The newest entries for which all that is asked holds."""
    _check_kind(where.get("kind"))
    with _ledger(config) as ledger:
        entries, total = ledger.page(limit=limit or None, **where)
    rows = [{**_entry(entry), "record": entry.record or ""} for entry in entries]
    columns = ("seq", "at", "run", "kind", "record", "rule", "says")
    line = _kind_line if where.get("kind") else _any_line
    listing.write(rows, columns, output, line, title="Entries", left=total - len(rows), one="entry", many="entries")
    return 0


EXPORTED = (
    "seq",
    "place",
    "at",
    "run",
    "kind",
    "connection",
    "object",
    "record",
    "rule",
    "owner",
    "key",
    "body",
    "hash",
)


def export(config: Path, where: Where, *, out: Path, form: Exported) -> int:
    """All entries for which all that is asked holds, oldest first, with everything that they say, into a file."""
    _check_kind(where.get("kind"))
    count = 0

    def tallied(entries: Iterator[Entry]) -> Iterator[Entry]:
        nonlocal count
        for entry in entries:
            count += 1
            yield entry

    with _ledger(config) as ledger, _whole(out) as file:
        _WRITERS[form](tallied(ledger.entries(newest_first=False, **where)), file)
    show.out.print(f"{counted(count, 'entry is', 'entries are')} in {out}.", markup=False, soft_wrap=True)
    return 0


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """The file to write, which takes the place of ``out`` once it is written to its end: whoever prunes next would take
    half of it for all there was. An earlier file of the name stays until then.

    Raises UsageError where it cannot be written.
    """
    device = out.exists() and not out.is_file()
    file = out if device else out.with_name(f"{out.name}.part")
    try:
        yield file
        if not device:
            file.replace(out)
    except BaseException as error:
        if not device:
            with suppress(OSError):
                file.unlink()
        if isinstance(error, OSError | PolarsError):  # polars has an error of its own for a full disk
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"{out}: the export cannot be written: {why}") from error
        raise


def _plain(entry: Entry) -> dict[str, Any]:
    # The body as its text: a column of a table has one type.
    row = {name: getattr(entry, name) for name in EXPORTED}
    return {**row, "at": entry.at.isoformat(), "kind": str(entry.kind), "body": _body_text(entry)}


def _body_text(entry: Entry) -> str:
    return json.dumps(entry.body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _write_csv(entries: Iterator[Entry], out: Path) -> None:
    texts = ({name: "" if value is None else str(value) for name, value in _plain(entry).items()} for entry in entries)
    with out.open("w", encoding="utf-8", newline="") as file:
        file.writelines(report.lines_of_csv(EXPORTED, texts))


def _write_json_lines(entries: Iterator[Entry], out: Path) -> None:
    with out.open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps({**_plain(entry), "body": entry.body}, ensure_ascii=False) + "\n")


def _write_parquet(entries: Iterator[Entry], out: Path) -> None:
    """In parts beside the file, which are then put together as a stream: memory does not grow with the ledger."""
    import polars as pl

    schema = dict.fromkeys(EXPORTED, pl.String) | {"seq": pl.Int64, "place": pl.Int64}
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        parts = 0
        while (part := list(islice(entries, PART))) or not parts:
            rows = pl.DataFrame([_plain(entry) for entry in part], schema=schema, orient="row")
            at = pl.col("at").str.to_datetime(time_unit="us", time_zone="UTC")
            rows.with_columns(at).write_parquet(Path(folder) / f"{parts:08}.parquet")
            parts += 1
        pl.scan_parquet(Path(folder) / "*.parquet").sink_parquet(out, maintain_order=True, row_group_size=GROUP)


PART = 5_000
GROUP = 20_000
"""Rows of a Parquet file that are held at once while it is written."""
_WRITERS = {Exported.CSV: _write_csv, Exported.JSONL: _write_json_lines, Exported.PARQUET: _write_parquet}


def _check_kind(kind: str | None) -> None:
    kinds = [str(known) for known in EntryKind]
    if kind is not None and kind not in kinds:
        raise UsageError(f"there is no kind of entry '{kind}'{nearest(kind, kinds)}; there are {', '.join(kinds)}")


def verify(config: Path, *, head: str | None = None, rebuild: bool = False) -> int:
    """Recompute the chain. Raises LedgerError with the place when it does not hold.

    With ``rebuild`` tables that do not agree with a chain that holds are made again from its entries, while no agent
    writes with the same ledger.
    """
    with _ledger(config) as ledger:
        found = ledger.verify(known_head=head)
        if found.derived and rebuild:
            with ledger.only_writer("stagesync log verify --rebuild", utc_now()):
                ledger.rebuild()
            show.out.print(f"{found.problem}; it was made again from the entries.", markup=False, soft_wrap=True)
            found = ledger.verify(known_head=head)
    if found.derived:
        raise LedgerError(f"{found.problem}; `{hints.command(config, 'log', 'verify', '--rebuild')}` makes it again")
    if not found.ok:
        place = "" if found.at_seq is None else f" at entry {found.at_seq}"
        raise LedgerError(f"the ledger's chain is broken{place}: {found.problem}")
    said = f"The chain of {counted(found.entries, 'entry', 'entries')} holds; head {found.head}"
    show.out.print(said, markup=False, soft_wrap=True)
    if found.dropped:
        gone = counted(found.dropped, "of them was", "of them were")
        show.out.print(
            f"{gone} dropped after a time, on record; `stagesync log list --kind ledger.pruned` says when and by whom.",
            markup=False,
            soft_wrap=True,
        )
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
        # A run that applies a plan or takes one back judges nothing.
        "findings": sum(entry["findings"] for entry in scope) if isinstance(scope, list) and scope else "",
        "planned": summary.get("planned", ""),
        "outcomes": _values(outcomes) if isinstance(outcomes, dict) else "",
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.number,
        "at": f"{entry.at:%Y-%m-%dT%H:%M:%SZ}",
        "run": entry.run or "",
        "kind": str(entry.kind),
        "rule": entry.rule or "",
        "says": _says(entry),
    }


def _run_line(row: dict[str, Any]) -> str:
    found = [counted(row["findings"], "finding")] if isinstance(row["findings"], int) else []
    planned = [f"{row['planned']:,} planned"] if isinstance(row["planned"], int) else []
    said = ", ".join([*found, *planned]) + (f"; {row['outcomes']}" if row["outcomes"] else "")
    return f"{row['run']}  {row['command']:<7} {row['result']:<12} {said}".rstrip()


def _change_line(row: dict[str, Any]) -> str:
    place = f"{row['change']:<10} {row['connection']} {row['object']} {row['record']} ({row['name']})"
    what = f"{row['before']} -> {row['after']}" if row["before"] else row["after"]
    outcome = f"{row['outcome']}, {row['detail']}" if row["detail"] else row["outcome"]
    return f"{place}: {what}: {outcome}"


def _entry_line(row: dict[str, Any]) -> str:
    return f"{row['seq']:>8}  {row['at']}  {row['run']:<21}  {row['kind']:<16} {_of(row['rule'])}{row['says']}"


def _kind_line(row: dict[str, Any]) -> str:
    return f"{row['seq']:>8}  {row['at']}  {_of(row['record'], row['rule'])}{row['says']}"


def _any_line(row: dict[str, Any]) -> str:
    return f"{row['seq']:>6}  {row['at']}  {row['kind']:<16} {_of(row['record'], row['rule'])}{row['says']}"


def _of(*words: str) -> str:
    """What an entry is about, as the beginning of a line; nothing where it is about the whole run or the ledger."""
    said = " ".join(word for word in words if word)
    return f"{said}: " if said else ""


def _signed(ledger: Ledger, run: RunRecord) -> dict[str, Any] | None:
    """The plan that a run applied, and who approved its rows; None for other runs."""
    plan = run.facts.get("plan")
    if plan is None:
        return None
    made = next(iter(ledger.entries(kind=EntryKind.PLAN_MADE, key=str(plan), limit=1)), None)
    signed = [entry.body["text"] for entry in ledger.entries(kind=EntryKind.PLAN_APPROVED, key=str(plan))]
    return {"sha256": plan, "run": made.run if made else None, "approvals": signed[::-1]}


def _says(entry: Entry) -> str:
    body = entry.body
    if "waiver" in body:
        waiver = body["waiver"]
        return f"waiver {waiver['id']} until {waiver['until']}, by {waiver['by']}: {waiver['reason']}"
    if entry.kind == EntryKind.WAIVER_WITHDRAWN:
        return f"waiver {entry.key} withdrawn by {body['by']}" + (f": {body['reason']}" if body["reason"] else "")
    if entry.kind == EntryKind.FINDING_RESOLVED:
        return "no longer so"
    if "finding" in body:
        first = f"still so, told first on {body['told'][:10]}: " if "told" in body else ""
        return first + "; ".join(str(evidence["reason"]) for evidence in body["finding"].get("evidence", ()))
    if "change" in body:
        change = body["change"]
        after = _values(change.get("after") or {})
        subject = (change.get("task") or {}).get("subject", "")
        moved = f"{_values(change.get('before') or {})} -> {after}" if after else subject
        return f"{change['kind']} {moved}".strip()
    if "outcome" in body:
        outcome = body["outcome"]
        return f"{outcome['result']} {outcome.get('detail', '')}".strip()
    match entry.kind:
        case EntryKind.RUN_STARTED:
            return str(body["command"])
        case EntryKind.RUN_FINISHED:
            return str(body["result"])
        case EntryKind.CONNECTION_PINNED:
            known = body["identity"]
            return f"{known['crm']} {known['key']} ({known['name']})"
    return str(body.get("text", ""))


def _values(values: Any) -> str:
    return ", ".join(f"{name}: {value}" for name, value in dict(values).items())


def _about(run: RunRecord, moved: dict[EntryKind, int], signed: dict[str, Any] | None) -> None:
    summary = dict(run.summary or {})
    scope = summary.get("scope")
    lines = [
        f"Run {run.id}: {run.command}, {run.result or 'not finished'}",
        f"  started {run.started:%Y-%m-%d %H:%M:%S} UTC"
        + (f", finished {run.finished:%H:%M:%S}" if run.finished else ", never finished"),
        *_made_with(run.facts),
    ]
    if signed is not None:
        lines += [f"  the plan of run {signed['run']}: {', '.join(signed['approvals'])}"]
    if "reverts" in run.facts:
        note = f": {run.facts['note']}" if run.facts["note"] else ""
        lines += [f"  takes back run {run.facts['reverts']}, by {run.facts['by']}{note}"]
    if scope:
        lines += [
            f"  findings: {moved[EntryKind.FINDING_OPENED]:,} new, {moved[EntryKind.FINDING_CHANGED]:,} changed, "
            f"{moved[EntryKind.FINDING_RESOLVED]:,} gone"
        ]
    lines += [
        f"  {entry['connection']} {entry['object']}: {entry['evaluated']} of {entry['in_scope']} judged"
        for entry in (scope if isinstance(scope, list) else ())
    ]
    calls = summary.get("calls")
    lines += [f"  {name}: {show.calls(**made)}" for name, made in (calls.items() if isinstance(calls, dict) else ())]
    errors = summary.get("errors")
    lines += [f"  failed: {message}" for message in (errors.values() if isinstance(errors, dict) else ())]
    refusals = summary.get("refusals")
    lines += [f"  refused: {refusal}" for refusal in (refusals if isinstance(refusals, list) else ())]
    remarks = summary.get("remarks")
    lines += [f"  note: {remark}" for remark in (remarks if isinstance(remarks, list) else ())]
    overridden = summary.get("overridden")
    lines += [f"  overridden: {limit}" for limit in (overridden if isinstance(overridden, list) else ())]
    lines += [f"  {run.result}: {summary['ended_by']}"] if "ended_by" in summary else []
    for line in lines:
        show.out.print(line, markup=False, soft_wrap=True)
    show.out.print()


def _made_with(facts: Mapping[str, Any]) -> list[str]:
    """What to look at first when two runs differ: the definitions, and which StageSync it was."""
    if "definition" not in facts:
        return []
    digest, commit = str(facts["definition_sha256"])[:8], facts["definition_commit"]
    place = f"{digest}, commit {str(commit)[:8]}" if commit else digest
    return [f"  definitions '{facts['definition']}' ({place}), StageSync {facts['version']}"]
