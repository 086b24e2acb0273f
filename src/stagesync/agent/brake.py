"""The pause switch: while it is on, nothing is written to a CRM, whoever asks.

It is an entry of the ledger (``stagesync pause``), so that every agent on that ledger obeys, or a file, for whoever has
no more than a shell on the machine. One of the two is enough.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from stagesync.errors import RefusedError
from stagesync.ledger import EntryKind
from stagesync.model.counting import counted

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
        made, waits = counted(done, "change was", "changes were"), counted(left, "waits", "wait")
        raise RefusedError(f"{why}. {made} made before, {waits}; `stagesync resume` lets agents go on")


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
