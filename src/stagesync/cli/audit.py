"""``stagesync audit``: of the CRMs in the settings, or of a folder of exports."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from stagesync import report
from stagesync.audit.forecast import Forecast, forecast
from stagesync.audit.funnel import funnels
from stagesync.audit.history import past_stages
from stagesync.audit.judgement import Judgement
from stagesync.audit.masks import Frame
from stagesync.audit.ranking import Ranked
from stagesync.cli import exported, show
from stagesync.cli.exported import Exports
from stagesync.cli.options import FailOn, Format
from stagesync.errors import IncompleteError
from stagesync.mirror import Mirror
from stagesync.model.kinds import Severity
from stagesync.settings import load_settings
from stagesync.wiring import opened

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
    from stagesync.agent.cycle import run  # with the ledger: it costs more to load than a whole export takes to read

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


def audit_export(source: Exports, options: Options) -> int:
    """Audit a folder of exported files; nothing is written anywhere."""
    export = exported.read(source)
    judgements, reader, frame = export.judgements(), export.reader, export.frame
    forecasts = [
        one
        for judgement in (judgements if options.output in TELLS_FORECAST else ())
        if (one := _forecast_of(judgement, export.tables.rows, frame)) is not None
    ]
    told = f"\nMapping: {export.mapping.file}; definitions: {export.definition.file}"
    del export  # what findings were made from need not stay
    found = Ranked(judgements)
    _show(None, frame.now, judgements, found, forecasts=forecasts, options=options)
    if options.output is Format.TABLE:
        show.out.print(told, markup=False, soft_wrap=True)
    exported.tell_unread(reader)
    complete = all(judgement.complete for judgement in judgements) and not reader.unreadable
    return (0 if complete else IncompleteError.exit_code) or _failing(found, options.fail_on)


def _forecast_of(judgement: Judgement, rows: Mapping[str, pl.DataFrame], frame: Frame) -> Forecast | None:
    """The forecast of an object, from its history among these rows."""
    frame = replace(frame, placeholders=judgement.definition.placeholders)
    return forecast(judgement, past_stages(judgement.mapped, rows, frame))


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


def _failing(found: Ranked, fail_on: FailOn) -> int:
    return int(fail_on is not FailOn.NONE and found.reaches(Severity(str(fail_on))))
