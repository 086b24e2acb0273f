"""``stagesync audit`` and what explains it or lets off from it; no command here writes to a CRM."""

from __future__ import annotations

from pathlib import Path

import click

from stagesync.cli import options
from stagesync.cli.options import FailOn, Format


@click.command()
@options.config
@options.exports
@options.output
@click.option(
    "--fail-on",
    type=click.Choice(FailOn, case_sensitive=False),
    default=FailOn.NONE.value,
    help="Exit with 1 when there is a finding this severe.",
)
@options.limit(default=40)
@options.full
def audit(
    *,
    config: Path,
    source: Path | None,
    mapping: Path | None,
    definitions: Path | None,
    as_of: str | None,
    output: Format,
    fail_on: FailOn,
    limit: int,
    full: bool,
) -> int:
    """Find what is wrong, and write nothing: in the CRMs of the settings, or in a folder of exports."""
    from stagesync.cli import audit as command
    from stagesync.cli.exported import exports_of

    wanted = command.Options(output=output, fail_on=fail_on, limit=limit, full=full)
    exports = exports_of(source, mapping=mapping, definitions=definitions, as_of=as_of)
    return command.audit_connections(config, wanted) if exports is None else command.audit_export(exports, wanted)


@click.command()
@click.argument("record", help="A record's id in its CRM, or its name.")
@options.config
@options.exports
@options.output
def explain(
    *,
    record: str,
    config: Path,
    source: Path | None,
    mapping: Path | None,
    definitions: Path | None,
    as_of: str | None,
    output: Format,
) -> int:
    """Why a record is judged as it is, by the last pull or an export: every criterion with verdict, value, source and
    age."""
    from stagesync.cli import explain as command
    from stagesync.cli.exported import exports_of

    exports = exports_of(source, mapping=mapping, definitions=definitions, as_of=as_of)
    known = command.pulled(config) if exports is None else command.in_exports(exports)
    return command.explain(known, record, output)


@click.command()
@click.argument("record", help="A record's id in its CRM, or its name.")
@click.option("--rule", required=True, help="A kind of finding, one rule of it, or the id of a criterion.")
@click.option("--until", metavar="DAY", required=True, help="The last day on which it holds, as 2027-01-31.")
@click.option("--reason", required=True, help="Why; it is shown wherever the waiver is at work.")
@click.option("--by", metavar="NAME", help="Who grants it; the user of this machine if left out.")
@options.config
def waive(*, record: str, rule: str, until: str, reason: str, by: str | None, config: Path) -> int:
    """Let one record off a rule until a day, from what was last pulled. The ledger keeps who, why and until when."""
    from stagesync.cli import waivers as command

    return command.waive(config, record, rule=rule, until=until, reason=reason, by=by)


@click.command()
@options.config
@click.option("--withdraw", metavar="ID", help="Take this waiver back before its end.")
@click.option("--refuse", metavar="RECORD", help="Refuse what a rep asks for by a task, and tell the rep why.")
@click.option("--reason", default="", show_default=False, help="Why it is taken back, or refused.")
@options.by
@click.option("--expired", is_flag=True, help="Show those as well that hold no longer.")
@click.option("--requests", is_flag=True, help="Show instead for which records a rep asks for one.")
@options.output
@options.limit(default=40)
def waivers(
    *,
    config: Path,
    withdraw: str | None,
    refuse: str | None,
    reason: str,
    by: str | None,
    expired: bool,
    requests: bool,
    output: Format,
    limit: int,
) -> int:
    """Who is let off which rule, why and until when: the waivers of the definitions and those of the ledger."""
    from stagesync.cli import waivers as command

    if withdraw is not None:
        return command.withdraw(config, withdraw, reason=reason, by=by)
    if refuse is not None:
        return command.refuse(config, refuse, reason=reason, by=by)
    if requests:
        return command.list_requests(config, output=output, limit=limit)
    return command.list_waivers(config, output=output, limit=limit, expired=expired)


@click.command()
@click.argument("old", type=options.PATH, help="The definitions as they are.")
@click.argument("new", type=options.PATH, help="The definitions as they would be.")
@options.config
@options.source
@options.mapping
@click.option(
    "--as-of",
    metavar="MOMENT",
    help="Judge as of this day or moment (ISO); now, or an export's own day, if left out.",
)
@options.output
@options.limit(default=40)
def impact(
    *,
    old: Path,
    new: Path,
    config: Path,
    source: Path | None,
    mapping: Path | None,
    as_of: str | None,
    output: Format,
    limit: int,
) -> int:
    """What a change of definitions would flag today, and what it would have said of deals that are closed now."""
    from stagesync.cli import impact as command

    wanted = command.Options(config=config, source=source, mapping=mapping, as_of=as_of, output=output, limit=limit)
    return command.impact(old, new, wanted)


@click.command("list")
@click.argument("stage", help="A stage of the ladder; a plural does too.")
@options.config
@options.exports
@options.output
@options.limit(default=40)
def list_stage(
    *,
    stage: str,
    config: Path,
    source: Path | None,
    mapping: Path | None,
    definitions: Path | None,
    as_of: str | None,
    output: Format,
    limit: int,
) -> int:
    """Who has earned a stage, whatever the field says: by the evidence that was last pulled, or of an export."""
    from stagesync.cli import explain as command
    from stagesync.cli.exported import exports_of

    exports = exports_of(source, mapping=mapping, definitions=definitions, as_of=as_of)
    known = command.pulled(config) if exports is None else command.in_exports(exports)
    return command.list_earned(known, stage, output, limit)
