"""``stagesync demo`` and ``sandbox``: StageSync without a CRM."""

from __future__ import annotations

from pathlib import Path

import click

from stagesync.cli import options


@click.command()
@click.option("--seed", type=int, metavar="NUMBER", default=1, help="Which company to invent.")
@click.option(
    "--records",
    type=options.Number(min=300),
    default=800,
    help="Leads or contacts and deals in each CRM.",
)
@click.option(
    "--directory",
    type=options.PATH,
    metavar="FOLDER",
    help="Where to keep the demo's files; a temporary folder if left out.",
)
@click.option(
    "--as-of", metavar="MOMENT", help="Play it on this day or at this moment (ISO), to see the same numbers again."
)
def demo(*, seed: int, records: int, directory: Path | None, as_of: str | None) -> int:
    """Run the whole job once on two embedded CRMs: audit, plan, apply, prove it, find nothing left to do."""
    from stagesync.cli import demo as command

    return command.demo(seed=seed, records=records, directory=directory, as_of=as_of)


@click.command()
@click.option("--seed", type=int, metavar="NUMBER", default=1, help="Which company to invent.")
@click.option(
    "--records",
    type=options.Number(2, 1_000_000),
    default=800,
    help="Leads or contacts and deals in each CRM.",
)
@click.option(
    "--port",
    type=options.Number(0, 65535),
    help="Port on 127.0.0.1, 0 for any free one; 8770, or the one it had before.",
)
@click.option(
    "--directory",
    type=options.PATH,
    metavar="FOLDER",
    help="Where the CRMs keep their state; an existing one is opened again.",
)
def sandbox(*, seed: int, records: int, port: int | None, directory: Path | None) -> int:
    """Serve an embedded Salesforce and an embedded HubSpot on one local port, until Ctrl-C."""
    from stagesync.cli import sandbox as command

    return command.sandbox(seed=seed, records=records, port=port, directory=directory)
