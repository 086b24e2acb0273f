"""``stagesync log prune``: what is old and needed by nobody goes, on record."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from rich.text import Text

from stagesync.cli import hints, show
from stagesync.cli.options import moment_of
from stagesync.cli.waivers import this_user
from stagesync.errors import LedgerError, UsageError
from stagesync.ledger import Ledger, PruneOrder, Pruning
from stagesync.model.counting import counted
from stagesync.policy.durations import Duration, Unit
from stagesync.settings import load_settings
from stagesync.wiring import utc_now

LENGTHS = {Unit.MINUTES: timedelta(minutes=1), Unit.HOURS: timedelta(hours=1), Unit.DAYS: timedelta(days=1)}


def prune(config: Path, *, before: str | None, keep: str | None, yes: bool, by: str | None) -> int:
    """Say what would be dropped; with ``yes`` drop it, while no agent writes with the same ledger."""
    now = utc_now()
    name = (by or this_user()).strip()
    order = PruneOrder(before=_before(before, keep, now), by=name, setting=_option(before, keep))
    with Ledger.open(load_settings(config).ledger_url) as ledger:
        if not yes:
            found = ledger.prunable(order, at=now)
            _say_what(found, "would be", "would be told")
            if found.entries:
                words = ("log", "export", "--until", f"{order.before:%Y-%m-%d}", "--out", "FILE")
                export = hints.command(config, *words)
                _say(f"Nothing was dropped; --yes does it. `{export}` writes what is older into a file first.")
            return 0
        with ledger.only_writer(f"stagesync log prune by {name}", now):
            done = ledger.prune(order, at=now)
        _say_what(done, "were", "were told")
        if done.entries:
            _compact(ledger)
    return 0


def _before(before: str | None, keep: str | None, now: datetime) -> datetime:
    if (before is None) == (keep is None):
        raise UsageError("say what is old: --before 2026-01-31, or --keep '400 days'; one of the two")
    if before is not None:
        return moment_of(before, option="--before", begins=True)
    try:
        length = Duration.parse(keep)
        if length.unit not in LENGTHS:
            raise ValueError("the ledger counts calendar days; write it as '400 days'")
        return now - length.count * LENGTHS[length.unit]
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--keep {keep}: {error}") from error


def _option(before: str | None, keep: str | None) -> str:
    return f"--before {before}" if before is not None else f"--keep '{keep}'"


def _say_what(found: Pruning, verb: str, told: str) -> None:
    if not found.entries:
        _say(f"No entry of before {found.before:%Y-%m-%d %H:%M} UTC can be dropped.")
        return
    entries, findings = counted(found.entries, "entry", "entries"), counted(found.findings, "finding")
    _say(f"{entries} of before {found.before:%Y-%m-%d %H:%M} UTC {verb} dropped, with {findings}.")
    if found.carried:
        _say(f"{counted(found.carried, 'finding')} of these, open still, {told} once more.")
    if found.kept:
        _say(f"{counted(found.kept, 'older entry stays', 'older entries stay')}, because later runs need them.")


def _compact(ledger: Ledger) -> None:
    try:
        ledger.compact()
    except LedgerError as error:
        _say(f"The file keeps its size, and uses the room for what comes: {error}")


def _say(text: str) -> None:
    show.out.print(Text(text), soft_wrap=True)
