"""What stops a run that is writing: the pause switch, and a freeze window that begins meanwhile.

While the pause is on, nothing is written to a CRM, whoever asks. It is an entry of the ledger (``stagesync pause``), so
that every agent on that ledger obeys, or a file, for whoever has no more than a shell on the machine. One of the two is
enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from stagesync.errors import RefusedError
from stagesync.ledger import EntryKind
from stagesync.model.counting import counted
from stagesync.planning.guard import Refusal

if TYPE_CHECKING:
    from stagesync.agent.connection import Agent
    from stagesync.ledger import Entry, Ledger


def paused(agent: Agent) -> str | None:
    """Who paused, since when and why; None when nothing is paused."""
    entry = standing(agent.ledger)
    if entry is not None:
        return f"writing is paused since {entry.at:%Y-%m-%d %H:%M} UTC: {entry.body['text']}"
    if agent.pause_file is not None and agent.pause_file.exists():
        return f"writing is paused by the file {agent.pause_file}"
    return None


def check(agent: Agent, done: int, left: int) -> None:
    """Raises RefusedError where somebody paused while changes were being made."""
    why = paused(agent)
    if why is not None:
        raise RefusedError(f"{why}. {_so_far(done, left)}; `stagesync resume` lets agents go on")


def freezing(agent: Agent, overridden: Iterable[str], done: int, left: int) -> Refusal | None:
    """The freeze window that has begun while changes were being made; None when none has, or those in ``overridden``
    alone (by the names of their limits)."""
    now = agent.clock()
    names = set(overridden)
    for freeze in agent.freezes:
        if freeze.limit not in names and freeze.holds(now):
            remedy = (
                f"{_so_far(done, left)}; the next run goes on after its end. Once and on record, "
                "--override REASON lets a run pass"
            )
            return Refusal(limit=freeze.limit, wanted=1, allowed=0, says=freeze.words(now), remedy=remedy)
    return None


def _so_far(done: int, left: int) -> str:
    return f"{counted(done, 'change was', 'changes were')} made before, {counted(left, 'waits', 'wait')}"


def standing(ledger: Ledger) -> Entry | None:
    """The entry that pauses, None when none does or it was taken back."""
    newest = [
        entry
        for kind in (EntryKind.WRITES_PAUSED, EntryKind.WRITES_RESUMED)
        for entry in ledger.entries(kind=kind, limit=1)
    ]
    last = max(newest, key=lambda entry: entry.seq, default=None)
    return last if last is not None and last.kind == EntryKind.WRITES_PAUSED else None


def pause(ledger: Ledger, *, by: str, reason: str, at: datetime) -> None:
    """Lets nobody write any more."""
    facts = {"by": by, "reason": reason}
    ledger.note(f"paused by {by}: {reason}", at=at, kind=EntryKind.WRITES_PAUSED, facts=facts)


def resume(ledger: Ledger, file: Path, *, by: str, reason: str, at: datetime) -> bool:
    """Lets agents write again; whether anything had paused them. Raises OSError where the file cannot be removed."""
    was = standing(ledger) is not None or file.exists()
    if was:
        file.unlink(missing_ok=True)
        text = f"resumed by {by}" + (f": {reason}" if reason else "")
        ledger.note(text, at=at, kind=EntryKind.WRITES_RESUMED, facts={"by": by, "reason": reason})
    return was
