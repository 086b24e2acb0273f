"""When a manager hears of a record: its owner ended the task, and what it asked for is missing long after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stagesync.model.crm import Owner
from stagesync.model.tasks import Ending
from stagesync.policy.durations import Duration


@dataclass(frozen=True, kw_only=True)
class TaskEnd:
    """How and when (UTC) somebody ended a task, as the CRM says it, or when StageSync saw it first."""

    how: Ending
    at: datetime


@dataclass(frozen=True, kw_only=True)
class NamedManager:
    """Whose manager somebody is: of the owners that are named by id, name or email, or of all (none named)."""

    manager: str
    owners: frozenset[str] = frozenset()

    def leads(self, owner: Owner) -> bool:
        """Whether an owner is meant."""
        return not self.owners or not self.owners.isdisjoint(owner.names)


@dataclass(frozen=True, kw_only=True)
class Escalation:
    """After how long a manager gets a task of what its owner ended (None: never), and who the managers are.

    The first of ``named`` who is meant counts, before what the CRM says itself.
    """

    after: Duration | None = None
    named: Sequence[NamedManager] = field(default_factory=tuple)

    def manager(self, owner: Owner, people: Mapping[str, Owner], fallback: str | None) -> Owner | None:
        """Who gets a task about a record of this owner: an active person, and never the owner; None when nobody is
        known. ``fallback`` is the id of the one who stands in for a manager who has left."""
        for name in self._candidates(owner, fallback):
            found = _found(name, people)
            if found is not None and found.active and not found.queue and found.id != owner.id:
                return found
        return None

    def _candidates(self, owner: Owner, fallback: str | None) -> Iterator[str]:
        named = next((one.manager for one in self.named if one.leads(owner)), None)
        yield from (name for name in (named or owner.manager, fallback) if name)


def _found(name: str, people: Mapping[str, Owner]) -> Owner | None:
    """The person of an id, else of an email or a name; of several who are called so, one who is active."""
    if name in people:
        return people[name]
    called = [one for one in people.values() if name in one.names]
    return next((one for one in called if one.active), called[0] if called else None)
