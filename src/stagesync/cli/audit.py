"""``stagesync audit``: of the CRMs in the settings, or of a folder of exports."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from stagesync import report
from stagesync.agent.cycle import run
from stagesync.agent.exports import export_reader, fitting, unusable
from stagesync.agent.pull import pull
from stagesync.audit.engine import Judgement, judge
from stagesync.audit.evidence import Tables
from stagesync.audit.history import latest_moment
from stagesync.audit.masks import Frame
from stagesync.cli import show
from stagesync.cli.options import FailOn, Format, moment_of
from stagesync.connectors.exports import ExportReader
from stagesync.errors import ConfigurationError, IncompleteError, UsageError
from stagesync.mirror import Mirror
from stagesync.model.findings import Finding, Severity
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping, mappings_for
from stagesync.settings import load_settings, shipped_configuration
from stagesync.wiring import opened, utc_now

SHOWN_PROBLEMS = 10


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to report, and when to exit with 1."""

    output: Format
    fail_on: FailOn
    limit: int


def audit_connections(config: Path, options: Options) -> int:
    """Audit the CRMs of the settings and record it in the ledger; no writer is even opened."""
    settings = load_settings(config)
    with show.progress() as progress, opened(settings, write=False, progress=progress) as agent:
        result = run(agent, command="audit", write=False)
    found = report.sorted_findings(result.judgements)
    if result.judgements or options.output is not Format.TABLE:
        _show(result.run, result.as_of, result.judgements, found, options)
    show.errors(result.errors)
    # What a run would be refused is of no concern to an audit, which plans nothing for anybody.
    code = replace(result, refusals=()).exit_code
    return code or _failing(found, options.fail_on)


def audit_export(
    folder: Path, *, mapping: Path | None, definitions: Path | None, as_of: str | None, options: Options
) -> int:
    """Audit a folder of exported files; nothing is written anywhere."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of exported files")
    definition = load_definition(definitions or shipped_configuration() / "definitions" / "recommended.yaml")
    chosen = load_mapping(mapping, definition) if mapping else _fitting(folder, definition)
    if chosen.crm != "export":
        raise UsageError(f"{chosen.file} is a mapping for {chosen.crm}; --from takes a mapping with `crm: export`")
    reader = export_reader(folder, chosen)
    if said := unusable(reader, chosen):
        raise ConfigurationError(f"{folder} cannot be judged with the mapping '{chosen.name}':\n" + "\n".join(said))
    moment, judgements = _judge(reader, chosen, definition, as_of)
    found = report.sorted_findings(judgements)
    _show(None, moment, judgements, found, options)
    if options.output is Format.TABLE:
        show.out.print(f"\nMapping: {chosen.file}; definitions: {definition.file}", markup=False, soft_wrap=True)
    _broken_rows(reader)
    complete = all(judgement.complete for judgement in judgements) and not reader.unreadable
    return (0 if complete else IncompleteError.exit_code) or _failing(found, options.fail_on)


def _fitting(folder: Path, definition: Definition) -> CrmMapping:
    mappings = mappings_for(definition, shipped_configuration() / "mappings")
    found = fitting(folder, [one for one in mappings if one.crm == "export"])
    if not found:
        names = ", ".join(one.name for one in mappings if one.crm == "export") or f"none for '{definition.name}'"
        raise ConfigurationError(
            f"no shipped mapping fits the files in {folder} (there are {names}); copy the nearest one from "
            f"{shipped_configuration() / 'mappings'}, name your columns in it, and give it with --mapping"
        )
    return found[0]


def _judge(
    reader: ExportReader, mapping: CrmMapping, definition: Definition, as_of: str | None
) -> tuple[datetime, list[Judgement]]:
    given = moment_of(as_of) if as_of else None
    with tempfile.TemporaryDirectory(prefix="stagesync-") as scratch, show.progress() as progress:
        mirror = Mirror(Path(scratch))
        identity = reader.identity()
        name = identity.name
        pull(
            name=name,
            reader=reader,
            mapping=mapping,
            mirror=mirror,
            label="export",
            identity=identity,
            progress=progress,
        )
        rows, missing = mirror.read(name)
    tables = Tables(rows=rows, missing=missing)
    moment = given or latest_moment(mapping, tables, utc_now()) or utc_now()
    frame = Frame(now=moment, time_zone=ZoneInfo(mapping.export.time_zone))
    judgements = judge(
        connection=name, definition=definition, mapping=mapping, tables=tables, owners=reader.owners(), frame=frame
    )
    if not any(judgement.scope.in_scope for judgement in judgements):
        raise IncompleteError("the export holds no record at all; nothing was judged")
    return moment, judgements


def _show(
    run_id: str | None,
    as_of: datetime,
    judgements: Sequence[Judgement],
    found: Sequence[Finding],
    options: Options,
) -> None:
    match options.output:
        case Format.JSON:
            sys.stdout.write(report.as_json(run_id, as_of, judgements, found))
        case Format.CSV:
            sys.stdout.write(report.as_csv(found))
        case Format.MARKDOWN:
            sys.stdout.write(report.as_markdown(found, options.limit or len(found)))
        case Format.TABLE:
            show.out.print(f"Audit as of {as_of:%Y-%m-%d %H:%M} UTC\n", markup=False)
            show.scope(judgements)
            show.out.print()
            show.by_kind_and_stage(judgements)
            show.out.print()
            show.findings(found, options.limit)


def _broken_rows(reader: ExportReader) -> None:
    total = sum(reader.unreadable.values())
    if total:
        tables = ", ".join(f"{table} {count:,}" for table, count in reader.unreadable.items())
        show.err.print(f"stagesync: {total:,} rows could not be read and were left out ({tables}):", markup=False)
        for problem in reader.problems[:SHOWN_PROBLEMS]:
            show.err.print(f"  {problem}", markup=False, soft_wrap=True)
        if total > SHOWN_PROBLEMS:
            show.err.print(f"  and {total - SHOWN_PROBLEMS:,} more", markup=False)


def _failing(found: Sequence[Finding], fail_on: FailOn) -> int:
    return int(fail_on is not FailOn.NONE and report.reaches(found, Severity(str(fail_on))))
