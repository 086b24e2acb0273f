"""Pauses: a CRM whose calls are used up is left alone for a while, so that asking does not use up what comes back.

The pause is a note in the ledger. It binds what runs by itself; a command that a person gives goes on at once.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from stagesync.agent.connection import Agent
from stagesync.errors import LimitReached, StageSyncError
from stagesync.ledger import EntryKind

log = structlog.get_logger(__name__)

KEY = "pause"


class Paused(LimitReached):
    """The pause of an earlier run is not over: nothing was asked of the CRM."""


def check(agent: Agent, connection: str) -> None:
    """Raises Paused while a pause lasts."""
    entry = next(agent.ledger.entries(kind=EntryKind.NOTE, connection=connection, key=KEY, limit=1), None)
    if entry is None:
        return
    until = datetime.fromisoformat(entry.body["facts"]["until"])
    # A clock that was set back must not make a pause longer than it was meant to be.
    if entry.at <= agent.clock() < until:
        raise Paused(f"paused until {_shown(until)}, nothing was asked: {entry.body['text']}")


def remember(agent: Agent, run: str, connection: str, error: StageSyncError, left: str) -> StageSyncError:
    """The error with what it left undone and when the daemon goes on, which is noted in the ledger; others as is."""
    if not isinstance(error, LimitReached) or isinstance(error, Paused):
        return error
    now = agent.clock()
    until = now + error.wait
    text = f"{error}. {left[:1].upper()}{left[1:]}"
    facts = {"until": until.isoformat(), "left": left}
    agent.ledger.note(text, at=now, facts=facts, run=run, connection=connection, key=KEY)
    log.warning("connection_paused", connection=connection, until=until.isoformat())
    return LimitReached(f"{text}. The daemon goes on at {_shown(until)}").waiting(error.wait)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
