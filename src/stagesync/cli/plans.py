"""``stagesync show``, ``approve`` and ``apply``: what becomes of a plan in a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from stagesync.agent import plan_files
from stagesync.agent import revert as reverting
from stagesync.agent.running import Override
from stagesync.cli import hints, show
from stagesync.cli.options import Grouping, PlanFormat
from stagesync.cli.run import end, stopping
from stagesync.cli.waivers import this_user
from stagesync.errors import RefusedError, UsageError
from stagesync.ledger import Ledger
from stagesync.model.changes import Result
from stagesync.model.counting import counted
from stagesync.report import plan_views
from stagesync.report.plans import PlanDocument, plan_of, plan_text
from stagesync.settings import load_settings
from stagesync.wiring import opened, run_facts, utc_now

SHOWN_LEFT = 10


def show_file(
    file: Path,
    *,
    output: PlanFormat,
    group: Grouping | None,
    limit: int,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    texts: bool = False,
) -> int:
    """A plan in a file, as people or programs read it, all rows or those that are chosen; no ledger and no CRM is
    asked. In a table, ``texts`` shows what people would read in their tasks."""
    if output is PlanFormat.JSON and (only or without):
        raise UsageError("--only and --except choose rows for people; as JSON a plan is always whole")
    document, untouched = plan_files.read(file)
    groups = plan_views.groups_of(document, group, only, without)
    match output:
        case PlanFormat.JSON:
            sys.stdout.write(plan_text(document))
        case PlanFormat.CSV:
            sys.stdout.writelines(plan_views.plan_csv(document, groups))
        case PlanFormat.MARKDOWN:
            sys.stdout.writelines(plan_views.plan_markdown(document, groups))
        case PlanFormat.HTML:
            sys.stdout.writelines(plan_views.plan_html(document, groups))
        case PlanFormat.TABLE:
            _table(document, groups, limit, texts=texts)
    if not untouched:
        raise RefusedError(f"{file}: the plan was edited after it was made; it can neither be approved nor applied")
    return 0


def approve(config: Path, file: Path, *, only: Sequence[str], without: Sequence[str], by: str | None, note: str) -> int:
    """Sign rows, in the ledger and in the file."""
    settings = load_settings(config)
    name = (by or this_user()).strip()
    with Ledger.open(settings.ledger_url) as ledger:
        facts, now = run_facts(settings), utc_now()
        done = plan_files.approve(file, ledger, facts, only=only, without=without, by=name, note=note, at=now)
    count, following = len(done.signed), hints.command(config, "apply", str(file))
    _say(f"{counted(count, 'row')} approved by {name}: {plan_views.counts(done.signed)}.")
    _say(f"`{following}` makes {'it' if count == 1 else 'them'}.")
    if done.left:
        told = counted(len(done.left), "task that tells", "tasks that tell")
        _say(f"Left out: {told} of a move that is not approved.")
    for change in done.left[:SHOWN_LEFT]:
        _say(f"  {change.connection} {change.object} {change.record} ({change.record_name})")
    if len(done.left) > SHOWN_LEFT:
        _say(f"  and {len(done.left) - SHOWN_LEFT:,} more")
    return 0


def apply(config: Path, file: Path, *, limit: int, override: Override | None) -> int:
    """Make the approved changes of a plan, once."""
    settings = load_settings(config)
    with (
        stopping() as stop,
        show.progress() as progress,
        opened(settings, write=True, progress=progress, stop=stop) as agent,
    ):
        result = plan_files.apply_file(agent, file, override)
    show.plan(result.plan, limit)
    if result.applied:
        show.out.print("\nDone:")
        show.outcomes(result.plan.changes, result.applied, limit)
    made = any(outcome.result is Result.APPLIED for outcome in result.applied or ())
    back = f"; `{hints.command(config, 'revert', result.run)}` takes it back" if made else ""
    show.out.print(f"\nRun {result.run}{back}.", markup=False, soft_wrap=True)
    return end(result, config)


def revert(
    config: Path, run: str, *, only: Sequence[str], by: str | None, note: str, limit: int, override: Override | None
) -> int:
    """Take a run back."""
    settings = load_settings(config)
    name = (by or this_user()).strip()
    with (
        stopping() as stop,
        show.progress() as progress,
        opened(settings, write=True, progress=progress, stop=stop) as agent,
    ):
        done = reverting.revert(agent, run, only=only, by=name, note=note, override=override)
    result = done.result
    show.plan(result.plan, limit)
    if result.applied:
        show.out.print("\nDone:")
        show.outcomes(result.plan.changes, result.applied, limit)
    if done.left:
        show.out.print(f"\nLeft as it is ({len(done.left):,}):")
    for change, why in done.left[: limit or None]:
        _say(f"  {change.kind} {change.object} {change.record} ({change.record_name}): {why}")
    show.left_out(len(done.left) - (limit or len(done.left)), "change")
    of = f"{done.of.id} ({done.of.command}, {done.of.started:%Y-%m-%d %H:%M} UTC)"
    taken = sum(outcome.result is Result.APPLIED for outcome in result.applied or ())
    wanted = counted(len(result.plan.changes) + len(done.left), "change")
    show.out.print(f"\nRun {result.run} took back {taken:,} of {wanted} of run {of}.", markup=False, soft_wrap=True)
    return end(result, config)


def _table(document: PlanDocument, groups: Sequence[plan_views.Group], limit: int, *, texts: bool) -> None:
    for line in plan_views.heading(document):
        _say(line)
    chosen = sum(len(group.changes) for group in groups)
    if chosen != len(document.changes):
        _say(f"Of these, {counted(chosen, 'change is', 'changes are')} chosen.")
    left = limit or chosen
    for group in groups:
        if left <= 0:
            break
        show.out.print()
        if group.title:
            show.out.print(Text(f"{group.title} ({len(group.changes):,})", style="bold cyan"))
        for change in group.changes[:left]:
            text = plan_views.text_of(change) if texts else ""
            show.change(change, approved=change.key in document.approved, text=text)
        left -= len(group.changes)
    show.left_out(chosen - (limit or chosen), "change")
    show.not_planned(plan_of(document), limit)


def _say(text: str) -> None:
    show.out.print(Text(text), soft_wrap=True)
