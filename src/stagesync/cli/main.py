"""The commands and their options. What a command needs is imported when it runs, so that --version is instant."""

from __future__ import annotations

import os
import sys
from copy import copy
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stagesync import __version__
from stagesync.cli.options import (
    DEFAULT_CONFIG,
    By,
    Crm,
    Exported,
    FailOn,
    Format,
    Grouping,
    Only,
    Overriding,
    PlanFormat,
    Without,
    exports_of,
)
from stagesync.cli.output import outlive_the_reader
from stagesync.errors import Interrupted, StageSyncError


class _Commands(TyperGroup):
    """Ctrl-C gets our own message and exit code; Typer would end with one that means something else here."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("stopped; what was begun is in the ledger, and the next run carries on") from None
        except StageSyncError as error:
            from stagesync.cli import hints

            error.args = (hints.completed(str(error), ctx.meta.get(USED, DEFAULT_CONFIG)),)
            raise


app = typer.Typer(
    name="stagesync",
    cls=_Commands,
    help="Keeps a CRM's stages true: pulls Salesforce and HubSpot, audits every record against stage definitions, "
    "and writes corrected stages and tasks back, with a record of every decision.",
    epilog="Exit codes: 0 done, 1 findings at or above --fail-on, 2 wrong usage or configuration, 3 incomplete, "
    "4 refused by the guard, 5 a CRM could not be reached or refused the credentials.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
log_app = typer.Typer(help="What StageSync saw, intended and did.", no_args_is_help=False)
app.add_typer(log_app, name="log")


# Unless it asks the CRMs it reads files and logs nothing; to load the logs costs more than its work.
LOGLESS = "check"
USED = "stagesync.config"
"""Where a command's context keeps which settings file it was given."""


def _noted(context: typer.Context, config: Path) -> Path:
    context.meta[USED] = config
    return config


Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", show_default=True, callback=_noted)]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to report.")]
Full = Annotated[
    bool, typer.Option("--full", help="Read everything from the CRMs, not only what changed since the last time.")
]
From = Annotated[
    Path | None, typer.Option("--from", help="Take a folder of exports instead of the CRMs; no credentials.")
]
MappingOption = Annotated[
    Path | None,
    typer.Option("--mapping", help="The mapping of the export; found by itself when one of config/mappings fits."),
]
DefinitionsOption = Annotated[
    Path | None,
    typer.Option("--definitions", help="The stage definitions to judge an export by; `recommended` if left out."),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Judge an export as of this day or moment (ISO); that of its mapping, or its newest date, if left out.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="How many rows to show; 0 shows all.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stagesync {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what happens, event by event.")] = False,
) -> None:
    if verbose or context.invoked_subcommand != LOGLESS:
        from stagesync.cli import logs

        logs.configure(verbose=verbose)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Which company to invent.")] = 1,
    records: Annotated[int, typer.Option(min=300, help="Leads or contacts and deals in each CRM.")] = 800,
    directory: Annotated[
        Path | None, typer.Option(help="Where to keep the demo's files; a temporary folder if left out.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Play it on this day or at this moment (ISO), to see the same numbers again.")
    ] = None,
) -> None:
    """Run the whole job once on two embedded CRMs: audit, plan, apply, prove it, find nothing left to do."""
    from stagesync.cli import demo as command

    raise typer.Exit(command.demo(seed=seed, records=records, directory=directory, as_of=as_of))


@app.command()
def sandbox(
    seed: Annotated[int, typer.Option(help="Which company to invent.")] = 1,
    records: Annotated[int, typer.Option(min=2, max=1_000_000, help="Leads or contacts and deals in each CRM.")] = 800,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port on 127.0.0.1, 0 for any free one; 8770, or the one it had before."),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Where the CRMs keep their state; an existing one is opened again.")
    ] = None,
) -> None:
    """Serve an embedded Salesforce and an embedded HubSpot on one local port, until Ctrl-C."""
    from stagesync.cli import sandbox as command

    raise typer.Exit(command.sandbox(seed=seed, records=records, port=port, directory=directory))


@app.command()
def init(  # noqa: PLR0917  (typer passes options by name)
    crm: Annotated[Crm, typer.Option(help="Which kind of CRM it is.")],
    connection: Annotated[
        str | None, typer.Option(help="A name for the connection; that of the CRM if left out.")
    ] = None,
    login_url: Annotated[
        str | None, typer.Option(help="Salesforce: the org's My Domain, such as https://acme.my.salesforce.com.")
    ] = None,
    client_id_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE", help="The environment variable with the client id. [default: SALESFORCE_CLIENT_ID]"
        ),
    ] = None,
    client_secret_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="The environment variable with the client secret. [default: SALESFORCE_CLIENT_SECRET]",
        ),
    ] = None,
    username: Annotated[
        str | None, typer.Option(help="Salesforce, with --private-key: the user that StageSync works as.")
    ] = None,
    private_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Salesforce: log in with this RSA key (PEM), and not with a client secret."),
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE", help="HubSpot: the environment variable with the token. [default: HUBSPOT_TOKEN]"
        ),
    ] = None,
    refresh_token_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="HubSpot: log in as an OAuth app, and not with a token: the environment variable with its refresh "
            "token. Client id and secret are then in HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET.",
        ),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="HubSpot: where its API is, unless it is HubSpot's own.")] = None,
    definitions: Annotated[
        str, typer.Option(metavar="PACK", help="Which of the shipped definitions to start from.")
    ] = "recommended",
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write into.")] = DEFAULT_CONFIG.parent,
) -> None:
    """Write a starter configuration from what an org has: its stages, record types and fields. Only reads the org.

    Secrets are never given here: the options name environment variables. No file is overwritten.
    """
    from stagesync.cli import init as command
    from stagesync.cli.connecting import Given, connection_words

    given = Given(
        login_url=login_url,
        client_id_env=client_id_env,
        client_secret_env=client_secret_env,
        username=username,
        private_key=private_key,
        token_env=token_env,
        refresh_token_env=refresh_token_env,
        base_url=base_url,
    )
    name = connection or str(crm)
    words = connection_words(crm, name, given)
    raise typer.Exit(command.init(words, name=name, definitions=definitions, out=out))


@app.command()
def check(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the CRMs too, with calls that only read: fields, rights, stages.")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Check settings, definitions and mappings; report every problem at once, with file, line and column.

    With --online it exits with 2 when a connection has a problem, with 5 when a CRM cannot be reached.
    """
    if online:
        from stagesync.cli import check_online, logs

        logs.configure(verbose=bool(context.parent and context.parent.params["verbose"]))
        raise typer.Exit(check_online.check_online(config, output))
    from stagesync.cli import check as command

    raise typer.Exit(command.check(config))


@app.command("test")
def definition_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="Definitions, their tests, or folders of them; those of the settings if left out.",
        ),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    output: FormatOption = Format.TABLE,
) -> None:
    """Run the tests beside the definitions: given evidence, expected stage, verdicts and findings.

    Exits with 2 when a test fails: definitions that do not say what they should are wrong.
    """
    from stagesync.cli import definition_tests as command

    settings = config if config.exists() or config != DEFAULT_CONFIG else None
    raise typer.Exit(command.test(paths or [], settings, output))


@app.command("schema")
def json_schema(
    kind: Annotated[
        str | None,
        typer.Argument(help="definition, tests, mapping, settings, report or plan; each into a folder with --out."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write them into this folder.")] = None,
) -> None:
    """Print the JSON Schema of the files that people write, for their editors, or of a report or a plan."""
    from stagesync.cli import schema as command

    raise typer.Exit(command.schema(kind, out))


@app.command()
def audit(  # noqa: PLR0917  (typer passes options by name)
    config: Config = DEFAULT_CONFIG,
    source: From = None,
    mapping: MappingOption = None,
    definitions: DefinitionsOption = None,
    as_of: AsOf = None,
    output: FormatOption = Format.TABLE,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 when there is a finding this severe.")] = FailOn.NONE,
    limit: Limit = 40,
    full: Full = False,
) -> None:
    """Find what is wrong, and write nothing: in the CRMs of the settings, or in a folder of exports."""
    from stagesync.cli import audit as command

    options = command.Options(output=output, fail_on=fail_on, limit=limit, full=full)
    exports = exports_of(source, mapping=mapping, definitions=definitions, as_of=as_of)
    code = command.audit_connections(config, options) if exports is None else command.audit_export(exports, options)
    raise typer.Exit(code)


@app.command()
def explain(  # noqa: PLR0917  (typer passes options by name)
    record: Annotated[str, typer.Argument(help="A record's id in its CRM, or its name.")],
    config: Config = DEFAULT_CONFIG,
    source: From = None,
    mapping: MappingOption = None,
    definitions: DefinitionsOption = None,
    as_of: AsOf = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Why a record is judged as it is, by the last pull or an export: every criterion with verdict, value, source and
    age."""
    from stagesync.cli import explain as command

    exports = exports_of(source, mapping=mapping, definitions=definitions, as_of=as_of)
    known = command.pulled(config) if exports is None else command.in_exports(exports)
    raise typer.Exit(command.explain(known, record, output))


@app.command()
def waive(  # noqa: PLR0917  (typer passes options by name)
    record: Annotated[str, typer.Argument(help="A record's id in its CRM, or its name.")],
    rule: Annotated[str, typer.Option(help="A kind of finding, one rule of it, or the id of a criterion.")],
    until: Annotated[str, typer.Option(help="The last day on which it holds, as 2027-01-31.")],
    reason: Annotated[str, typer.Option(help="Why; it is shown wherever the waiver is at work.")],
    by: Annotated[str | None, typer.Option(help="Who grants it; the user of this machine if left out.")] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Let one record off a rule until a day, from what was last pulled. The ledger keeps who, why and until when."""
    from stagesync.cli import waivers as command

    raise typer.Exit(command.waive(config, record, rule=rule, until=until, reason=reason, by=by))


@app.command()
def waivers(  # noqa: PLR0917  (typer passes options by name)
    config: Config = DEFAULT_CONFIG,
    withdraw: Annotated[str | None, typer.Option(metavar="ID", help="Take this waiver back before its end.")] = None,
    refuse: Annotated[
        str | None, typer.Option(metavar="RECORD", help="Refuse what a rep asks for by a task, and tell the rep why.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is taken back, or refused.")] = "",
    by: Annotated[str | None, typer.Option(help="Who does it; the user of this machine if left out.")] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Show those as well that hold no longer.")] = False,
    requests: Annotated[
        bool, typer.Option("--requests", help="Show instead for which records a rep asks for one.")
    ] = False,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
) -> None:
    """Who is let off which rule, why and until when: the waivers of the definitions and those of the ledger."""
    from stagesync.cli import waivers as command

    if withdraw is not None:
        raise typer.Exit(command.withdraw(config, withdraw, reason=reason, by=by))
    if refuse is not None:
        raise typer.Exit(command.refuse(config, refuse, reason=reason, by=by))
    if requests:
        raise typer.Exit(command.list_requests(config, output=output, limit=limit))
    raise typer.Exit(command.list_waivers(config, output=output, limit=limit, expired=expired))


@app.command()
def impact(  # noqa: PLR0917  (typer passes options by name)
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The definitions as they are.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The definitions as they would be.")],
    config: Config = DEFAULT_CONFIG,
    source: From = None,
    mapping: MappingOption = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Judge as of this day or moment (ISO); now, or an export's own day, if left out."),
    ] = None,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
) -> None:
    """What a change of definitions would flag today, and what it would have said of deals that are closed now."""
    from stagesync.cli import impact as command

    options = command.Options(config=config, source=source, mapping=mapping, as_of=as_of, output=output, limit=limit)
    raise typer.Exit(command.impact(old, new, options))


@app.command("list")
def list_stage(  # noqa: PLR0917  (typer passes options by name)
    stage: Annotated[str, typer.Argument(help="A stage of the ladder; a plural does too.")],
    config: Config = DEFAULT_CONFIG,
    source: From = None,
    mapping: MappingOption = None,
    definitions: DefinitionsOption = None,
    as_of: AsOf = None,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
) -> None:
    """Who has earned a stage, whatever the field says: by the evidence that was last pulled, or of an export."""
    from stagesync.cli import explain as command

    exports = exports_of(source, mapping=mapping, definitions=definitions, as_of=as_of)
    known = command.pulled(config) if exports is None else command.in_exports(exports)
    raise typer.Exit(command.list_earned(known, stage, output, limit))


@app.command()
def plan(
    config: Config = DEFAULT_CONFIG,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the plan to this file as JSON.")] = None,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
    full: Full = False,
) -> None:
    """Show what a run would change, as a diff, and what the guard says to it. Nothing is written to a CRM."""
    from stagesync.cli import run as command

    raise typer.Exit(command.plan(config, full=full, out=out, output=output, limit=limit))


@app.command()
def show(  # noqa: PLR0917  (typer passes options by name)
    file: Annotated[Path, typer.Argument(help="A plan that `stagesync plan --out` wrote.")],
    group: Annotated[Grouping | None, typer.Option("--group", "-g", help="Put rows together.")] = None,
    output: Annotated[PlanFormat, typer.Option("--format", "-f", help="How to show it.")] = PlanFormat.TABLE,
    only: Only = None,
    without: Without = None,
    texts: Annotated[bool, typer.Option("--texts", help="Show the whole text of tasks; HTML always has it.")] = False,
    limit: Limit = 40,
) -> None:
    """Show a plan in a file as a diff, with what is approved; with --only those rows that `approve --only` would sign.

    Asks no CRM and no ledger.
    """
    from stagesync.cli import plans as command

    chosen = {"only": only or [], "without": without or []}
    raise typer.Exit(command.show_file(file, output=output, group=group, limit=limit, texts=texts, **chosen))


@app.command()
def approve(  # noqa: PLR0917  (typer passes options by name)
    file: Annotated[Path, typer.Argument(help="A plan that `stagesync plan --out` wrote.")],
    config: Config = DEFAULT_CONFIG,
    only: Only = None,
    without: Without = None,
    by: By = None,
    note: Annotated[str, typer.Option(help="Why; the ledger keeps it.")] = "",
) -> None:
    """Sign rows of a plan; the approval stands in the ledger and in the file. Without --only all rows are meant."""
    from stagesync.cli import plans as command

    raise typer.Exit(command.approve(config, file, only=only or [], without=without or [], by=by, note=note))


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="A plan with approved rows.")],
    config: Config = DEFAULT_CONFIG,
    limit: Limit = 40,
    override: Overriding = None,
    by: By = None,
) -> None:
    """Make the approved changes of a plan, each once, and only where the record still is what the plan saw."""
    from stagesync.cli import plans as command
    from stagesync.cli.run import overriding

    raise typer.Exit(command.apply(config, file, limit=limit, override=overriding(override, by)))


@app.command()
def run(  # noqa: PLR0917  (typer passes options by name)
    config: Config = DEFAULT_CONFIG,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
    full: Full = False,
    override: Overriding = None,
    by: By = None,
) -> None:
    """Pull, audit, plan, guard and apply once: rules in `suggest` open tasks, rules in `enforce` correct stages."""
    from stagesync.cli import run as command

    passing = command.overriding(override, by)
    raise typer.Exit(command.run_once(config, full=full, output=output, limit=limit, override=passing))


@app.command()
def revert(  # noqa: PLR0917  (typer passes options by name)
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, how it begins, or `last`, the last that wrote.")
    ],
    config: Config = DEFAULT_CONFIG,
    only: Only = None,
    by: By = None,
    note: Annotated[str, typer.Option(help="Why; the ledger keeps it.")] = "",
    limit: Limit = 40,
    override: Overriding = None,
) -> None:
    """Take a run back: old stages where ours still stand, our open tasks closed; and say what was left, and why."""
    from stagesync.cli import plans as command
    from stagesync.cli.run import overriding

    passing = overriding(override, by)
    done = command.revert(config, run_id, only=only or [], by=by, note=note, limit=limit, override=passing)
    raise typer.Exit(done)


@app.command()
def pause(
    reason: Annotated[str, typer.Option(help="Why; everybody who is refused reads it.")],
    config: Config = DEFAULT_CONFIG,
    by: By = None,
) -> None:
    """Write nothing to any CRM from now on, until `resume`. A run that is writing stops after its current batch."""
    from stagesync.cli import pausing as command

    raise typer.Exit(command.pause(config, reason=reason, by=by))


@app.command()
def resume(
    config: Config = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="Why; the ledger keeps it.")] = "",
    by: By = None,
) -> None:
    """Let agents write again."""
    from stagesync.cli import pausing as command

    raise typer.Exit(command.resume(config, reason=reason, by=by))


@app.command()
def daemon(
    config: Config = DEFAULT_CONFIG,
    full: Annotated[bool, typer.Option("--full", help="Read everything from the CRMs in the first run.")] = False,
) -> None:
    """Run on the schedule of the settings and answer /healthz, until SIGTERM. This is what the container starts."""
    from stagesync.cli import daemon as command

    raise typer.Exit(command.daemon(config, full=full))


@log_app.callback(invoke_without_command=True)
def log(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    limit: Limit = 20,
    output: FormatOption = Format.TABLE,
) -> None:
    """What StageSync saw, intended and did; without a sub-command, the runs."""
    if context.invoked_subcommand is None:
        log_list(config, limit, output)


Filter = Annotated[str | None, typer.Option()]
Since = Annotated[str | None, typer.Option(help="From this day or moment on (ISO, UTC), it included.")]
Until = Annotated[str | None, typer.Option(help="Up to the beginning of this day or moment (ISO, UTC).")]


def _where(since: str | None, until: str | None, **where: str | None) -> Any:
    """The entries that options ask for, as the ledger takes them."""
    from stagesync.cli.options import moment_of

    moments = {"since": since, "until": until}
    times = {
        name: moment_of(text, option=f"--{name}", begins=True) for name, text in moments.items() if text is not None
    }
    return {**where, **times}


@log_app.command("list")
def log_list(  # noqa: PLR0917  (typer passes options by name)
    config: Config = DEFAULT_CONFIG,
    limit: Limit = 20,
    output: FormatOption = Format.TABLE,
    kind: Annotated[str | None, typer.Option(help="Entries of this kind instead, such as waiver.granted.")] = None,
    record: Filter = None,
    rule: Filter = None,
    owner: Filter = None,
    connection: Filter = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Of this run, by its whole id.")] = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """The runs; or, with any of the filters, the entries for which all of them hold. Newest first."""
    from stagesync.cli import log as command

    where = _where(since, until, kind=kind, record=record, rule=rule, owner=owner, connection=connection, run=run_id)
    if any(where.values()):
        raise typer.Exit(command.list_entries(config, where, limit=limit, output=output))
    raise typer.Exit(command.list_runs(config, limit=limit, output=output))


@log_app.command("export")
def log_export(  # noqa: PLR0917  (typer passes options by name)
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    config: Config = DEFAULT_CONFIG,
    form: Annotated[Exported, typer.Option("--format", "-f", help="What to write.")] = Exported.JSONL,
    kind: Filter = None,
    record: Filter = None,
    rule: Filter = None,
    owner: Filter = None,
    connection: Filter = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Of this run, by its whole id.")] = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write entries with all that they say into a file, oldest first; without a filter the whole ledger."""
    from stagesync.cli import log as command

    where = _where(since, until, kind=kind, record=record, rule=rule, owner=owner, connection=connection, run=run_id)
    raise typer.Exit(command.export(config, where, out=out, form=form))


@log_app.command("show")
def log_show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, how it begins, or `last`.")] = "last",
    config: Config = DEFAULT_CONFIG,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
) -> None:
    """One run: its findings, its changes with before and after, and what became of them."""
    from stagesync.cli import log as command

    raise typer.Exit(command.show_run(config, run_id, output=output, limit=limit))


@log_app.command("record")
def log_record(
    record: Annotated[str, typer.Argument(help="A record's id in its CRM.")],
    config: Config = DEFAULT_CONFIG,
    output: FormatOption = Format.TABLE,
    limit: Limit = 40,
) -> None:
    """Everything that the ledger says about one record, newest first."""
    from stagesync.cli import log as command

    raise typer.Exit(command.show_record(config, record, output=output, limit=limit))


@log_app.command("verify")
def log_verify(
    config: Config = DEFAULT_CONFIG,
    head: Annotated[
        str | None, typer.Option(help="A head that was kept elsewhere: nothing up to it may have changed.")
    ] = None,
) -> None:
    """Recompute the hash chain of the ledger: finds an entry that was edited, removed or moved, and says where."""
    from stagesync.cli import log as command

    raise typer.Exit(command.verify(config, head=head))


@log_app.command("prune")
def log_prune(
    config: Config = DEFAULT_CONFIG,
    before: Annotated[str | None, typer.Option(help="Drop what is older than this day or moment (ISO, UTC).")] = None,
    keep: Annotated[str | None, typer.Option(help="Drop what is older than this, such as `400 days`.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, say what would be dropped.")] = False,
    by: By = None,
) -> None:
    """Drop old entries that no later run needs, on record; the chain still proves what stays."""
    from stagesync.cli import pruning as command

    raise typer.Exit(command.prune(config, before=before, keep=keep, yes=yes, by=by))


def main() -> None:
    """The program. Errors are one message for a person and an exit code, never a traceback."""
    outlive_the_reader()
    try:
        _typed(sys.argv[1:2])()
    except StageSyncError as error:
        _say(str(error))
        code = error.exit_code
    except Exception as error:
        if os.environ.get("STAGESYNC_DEBUG"):
            raise
        _say(
            f"an error that should not happen: {type(error).__name__}: {error}\n"
            "Nothing was half written that the ledger does not know. Please report it; "
            "with STAGESYNC_DEBUG=1 the details are shown."
        )
        code = StageSyncError.exit_code
    else:
        return
    sys.exit(code)


def _typed(name: list[str]) -> typer.Typer:
    """The program with the typed command alone: to build all of them takes as long as to check a configuration."""
    commands = [one for one in app.registered_commands if one.callback and name == [one.name or one.callback.__name__]]
    if not commands:
        return app
    alone = copy(app)
    alone.registered_commands, alone.registered_groups = commands, []
    return alone


def _say(message: str) -> None:
    typer.echo(f"stagesync: {message}", err=True)
