"""Switches for the things that go wrong between an agent and HubSpot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PASS = 200
"""As the status of an outage: no outage. For requests that come before the one that fails."""
LOST = 0
"""As the status of an outage: the request is carried out, and the connection is cut instead of an answer."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """One refused request to a path that holds ``on``: 502, 504 and 52x are HTML from the edge, others JSON.

    ``retry_after`` is in seconds. A 429 says that the calls of the day are used up.
    """

    status: int
    retry_after: int | None = None
    on: str = ""


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
    bad_rows: Literal["whole", "named", "nameless"] = "whole"
    """What a bad value does to a batch of updates or upserts: fails all of it, or is an error of a 207, which says
    which row it is about or does not.
    """

    def fail_next(
        self, count: int, status: int, *, retry_after: int | None = None, on: str = "", skip: int = 0
    ) -> None:
        """Answer the next ``count`` requests (to paths that hold ``on``) with ``status`` (502 HTML, 503, 423, ...).

        The first ``skip`` of those requests are answered as ever.
        """
        self.outages.extend([Outage(status=PASS, on=on)] * skip)
        self.outages.extend([Outage(status=status, retry_after=retry_after, on=on)] * count)

    def next_outage(self, path: str = "") -> Outage | None:
        """Take the first planned outage of a path off the list."""
        for place, planned in enumerate(self.outages):
            if planned.on in path:
                del self.outages[place]
                return planned if planned.status != PASS else None
        return None

    def take_drop(self) -> bool:
        """True once for each connection that is to be cut after a committed task."""
        if self.drop_after_task_create <= 0:
            return False
        self.drop_after_task_create -= 1
        return True
