"""Corrections that came back: whether to try once more, to wait, or to stop for that record, and who wrote it.

A value that two write in turn helps nobody, so a correction is tried twice at most. One that a person took back with
``stagesync revert`` is not tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from stagesync.model.crm import Owner

TRIES = 2
PEOPLE, WORKFLOW, IMPORT, INTEGRATION = "a person", "a workflow", "an import", "an integration"
SOURCES: Mapping[str, str] = {
    "CRM_UI": PEOPLE,
    "AUTOMATION_PLATFORM": WORKFLOW,
    "WORKFLOWS": WORKFLOW,
    "IMPORT": IMPORT,
    "INTEGRATION": INTEGRATION,
    "API": INTEGRATION,
    "SALESFORCE": INTEGRATION,
}
"""What HubSpot calls the sources of a value, in words; others are shown as they are."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A stage that we wrote: from which native stage, when (UTC), and who had it reverted, None when nobody did."""

    before: str | None
    at: datetime
    reverted: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """Earlier corrections out of the stage in which a record is again. ``reverted`` says who took the last one back."""

    tries: int
    last: datetime
    reverted: str | None

    @property
    def over(self) -> bool:
        """Whether nothing more is to be tried."""
        return self.reverted is not None or self.tries >= TRIES


def dispute(corrections: Sequence[Correction], native: str | None) -> Dispute | None:
    """What there was between us and somebody else about this stage of a record; None when nothing was."""
    same = [one for one in corrections if (one.before or None) == (native or None)]
    if not same:
        return None
    return Dispute(tries=len(same), last=same[-1].at, reverted=same[-1].reverted)


def writer(by: str | None, owners: Mapping[str, Owner]) -> str:
    """Who or what wrote a stage, in words, from the ``by`` of the stage history."""
    if not by:
        return "somebody whom the stage history does not name"
    source, _, detail = by.partition(":")
    if source in SOURCES:
        return f"{SOURCES[source]} ({by})" if detail else f"{SOURCES[source]} ({source})"
    owner = owners.get(by)
    return f"{owner.name} ({by})" if owner is not None else by
