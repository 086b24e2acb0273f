"""``stagesync audit``: of the CRMs in the settings, or of a folder of exports."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from stagesync import report
from stagesync.agent.cycle import run
from stagesync.agent.exports import export_reader, fitting, read_tables, unusable
from stagesync.audit.engine import judge
from stagesync.audit.evidence import Tables
from stagesync.audit.forecast import Forecast, forecast
from stagesync.audit.funnel import funnels
from stagesync.audit.history import latest_moment, past_stages
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.audit.ranking import Ranked
from stagesync.cli import show
from stagesync.cli.options import YEARS, FailOn, Format, moment_of
from stagesync.connectors.exports import ExportReader
from stagesync.errors import ConfigurationError, IncompleteError, UsageError
from stagesync.mirror import Mirror
from stagesync.model.counting import counted
from stagesync.model.findings import Severity
from stagesync.policy.definitions import Definition, load_definition
from stagesync.policy.mappings import CrmMapping, load_mapping, mappings_for
from stagesync.settings import load_settings, shipped_configuration
from stagesync.wiring import opened, utc_now

SHOWN_PROBLEMS = 10
TELLS_FORECAST = (Format.TABLE, Format.JSON)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to report, and when to exit with 1."""

    output: Format
    fail_on: FailOn
    limit: int
    full: bool = False


def audit_connections(config: Path, options: Options) -> int:
    """Audit the CRMs of the settings and record it in the ledger; no writer is even opened."""
    settings = load_settings(config)
    with show.progress() as progress, opened(settings, write=False, full=options.full, progress=progress) as agent:
        result = run(agent, command="audit", write=False, plan=False)
        frame = Frame(now=result.as_of, time_zone=agent.time_zone)
        forecasts = [
            one
            for judgement in (result.judgements if options.output in TELLS_FORECAST else ())
            if (one := _forecast_of(judgement, _history(agent.mirror, judgement), frame)) is not None
        ]
    found = Ranked(result.judgements)
    if result.judgements or options.output is not Format.TABLE:
        _show(result.run, result.as_of, result.judgements, found, forecasts=forecasts, options=options)
    show.errors(result.errors, config)
    code = result.exit_code
    return code or _failing(found, options.fail_on)


def _history(mirror: Mirror, judgement: Judgement) -> Mapping[str, pl.DataFrame]:
    """The stage history of an object with amounts, which is all that a forecast needs to read again."""
    history = judgement.mapped.history
    wanted = history is not None and judgement.mapped.amount is not None
    return mirror.read(judgement.connection, only=[history.table])[0] if history and wanted else {}


def audit_export(
    folder: Path, *, mapping: Path | None, definitions: Path | None, as_of: str | None, options: Options
) -> int:
    """Audit a folder of exported files; nothing is written anywhere."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of exported files")
    definition = load_definition(definitions or shipped_configuration() / "definitions" / "recommended.yaml")
    chosen = load_mapping(mapping, definition) if mapping else fitting_mapping(folder, definition)
    if chosen.crm != "export":
        raise UsageError(f"{chosen.file} is a mapping for {chosen.crm}; --from takes a mapping with `crm: export`")
    reader = export_reader(folder, chosen)
    if said := unusable(reader, chosen):
        raise ConfigurationError(f"{folder} cannot be judged with the mapping '{chosen.name}':\n" + "\n".join(said))
    given = moment_of(as_of) if as_of else None
    name, tables = read_export(reader, chosen)
    moment = given or newest_moment(chosen, tables)
    frame = Frame(now=moment, time_zone=ZoneInfo(chosen.export.time_zone))
    judgements = judge(
        connection=name, definition=definition, mapping=chosen, tables=tables, owners=reader.owners(), frame=frame
    )
    if not any(judgement.scope.in_scope for judgement in judgements):
        raise IncompleteError("the export holds no record at all; nothing was judged")
    forecasts = [
        one
        for judgement in (judgements if options.output in TELLS_FORECAST else ())
        if (one := _forecast_of(judgement, tables.rows, frame)) is not None
    ]
    del tables  # what findings were made from need not stay
    found = Ranked(judgements)
    _show(None, moment, judgements, found, forecasts=forecasts, options=options)
    if options.output is Format.TABLE:
        show.out.print(f"\nMapping: {chosen.file}; definitions: {definition.file}", markup=False, soft_wrap=True)
    _broken_rows(reader)
    complete = all(judgement.complete for judgement in judgements) and not reader.unreadable
    return (0 if complete else IncompleteError.exit_code) or _failing(found, options.fail_on)


def fitting_mapping(folder: Path, definition: Definition) -> CrmMapping:
    """The shipped mapping that reads a folder of exports best. Raises ConfigurationError when none fits."""
    mappings = mappings_for(definition, shipped_configuration() / "mappings")
    found = fitting(folder, [one for one in mappings if one.crm == "export"])
    if not found:
        names = ", ".join(one.name for one in mappings if one.crm == "export") or f"none for '{definition.name}'"
        raise ConfigurationError(
            f"no shipped mapping fits the files in {folder} (there are {names}); copy the nearest one from "
            f"{shipped_configuration() / 'mappings'}, name your columns in it, and give it with --mapping"
        )
    return found[0]


def _forecast_of(judgement: Judgement, rows: Mapping[str, pl.DataFrame], frame: Frame) -> Forecast | None:
    """The forecast of an object, from its history among these rows."""
    frame = replace(frame, placeholders=judgement.definition.placeholders)
    return forecast(judgement, past_stages(judgement.mapped, rows, frame))


def read_export(reader: ExportReader, mapping: CrmMapping) -> tuple[str, Tables]:
    """The name of an export and everything in it that a mapping names."""
    name = reader.identity().name
    with show.progress() as progress:
        return name, read_tables(reader, mapping, name, progress)


def newest_moment(mapping: CrmMapping, tables: Tables) -> datetime:
    """As of when an export is judged unless somebody says (UTC): its newest date, or now where it has none that a
    record can be judged by."""
    newest = latest_moment(mapping, tables, utc_now())
    return newest if newest is not None and newest.year in YEARS else utc_now()


def _show(
    run_id: str | None,
    as_of: datetime,
    judgements: Sequence[Judgement],
    found: Ranked,
    *,
    forecasts: Sequence[Forecast],
    options: Options,
) -> None:
    match options.output:
        case Format.JSON:
            sys.stdout.writelines(report.as_json(run_id, as_of, judgements, found, forecasts))
        case Format.CSV:
            sys.stdout.writelines(report.as_csv(found))
        case Format.MARKDOWN:
            sys.stdout.writelines(report.as_markdown(found, options.limit or len(found)))
        case Format.TABLE:
            show.out.print(f"Audit as of {as_of:%Y-%m-%d %H:%M} UTC\n", markup=False)
            show.scope(judgements)
            show.out.print()
            show.by_kind_and_stage(judgements)
            show.inverted(funnels(judgements))
            show.out.print()
            records = found.by_record(options.limit)
            show.findings(records, more=found.records - len(records))
            show.forecasts(forecasts, options.limit)


def _broken_rows(reader: ExportReader) -> None:
    total = sum(reader.unreadable.values())
    if total:
        rows = counted(total, "row could not be read and was", "rows could not be read and were")
        tables = ", ".join(f"{table} {count:,}" for table, count in reader.unreadable.items())
        show.err.print(f"stagesync: {rows} left out ({tables}):", markup=False)
        for problem in reader.problems[:SHOWN_PROBLEMS]:
            show.err.print(f"  {problem}", markup=False, soft_wrap=True)
        if total > SHOWN_PROBLEMS:
            show.err.print(f"  and {total - SHOWN_PROBLEMS:,} more", markup=False)
    for said in reader.remarks:
        show.err.print(f"stagesync: {said}", markup=False, soft_wrap=True)


def _failing(found: Ranked, fail_on: FailOn) -> int:
    return int(fail_on is not FailOn.NONE and found.reaches(Severity(str(fail_on))))
