"""Switches for the things that go wrong between an agent and HubSpot."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Outage:
    """One refused request: 502 and 504 are HTML from the edge, others JSON; ``retry_after`` in seconds."""

    status: int
    retry_after: int | None = None


@dataclass(slots=True, kw_only=True)
class Faults:
    """What is broken now. Tests and the sandbox's control page flip these while the server runs."""

    token_revoked: bool = False
    token_expired: bool = False
    read_only_token: bool = False
    missing_scopes: set[str] = field(default_factory=set)
    leads_absent: bool = False
    search_lag_seconds: float = 0.0
    drop_after_task_create: int = 0
    outages: list[Outage] = field(default_factory=list)

    def fail_next(self, count: int, status: int, *, retry_after: int | None = None) -> None:
        """Answer the next ``count`` requests with ``status`` (502 HTML, 503, 423, 477 ...)."""
        self.outages.extend([Outage(status=status, retry_after=retry_after)] * count)

    def next_outage(self) -> Outage | None:
        """Take one planned outage off the list."""
        return self.outages.pop(0) if self.outages else None

    def take_drop(self) -> bool:
        """True once for each connection that is to be cut after a committed task."""
        if self.drop_after_task_create <= 0:
            return False
        self.drop_after_task_create -= 1
        return True
