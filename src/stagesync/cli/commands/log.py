"""``stagesync log``: what the ledger says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from stagesync.cli import options
from stagesync.cli.group import Group
from stagesync.cli.options import Exported, Format, moment_of
from stagesync.model.record_ids import long_id

F = TypeVar("F", bound=Callable[..., Any])
FILTERS = (
    click.option("--kind", help="Entries of this kind, such as waiver.granted."),
    click.option("--record", metavar="ID", help="About this record, by its id in its CRM."),
    click.option("--rule", help="Of this rule, such as premature."),
    click.option("--owner", metavar="ID", help="About records of this owner, by the id in the CRM."),
    click.option("--connection", metavar="NAME", help="Of this connection of the settings."),
    click.option("--run", metavar="ID", help="Of this run, by its whole id."),
    click.option("--since", metavar="MOMENT", help="From this day or moment on (ISO, UTC), it included."),
    click.option("--until", metavar="MOMENT", help="Up to the beginning of this day or moment (ISO, UTC)."),
)


def _filtered(command: F) -> F:
    """A command with all filters; it takes them as ``**words``."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def _where(words: dict[str, str | None]) -> Any:
    """The entries that the filters ask for, as the ledger takes them."""
    times = {
        name: moment_of(text, option=f"--{name}", begins=True)
        for name in ("since", "until")
        if (text := words.pop(name)) is not None
    }
    ids = {name: long_id(text) for name in ("record", "owner") if (text := words.get(name)) is not None}
    return {**words, **ids, **times}


@click.group(cls=Group, invoke_without_command=True)
@options.config
@options.limit(default=20)
@options.output
@click.pass_context
def log(context: click.Context, *, config: Path, limit: int, output: Format) -> int:
    """What StageSync saw, intended and did; without a sub-command, the runs."""
    if context.invoked_subcommand is not None:
        # What is said before the sub-command is meant for it: `log -c other.yaml show`.
        said = {
            name: value
            for name, value in context.params.items()
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        context.default_map = {context.invoked_subcommand: said}
        return 0
    from stagesync.cli import log as command

    return command.list_runs(config, limit=limit, output=output)


@log.command("list")
@options.config
@options.limit(default=20)
@options.output
@_filtered
def log_list(*, config: Path, limit: int, output: Format, **words: str | None) -> int:
    """The runs; or, with any of the filters, the entries for which all of them hold. Newest first."""
    from stagesync.cli import log as command

    where = _where(words)
    if any(where.values()):
        return command.list_entries(config, where, limit=limit, output=output)
    return command.list_runs(config, limit=limit, output=output)


@log.command("export")
@click.option("--out", "-o", type=options.PATH, metavar="FILE", required=True, help="The file to write.")
@options.config
@options.form(Exported, Exported.JSONL, "What to write.")
@_filtered
def log_export(*, out: Path, config: Path, output: Exported, **words: str | None) -> int:
    """Write entries with all that they say into a file, oldest first; without a filter the whole ledger."""
    from stagesync.cli import log as command

    return command.export(config, _where(words), out=out, form=output)


@log.command("show")
@click.argument("run", default="last", help="A run's id, how it begins, or `last`.")
@options.config
@options.output
@options.limit(default=40)
def log_show(*, run: str, config: Path, output: Format, limit: int) -> int:
    """One run: its findings, its changes with before and after, and what became of them."""
    from stagesync.cli import log as command

    return command.show_run(config, run, output=output, limit=limit)


@log.command("record")
@click.argument("record", help="A record's id in its CRM.")
@options.config
@options.output
@options.limit(default=40)
def log_record(*, record: str, config: Path, output: Format, limit: int) -> int:
    """Everything that the ledger says about one record, newest first."""
    from stagesync.cli import log as command

    return command.show_record(config, long_id(record), output=output, limit=limit)


@log.command("verify")
@options.config
@click.option("--head", help="A head that was kept elsewhere: nothing up to it may have changed.")
@click.option("--rebuild", is_flag=True, help="Make tables that do not agree with the entries again, where these hold.")
def log_verify(*, config: Path, head: str | None, rebuild: bool) -> int:
    """Recompute the hash chain of the ledger: finds an entry that was edited, removed or moved, and says where."""
    from stagesync.cli import log as command

    return command.verify(config, head=head, rebuild=rebuild)


@log.command("prune")
@options.config
@click.option("--before", metavar="MOMENT", help="Drop what is older than this day or moment (ISO, UTC).")
@click.option("--keep", metavar="TIME", help="Drop what is older than this, such as `400 days`.")
@click.option("--yes", is_flag=True, help="Do it. Without it, say what would be dropped.")
@options.by
def log_prune(*, config: Path, before: str | None, keep: str | None, yes: bool, by: str | None) -> int:
    """Drop old entries that no later run needs, on record; the chain still proves what stays."""
    from stagesync.cli import pruning as command

    return command.prune(config, before=before, keep=keep, yes=yes, by=by)
