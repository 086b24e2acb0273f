"""What people see on a terminal: tables of findings, plans as a diff, outcomes. Every list says what it left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from stagesync.agent.connection import Progress
from stagesync.audit.forecast import Forecast, Value
from stagesync.audit.funnel import Funnel, FunnelRung
from stagesync.audit.judgement import Judgement, waived
from stagesync.audit.money import currencies
from stagesync.audit.waivers import Effect
from stagesync.cli import hints
from stagesync.errors import StageSyncError
from stagesync.model.changes import Change, ChangeKind, LeftOut, Outcome, Plan, Result
from stagesync.model.counting import counted
from stagesync.model.findings import Finding
from stagesync.model.kinds import Kind, Severity
from stagesync.report import plan_views

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

ABSURD = 1e15
"""Amounts from here on are slips of the keyboard, and as digits would push everything else off the screen."""
KIND_WORDS = {
    Kind.PREMATURE: "premature",
    Kind.STALLED: "stalled",
    Kind.CONTRADICTION: "contradiction",
    Kind.PLACEHOLDER: "placeholder",
    Kind.UNOWNED: "unowned",
    Kind.REGRESSED: "moved back",
    Kind.SKIPPED: "skipped a stage",
    Kind.READY: "ready to advance",
}
RESULT_WORDS = {
    Result.APPLIED: "applied",
    Result.ALREADY_SO: "already so",
    Result.SUPERSEDED: "left alone, somebody was faster",
    Result.REFUSED: "refused by the CRM",
    Result.FAILED: "failed",
    Result.UNKNOWN: "unknown, settled by the next run",
}


def money(amount: float | None) -> str:
    """An amount without decimals, an absurd one in short; a dash for none. The currency is the record's own."""
    if amount is None:
        return "-"
    return f"{round(amount) or 0:,}" if abs(amount) < ABSURD else f"{amount:.2g}"  # and not -0


@contextmanager
def progress() -> Iterator[Progress]:
    """Shows what is being read or written: a moving line on a terminal, one line a step elsewhere."""
    if not err.is_terminal:
        yield _plain_progress()
        return
    with err.status("starting") as status:
        yield _moving_progress(status)


def _moving_progress(status: Status) -> Progress:
    def moved(connection: str, doing: str, done: int) -> None:
        status.update(f"{escape(connection)}: {escape(doing)}" + (f" {done:,}" if done else ""))

    return moved


def _plain_progress() -> Progress:
    """Where nothing can move: a line for each stretch of work, not for each table."""
    said: set[tuple[str, str]] = set()

    def moved(connection: str, doing: str, _done: int) -> None:
        words = _STRETCHES.get(doing, "reading")
        if (connection, words) not in said:
            said.add((connection, words))
            err.print(f"... {words} {connection}", markup=False)

    return moved


_STRETCHES = {
    "inventing": "inventing",
    "audit": "judging",
    ChangeKind.SET_STAGE: "correcting stages in",
    ChangeKind.OPEN_TASK: "opening tasks in",
    ChangeKind.UPDATE_TASK: "updating tasks in",
    ChangeKind.CLOSE_TASK: "closing tasks in",
}


def scope(judgements: Sequence[Judgement]) -> None:
    """How much was judged, what was skipped and why, and what could not be known."""
    table = Table(title="What was judged", title_justify="left", show_edge=False, pad_edge=False)
    several = any(judgement.scope.ladder for judgement in judgements)
    for name in ("connection", "object", *(["ladder"] if several else [])):
        table.add_column(name)
    for name in ("in scope", "judged", "skipped", "findings"):
        table.add_column(name, justify="right")
    for judgement in judgements:
        of = judgement.scope
        skipped = of.in_scope - of.evaluated
        table.add_row(
            escape(of.connection),
            escape(of.object),
            *([escape(of.ladder or "")] if several else []),
            f"{of.in_scope:,}",
            f"{of.evaluated:,}",
            f"{skipped:,}",
            f"{judgement.findings.height:,}",
        )
    out.print(table)
    for judgement in judgements:
        for reason, count in judgement.scope.skipped.items():
            out.print(f"  {judgement.mapped.name}: {count:,} skipped: {reason}", markup=False)
    _unknown(judgements)
    _waivers(waived(judgements))


def _waivers(effects: Sequence[Effect]) -> None:
    """What was let off; the expired first, because somebody must renew or remove them."""
    for effect in sorted(effects, key=lambda one: not one.expired)[:SHOWN_WAIVERS]:
        waiver = effect.waiver
        did = f"let off {counted(effect.records, 'record')}, set aside {counted(effect.findings, 'finding')}"
        said = f"expired on {waiver.until}" if effect.expired else did
        out.print(f"  waiver {waiver.id} ({waiver.rule}, by {waiver.by}): {said}", markup=False, soft_wrap=True)
    if len(effects) > SHOWN_WAIVERS:
        out.print(f"  and {counted(len(effects) - SHOWN_WAIVERS, 'more waiver')}; --format json lists all")


def _unknown(judgements: Sequence[Judgement]) -> None:
    unknown = [(judgement, entry) for judgement in judgements for entry in judgement.not_judged]
    if unknown:
        out.print("\nWhat could not be judged, and why (an unknown never demotes anybody):")
    for judgement, entry in unknown:
        line = f"  {judgement.mapped.name}, {entry.criterion}: {counted(entry.records, 'record')}; {entry.reason}"
        out.print(line, markup=False, soft_wrap=True)


def by_kind_and_stage(judgements: Sequence[Judgement]) -> None:
    """Findings by kind and stage, with the money that stands on them."""
    counts: Counter[tuple[str, Kind, str]] = Counter()
    amounts: defaultdict[tuple[str, Kind, str], float] = defaultdict(float)
    mixed = _mixed(judgements)
    for judgement in judgements:
        rows = judgement.findings["row"]
        facts = (judgement.records[name].gather(rows) for name in ("place", "amount"))
        found = judgement.findings.select("kind").hstack(list(facts)).group_by("kind", "place")
        for kind, place, count, amount in found.agg(pl.len(), pl.col("amount").sum()).sort("kind", "place").iter_rows():
            key = (judgement.mapped.name, Kind(kind), place or "-")
            counts[key] += count
            amounts[key] += 0.0 if key[0] in mixed else amount
    table = Table(title="Findings by kind and stage", title_justify="left", show_edge=False, pad_edge=False)
    for name in ("object", "finding"):
        table.add_column(name, no_wrap=True)
    for name in ("records", "money at stake"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by stage", overflow="fold")
    for place, kind in sorted({key[:2] for key in counts}, key=lambda pair: (pair[0], list(Kind).index(pair[1]))):
        stages = [key for key in sorted(counts, key=lambda key: -counts[key]) if key[:2] == (place, kind)]
        stake = sum(amounts[key] for key in stages)
        by_stage = ", ".join(f"{key[2]} {counts[key]:,}" + _stake(amounts[key]) for key in stages)
        total = sum(counts[key] for key in stages)
        table.add_row(escape(place), KIND_WORDS[kind], f"{total:,}", money(stake or None), escape(by_stage))
    out.print(table)
    out.print(f"{counted(counts.total(), 'finding')}; a record may have several, each counts its whole amount.")
    for name, known in mixed.items():
        said = f"{name}: amounts are in {' and '.join(known)}, so they are not added."
        out.print(said, markup=False, soft_wrap=True)


def _mixed(judgements: Sequence[Judgement]) -> dict[str, Sequence[str]]:
    """By object, the currencies of its records where they have several."""
    records: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
    for judgement in judgements:
        records[judgement.mapped.name].append(judgement.records)
    found = {name: currencies(frames) for name, frames in records.items()}
    return {name: known for name, known in found.items() if len(known) > 1}


def inverted(found: Sequence[Funnel]) -> None:
    """Where more records stand on a rung than on the one below it; nothing where the funnel is one."""
    for funnel in found:
        rungs = {rung.stage: rung for rung in funnel.rungs}
        for rung in funnel.rungs:
            if rung.inverted is not None:
                below = rungs[rung.inverted]
                standing = counted(rung.standing, "record")
                said = (
                    f"Inverted funnel: {funnel.connection} has {standing} on '{rung.stage}' and "
                    f"{below.standing:,} on '{below.stage}' below it; by evidence {_earned(rung)} and {_earned(below)}."
                )
                out.print(said, markup=False, soft_wrap=True)


def _earned(rung: FunnelRung) -> str:
    """How many have earned a rung and no more: a range where unknowns leave it open."""
    return f"{rung.surely:,}" if rung.surely == rung.could else f"{rung.surely:,} to {rung.could:,}"


def _stake(amount: float) -> str:
    return f" ({money(amount)})" if amount else ""


def findings(records: Sequence[Sequence[Finding]], *, more: int) -> None:
    """The findings of each record, and how many more records have some."""
    for group in records:
        _record(group)
    left_out(more, "record with findings", "records with findings")


def _record(group: Sequence[Finding]) -> None:
    first = group[0]
    stake = f", {money(first.amount)}" if first.amount else ""
    owner = f", {first.owner_name or first.owner}" if first.owner_name or first.owner else ""
    title = Text(f"{first.record_name}", style="bold")
    title.append(f"  {first.object} {first.record} in '{first.native_stage}'{stake}{owner}", style="not bold dim")
    out.print(title, soft_wrap=True)
    for one in group:
        earned = f" (earned: {one.earned or 'no stage'})" if one.kind in (Kind.PREMATURE, Kind.READY) else ""
        line = Text("  ")
        line.append(f"{one.rule}{earned}: ", style=STYLES[one.severity])
        line.append(reasons(one))
        out.print(line, soft_wrap=True)


def reasons(finding: Finding) -> str:
    """Why, in words. A stage without criteria of its own is earned with the one below it."""
    return "; ".join(evidence.reason for evidence in finding.evidence) or "nothing more is required for it"


def forecasts(found: Sequence[Forecast], limit: int) -> None:
    """Face value beside earned value, by stage and owner; nothing where no open record has an amount."""
    for one in found:
        if one.total.records > one.total.without_amount:
            _forecast(one, limit)


def _forecast(one: Forecast, limit: int) -> None:
    title = f"The open pipeline of {one.connection} {one.object}"
    title += f", ladder '{one.ladder}'" if one.ladder else ""
    table = Table(title=escape(title), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in ("records", "face value", "win rate", "weighted", "earned"):
        table.add_column(name, justify="right", no_wrap=True)
    rates = {rate.stage: rate for rate in one.rates}
    for stage, value in one.by_stage.items():
        _value(table, stage, value, rates[stage].rate)
    table.add_section()
    known = [owned for owned in one.by_owner if owned.owner is not None] and one.by_owner
    owners = known[:OWNERS_SHOWN] if limit else known
    for owned in owners:
        _value(table, owned.name or owned.owner or "nobody", owned.value)
    table.add_section()
    _value(table, "all", one.total)
    out.print()
    out.print(table)
    left_out(len(known) - len(owners), "owner")
    if len(one.currencies) > 1:
        said = f"Amounts are in {' and '.join(one.currencies)}; sums over several currencies are left out."
        out.print(said, markup=False, soft_wrap=True)
    if one.total.without_amount:
        out.print(f"{counted(one.total.without_amount, 'open record has', 'open records have')} no amount.")
    if one.unearned.records:
        stake = money(one.unearned.face)
        verbs = ("has", "counts") if one.unearned.records == 1 else ("have", "count")
        said = f"{verbs[0]} earned no stage of this pipeline and {verbs[1]} as nothing."
        out.print(f"{one.unearned.records:,} ({stake}) {said}")
    for rate in one.rates:
        if rate.reason is not None:
            out.print(f"No win rate for '{rate.stage}': {rate.reason}.", markup=False, soft_wrap=True)


def _value(table: Table, name: str, value: Value, rate: float | None = None) -> None:
    low, high = money(value.earned_low), money(value.earned_high)
    table.add_row(
        escape(name),
        f"{value.records:,}",
        money(value.face),
        "" if rate is None else f"{rate:.0%}",
        money(value.weighted),
        low if low == high else f"{low} to {high}",
    )


OWNERS_SHOWN = 5
SHOWN_WAIVERS = 10
SHOWN_REASONS = 20


STYLES = {Severity.LOW: "blue", Severity.MEDIUM: "yellow", Severity.HIGH: "red"}


def left_out(count: int, one: str, many: str | None = None) -> None:
    """Say how many rows of a list were not shown; ``one`` and ``many`` are what to call them."""
    if count > 0:
        said = counted(count, f"more {one} is", f"more {many or f'{one}s'} are")
        out.print(f"{said} not shown; --limit 0 shows all.", markup=False)


def plan(plan_: Plan, limit: int) -> None:
    """The plan as a diff: what is, and what would be."""
    shown = plan_.changes[:limit] if limit else plan_.changes
    for one in shown:
        change(one)
    left_out(len(plan_.changes) - len(shown), "change")
    not_planned(plan_, limit)


def not_planned(plan_: Plan, limit: int) -> None:
    """What rules ask for and was left out of the plan, with the reasons, those of most records first."""
    if not plan_.left_out:
        return
    reasons = plan_views.left_out(plan_.left_out)
    shown = reasons[:SHOWN_REASONS] if limit else reasons
    out.print(f"\n{plan_views.NOT_PLANNED} ({len(plan_.left_out):,}):")
    for line in shown:
        out.print(f"  {line}", markup=False, soft_wrap=True)
    left_out(len(reasons) - len(shown), "reason")


def change(change: Change, *, approved: bool | None = None, text: str = "") -> None:
    """One change as a diff, with the ``text`` of its task; in a plan from a file with its key and whether it is
    ``approved``."""
    stake = f", {money(change.amount)} {change.currency or ''}".rstrip() if change.amount else ""
    sign = {True: "[x] ", False: "[ ] ", None: ""}[approved]
    owner = f", {change.owner_name}" if change.kind is ChangeKind.SET_STAGE and change.owner_name else ""
    title = f"{sign}{change.connection} {change.object} {change.record}  {change.record_name}{stake}{owner}"
    out.print(Text(title, style="bold"), soft_wrap=True)
    match change.kind:
        case ChangeKind.SET_STAGE:
            for field, value in change.after.items():
                before = change.before.get(field)
                if before != value:
                    out.print(Text(f"  - {field}: {_labelled(before, change.stage_from)}", style="red"))
                    out.print(Text(f"  + {field}: {_labelled(value, change.stage_to)}", style="green"))
        case ChangeKind.OPEN_TASK:
            task = change.task
            if task is not None:
                out.print(
                    Text(
                        f"  + task for {change.owner_name or task.owner}, due {task.due}: {task.subject}", style="green"
                    ),
                    soft_wrap=True,
                )
        case ChangeKind.UPDATE_TASK:
            subject = change.adds if change.asked_by is not None else change.task.subject if change.task else ""
            handed = f" goes to {change.handed_to} and" if change.handed_to else ""
            handed = " is put back and" if change.asked_by is not None else handed
            out.print(Text(f"  ~ task {change.crm_id}{handed} says: {subject}", style="green"), soft_wrap=True)
        case ChangeKind.CLOSE_TASK:
            out.print(Text(f"  - task {change.crm_id} is done", style="green"))
    for line in text.splitlines():
        out.print(Text(f"    | {line}"), soft_wrap=True)
    out.print(Text(f"    because {change.reason}", style="dim"), soft_wrap=True)
    if approved is not None:
        out.print(Text(f"    {change.rule}, {change.key}", style="dim"), soft_wrap=True)


def _labelled(value: str | None, label: str | None) -> str:
    """A stage as people know it, with the CRM's own value where that is another one."""
    if value is None:
        return "(blank)"
    return value if label in (None, value) else f"{label} ({value})"


def outcomes(changes: Sequence[Change], results: Sequence[Outcome], limit: int) -> None:
    """What became of the changes; those that are not done are named, ``limit`` of them (0: all)."""
    kinds = {change.key: change for change in changes}
    counts = Counter((kinds[outcome.key].kind, outcome.result) for outcome in results)
    for (kind, result), count in sorted(counts.items()):
        out.print(f"  {count:,} {str(kind).replace('-', ' ')}: {RESULT_WORDS[result]}", markup=False)
    undone = [outcome for outcome in results if outcome.result not in (Result.APPLIED, Result.ALREADY_SO)]
    undone.sort(key=lambda outcome: outcome.result is Result.SUPERSEDED)  # what failed comes first
    for outcome in undone[: limit or None]:
        change = kinds[outcome.key]
        out.print(
            f"  {change.object} {change.record} ({change.record_name}): "
            f"{RESULT_WORDS[outcome.result]}: {outcome.detail}",
            markup=False,
            soft_wrap=True,
        )
    left_out(len(undone) - (limit or len(undone)), "change")


def stopped(entries: Sequence[LeftOut], limit: int) -> None:
    """For which records a rule has stopped, and why."""
    for entry in entries[: limit or None]:
        place = f"{entry.connection} {entry.object} {entry.record} ({entry.record_name})"
        out.print(f"Stopped: {entry.rule} for {place}: {entry.reason}.", markup=False, soft_wrap=True)
    left_out(
        len(entries) - (limit or len(entries)),
        "record for which a rule has stopped",
        "records for which a rule has stopped",
    )


def calls(made: int, used: int | None, limit: int | None) -> str:
    """How many calls were made, and how much of the pool of a day is used by everybody, as far as is known."""
    text = counted(made, "API call")
    if used is None or not limit:
        return text
    return f"{text}; everybody together has used {used:,} of the {limit:,} of a day ({used / limit:.1%})"


def errors(failed: Mapping[str, StageSyncError], config: Path) -> None:
    """Connections that failed, each with its name and its message; ``config`` are the settings that were used."""
    for name, error in failed.items():
        place = "" if name in str(error) else f"connection {name}: "
        err.print(f"stagesync: {place}{hints.completed(str(error), config)}", markup=False, soft_wrap=True)


def heading(text: str) -> None:
    """A step of the story."""
    out.print()
    out.print(Text(text, style="bold cyan"))
