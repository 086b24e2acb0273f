"""Pauses: a CRM that will refuse the next run as it refused this one is left alone for a while.

Where calls are used up, asking would use up what comes back; where credentials are refused, failed logins lock the
user out. The pause is a note in the ledger, so that a container that is restarted again and again waits as well. It
binds what runs by itself; a command that a person gives goes on at once, and ends the pause when it gets through.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from stagesync.agent.connection import Agent
from stagesync.errors import CredentialsRefused, LimitReached, StageSyncError
from stagesync.ledger import Entry, EntryKind

log = structlog.get_logger(__name__)

KEY = "pause"


class Paused(LimitReached):
    """The pause of an earlier run is not over: nothing was asked of the CRM."""


class StillRefused(CredentialsRefused):
    """The credentials were refused a short while ago: the CRM was not asked again."""


def check(agent: Agent, connection: str) -> None:
    """Raises Paused or StillRefused while a pause lasts."""
    entry = _in_force(agent, connection)
    if entry is None:
        return
    text = f"paused until {_shown(_until(entry))}, nothing was asked: {entry.body['text']}"
    raise StillRefused(text) if entry.body["facts"].get("refused") else Paused(text)


def lift(agent: Agent, run: str, connection: str) -> None:
    """The CRM answered: a pause that is in force is over."""
    if _in_force(agent, connection) is None:
        return
    now = agent.clock()
    facts = {"until": now.isoformat()}
    agent.ledger.note(
        "the pause is over, a command got through", at=now, facts=facts, run=run, connection=connection, key=KEY
    )
    log.info("connection_resumed", connection=connection)


def remember(
    agent: Agent, run: str, connection: str, error: StageSyncError, left: str, *, unattended: bool
) -> StageSyncError:
    """The error with what it left undone and when the daemon goes on, which is noted in the ledger; others as is.

    What is refused to a person may be due to the credentials of this person, so it does not bind the daemon.
    """
    refused = isinstance(error, CredentialsRefused)
    if isinstance(error, Paused | StillRefused) or (refused and not unattended):
        return error
    if not isinstance(error, LimitReached | CredentialsRefused):
        return error
    now = agent.clock()
    until = now + error.wait
    text = f"{error}. {left[:1].upper()}{left[1:]}"
    facts = {"until": until.isoformat(), "left": left, "refused": refused}
    agent.ledger.note(text, at=now, facts=facts, run=run, connection=connection, key=KEY)
    log.warning("connection_paused", connection=connection, until=until.isoformat())
    if refused:
        return CredentialsRefused(f"{text}. The daemon tries again at {_shown(until)}, or once a command got through")
    return LimitReached(f"{text}. The daemon goes on at {_shown(until)}").waiting(error.wait)


def _in_force(agent: Agent, connection: str) -> Entry | None:
    entry = next(agent.ledger.entries(kind=EntryKind.NOTE, connection=connection, key=KEY, limit=1), None)
    # A clock that was set back must not make a pause longer than it was meant to be.
    return entry if entry is not None and entry.at <= agent.clock() < _until(entry) else None


def _until(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.body["facts"]["until"])


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
