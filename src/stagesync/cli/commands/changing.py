"""``stagesync plan`` to ``revert``: what is written to a CRM, at once or from a plan in a file, and taken back."""

from __future__ import annotations

from pathlib import Path

import click

from stagesync.cli import options
from stagesync.cli.options import Format, Grouping, PlanFormat


@click.command()
@options.config
@click.option("--out", "-o", type=options.PATH, metavar="FILE", help="Write the plan to this file as JSON.")
@options.output
@options.limit(default=40)
@options.full
def plan(*, config: Path, out: Path | None, output: Format, limit: int, full: bool) -> int:
    """Show what a run would change, as a diff, and what the guard says to it. Nothing is written to a CRM."""
    from stagesync.cli import run as command

    return command.plan(config, full=full, out=out, output=output, limit=limit)


@click.command()
@click.argument("file", type=options.PATH, help="A plan that `stagesync plan --out` wrote.")
@click.option("--group", "-g", type=click.Choice(Grouping, case_sensitive=False), help="Put rows together.")
@options.form(PlanFormat, PlanFormat.TABLE, "How to show it.")
@options.only
@options.without
@click.option("--texts", is_flag=True, help="Show the whole text of tasks; HTML always has it.")
@options.limit(default=40)
def show(
    *,
    file: Path,
    group: Grouping | None,
    output: PlanFormat,
    only: tuple[str, ...],
    without: tuple[str, ...],
    texts: bool,
    limit: int,
) -> int:
    """Show a plan in a file as a diff, with what is approved; with --only those rows that `approve --only` would sign.

    Asks no CRM and no ledger.
    """
    from stagesync.cli import plans as command

    return command.show_file(file, output=output, group=group, limit=limit, texts=texts, only=only, without=without)


@click.command()
@click.argument("file", type=options.PATH, help="A plan that `stagesync plan --out` wrote.")
@options.config
@options.only
@options.without
@options.by
@click.option("--note", default="", show_default=False, help="Why; the ledger keeps it.")
def approve(
    *, file: Path, config: Path, only: tuple[str, ...], without: tuple[str, ...], by: str | None, note: str
) -> int:
    """Sign rows of a plan; the approval stands in the ledger and in the file. Without --only all rows are meant."""
    from stagesync.cli import plans as command

    return command.approve(config, file, only=only, without=without, by=by, note=note)


@click.command()
@click.argument("file", type=options.PATH, help="A plan with approved rows.")
@options.config
@options.limit(default=40)
@options.override
@options.by
def apply(*, file: Path, config: Path, limit: int, override: str | None, by: str | None) -> int:
    """Make the approved changes of a plan, each once, and only where the record still is what the plan saw."""
    from stagesync.cli import plans as command
    from stagesync.cli.run import overriding

    return command.apply(config, file, limit=limit, override=overriding(override, by))


@click.command()
@options.config
@options.output
@options.limit(default=40)
@options.full
@options.override
@options.by
def run(*, config: Path, output: Format, limit: int, full: bool, override: str | None, by: str | None) -> int:
    """Pull, audit, plan, guard and apply once: rules in `suggest` open tasks, rules in `enforce` correct stages."""
    from stagesync.cli import run as command

    passing = command.overriding(override, by)
    return command.run_once(config, full=full, output=output, limit=limit, override=passing)


@click.command()
@click.argument("run", help="A run's id, how it begins, or `last`, the last that wrote.")
@options.config
@options.only
@options.by
@click.option("--note", default="", show_default=False, help="Why; the ledger keeps it.")
@options.limit(default=40)
@options.override
def revert(
    *,
    run: str,
    config: Path,
    only: tuple[str, ...],
    by: str | None,
    note: str,
    limit: int,
    override: str | None,
) -> int:
    """Take a run back: old stages where ours still stand, our open tasks closed; and say what was left, and why."""
    from stagesync.cli import plans as command
    from stagesync.cli.run import overriding

    passing = overriding(override, by)
    return command.revert(config, run, only=only, by=by, note=note, limit=limit, override=passing)
