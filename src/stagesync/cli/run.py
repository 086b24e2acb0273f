"""``stagesync plan`` and ``stagesync run``: the same steps, one of them stops before it writes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

from msgspec import structs

from stagesync import report
from stagesync.agent import cycle, plan_files
from stagesync.agent.running import Override, RunResult
from stagesync.audit.ranking import Ranked
from stagesync.cli import hints, show
from stagesync.cli.options import Format
from stagesync.cli.waivers import this_user
from stagesync.errors import UsageError
from stagesync.model.changes import Plan
from stagesync.model.counting import counted
from stagesync.report import plan_views
from stagesync.report.plans import plan_text
from stagesync.settings import load_settings
from stagesync.wiring import opened


def plan(config: Path, *, full: bool, out: Path | None, output: Format, limit: int) -> int:
    """Everything but the writing; the plan may be kept as a file."""
    if output not in (Format.TABLE, Format.JSON):
        raise UsageError(
            f"a plan is shown as table or json; for {output} keep it with --out FILE, then `stagesync show FILE "
            f"--format {output}`"
        )
    settings = load_settings(config)
    with (
        stopping() as stop,
        show.progress() as progress,
        opened(settings, write=False, full=full, progress=progress, stop=stop) as agent,
    ):
        result = cycle.run(agent, command="plan", write=False)
        document = plan_files.made(agent, result) if out is not None or output is Format.JSON else None
    if out is not None and document is not None:
        plan_files.write(out, document)
    if document is not None and output is Format.JSON:
        sys.stdout.write(plan_text(document))
    elif result.judgements:
        show.plan(result.plan, limit)
        show.out.print(f"\n{_sum_of(result.plan)} Nothing was written to a CRM.", markup=False)
    if out is not None and document is not None:
        approve = hints.command(config, "approve", str(out), "--by", "NAME")
        show.err.print(f"The plan is in {out}; `{approve}` signs its rows.", markup=False, soft_wrap=True)
    return end(result, config)


def run_once(config: Path, *, full: bool, output: Format, limit: int, override: Override | None) -> int:
    """One run that writes what the rules and the guard allow."""
    if output not in (Format.TABLE, Format.JSON):
        raise UsageError(f"a run is shown as table or json, not as {output}")
    settings = load_settings(config)
    with (
        stopping() as stop,
        show.progress() as progress,
        opened(settings, write=True, full=full, progress=progress, stop=stop) as agent,
    ):
        result = cycle.run(agent, command="run", write=True, override=override)
    if output is Format.JSON:
        found = Ranked(result.judgements)
        sys.stdout.writelines(report.as_json(result.run, result.as_of, result.judgements, found))
    elif result.judgements:
        show.scope(result.judgements)
        show.out.print(f"\n{_sum_of(result.plan)}", markup=False)
        show.plan(result.plan, limit)
        if result.settled:
            settled = counted(result.settled, "change of an earlier run was", "changes of an earlier run were")
            show.out.print(f"{settled} settled by looking at the CRM.")
        if result.applied:
            show.out.print("\nDone:")
            show.outcomes(result.plan.changes, result.applied, limit)
        show.stopped(result.stopped, limit)
        if result.requests:
            asked = counted(len(result.requests), "record waits for a waiver", "records wait for a waiver")
            listed = hints.command(config, "waivers", "--requests")
            show.out.print(f"{asked}; `{listed}` lists them.", markup=False, soft_wrap=True)
        for name, calls in result.calls.items():
            show.out.print(f"{name}: {show.calls(**structs.asdict(calls))}.", markup=False)
        again = hints.command(config, "log", "show", result.run)
        show.out.print(f"\nRun {result.run}; `{again}` shows it again.", markup=False)
    return end(result, config)


def _sum_of(plan_: Plan) -> str:
    money = plan_views.stake(plan_.changes)
    return f"Plan: {plan_views.counts(plan_.changes)}{f'; {money}' if money else ''}."


def end(result: RunResult, config: Path) -> int:
    """Say what failed and what was refused, and give the exit code; ``config`` are the settings that were used."""
    show.errors(result.errors, config)
    for refusal in result.refusals:
        said = hints.completed(refusal.message, config)
        show.err.print(f"stagesync: refused: {said}", markup=False, soft_wrap=True)
    for remark in result.remarks:
        show.err.print(f"stagesync: note: {remark}", markup=False, soft_wrap=True)
    for refusal in result.overridden:
        show.err.print(f"stagesync: overridden, and on record: {refusal.says}.", markup=False, soft_wrap=True)
    return result.exit_code


def overriding(reason: str | None, by: str | None) -> Override | None:
    """Who lets the guard's refusal pass, and why. Raises UsageError for a reason that says nothing."""
    if reason is None:
        return None
    if not reason.strip():
        raise UsageError("--override needs a reason; whoever reads the ledger will ask for it")
    return Override(by=(by or this_user()).strip(), reason=reason.strip())


@contextmanager
def stopping() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set: the current batch is finished first. A second Ctrl-C ends at once."""
    stop = Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if number == signal.SIGINT:
            show.err.print("stopping after the current batch; press Ctrl-C again to end at once", markup=False)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
