"""The program: its commands in the order in which people meet them, and how it ends."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from stagesync import __version__
from stagesync.cli.commands import changing, defining, judging, log, operating, trying
from stagesync.cli.group import Group
from stagesync.cli.options import DEFAULT_CONFIG, USED
from stagesync.cli.output import check_written, outlive_the_reader
from stagesync.errors import Interrupted, StageSyncError

# Unless it asks the CRMs it reads files and logs nothing; to load the logs costs more than its work.
LOGLESS = "check"


class _Commands(Group):
    """Ends with the exit code that a command returns. Ctrl-C gets our own message and exit code; click would end with
    one that means something else here."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            check_written()
        except KeyboardInterrupt:
            raise Interrupted("stopped; what was begun is in the ledger, and the next run carries on") from None
        except StageSyncError as error:
            from stagesync.cli import hints

            error.args = (hints.completed(str(error), ctx.meta.get(USED, DEFAULT_CONFIG)),)
            raise
        ctx.exit(code)


@click.group(
    "stagesync",
    cls=_Commands,
    commands=[
        trying.demo,
        trying.sandbox,
        defining.init,
        defining.check,
        defining.test,
        defining.schema,
        judging.audit,
        judging.explain,
        judging.waive,
        judging.waivers,
        judging.impact,
        judging.list_stage,
        changing.plan,
        changing.show,
        changing.approve,
        changing.apply,
        changing.run,
        changing.revert,
        operating.pause,
        operating.resume,
        operating.daemon,
        log.log,
    ],
    epilog="Exit codes: 0 done, 1 findings at or above --fail-on, 2 wrong usage or configuration, 3 incomplete, "
    "4 refused by the guard, 5 a CRM could not be reached or refused the credentials.",
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120},
)
@click.version_option(__version__, message="stagesync %(version)s")
@click.option("--verbose", "-v", is_flag=True, help="Show what happens, event by event.")
@click.pass_context
def app(context: click.Context, *, verbose: bool) -> None:
    """Keeps a CRM's stages true: pulls Salesforce and HubSpot, audits every record against stage definitions, and
    writes corrected stages and tasks back, with a record of every decision."""
    if verbose or context.invoked_subcommand != LOGLESS:
        from stagesync.cli import logs

        logs.configure(verbose=verbose)


def main() -> None:
    """The program. Errors are one message for a person and an exit code, never a traceback."""
    outlive_the_reader()
    try:
        app()
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


def _say(message: str) -> None:
    click.echo(f"stagesync: {message}", err=True)
