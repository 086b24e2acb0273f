"""Drops from the ledger what is older than the settings keep, at most once a day, at the end of a run that may write.

The run holds the right to write meanwhile, so that no other agent plans on what goes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from stagesync.ledger import EntryKind, PruneOrder

if TYPE_CHECKING:
    from stagesync.agent.connection import Agent

log = structlog.get_logger(__name__)

OFTEN = timedelta(days=1)


def keep_to(agent: Agent) -> None:
    """Drops old entries that no later run needs, on record, where the settings say how long they are kept."""
    now = agent.clock()
    last = next(iter(agent.ledger.entries(kind=EntryKind.LEDGER_PRUNED, limit=1)), None)
    if agent.ledger_keeps is None or (last is not None and now - last.at < OFTEN):
        return
    setting = f"retention.ledger: {agent.ledger_keeps.days} days"
    order = PruneOrder(before=now - agent.ledger_keeps, by="the settings", setting=setting)
    if agent.ledger.prunable(order, at=now).entries:
        done = agent.ledger.prune(order, at=now)
        log.info("ledger_pruned", entries=done.entries, findings=done.findings, kept=done.kept)
