"""``stagesync pause``, ``resume`` and ``daemon``: the agent that runs by itself."""

from __future__ import annotations

from pathlib import Path

import click

from stagesync.cli import options


@click.command()
@click.option("--reason", required=True, help="Why; everybody who is refused reads it.")
@options.config
@options.by
def pause(*, reason: str, config: Path, by: str | None) -> int:
    """Write nothing to any CRM from now on, until `resume`. A run that is writing stops after its current batch."""
    from stagesync.cli import pausing as command

    return command.pause(config, reason=reason, by=by)


@click.command()
@options.config
@click.option("--reason", default="", show_default=False, help="Why; the ledger keeps it.")
@options.by
def resume(*, config: Path, reason: str, by: str | None) -> int:
    """Let agents write again."""
    from stagesync.cli import pausing as command

    return command.resume(config, reason=reason, by=by)


@click.command()
@options.config
@click.option("--full", is_flag=True, help="Read everything from the CRMs in the first run.")
def daemon(*, config: Path, full: bool) -> int:
    """Run on the schedule of the settings and answer /healthz, until SIGTERM. This is what the container starts."""
    from stagesync.cli import daemon as command

    return command.daemon(config, full=full)
