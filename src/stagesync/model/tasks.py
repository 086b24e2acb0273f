"""A task as the CRM has it: whether a person has ended it, and in which status it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Ending(StrEnum):
    """How a task was ended."""

    COMPLETED = "completed"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """``ended`` says how a task was ended, None while it is open; ``at`` when (UTC), None where the CRM does not say.

    ``status`` is the CRM's own word; None for a task that is deleted. ``body`` is its text without markup.
    """

    status: str | None
    ended: Ending | None = None
    at: datetime | None = None
    body: str = ""
