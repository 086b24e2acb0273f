"""The org's daily pool of API calls: how many this session made, how much is used, and where StageSync stops.

All integrations of an org draw from one pool, counted over the last 24 hours. Each response tells how much is used:
developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_api_usage.htm
"""

from __future__ import annotations

import re

from stagesync.connectors.metering import Pool
from stagesync.connectors.salesforce.connection import SalesforceConnection

HEADER = "Sforce-Limit-Info"
COUNTED = "/services/data/"
"""Logins are no API calls."""
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


def api_usage(header: str | None) -> tuple[int, int] | None:
    """Used and allowed calls of ``api-usage=25/5000; per-app-api-usage=17/250(appName=x)``; None where it is not."""
    found = _USAGE.search(header or "")
    return (int(found[1]), int(found[2])) if found else None


class Meter(Pool):
    """The pool of an org, which each response tells of: what is used and allowed. Logins are no API calls."""

    account, period, anew = "the org", "in 24 hours", "Calls stop counting after 24 hours"

    def __init__(self, connection: SalesforceConnection) -> None:
        super().__init__(connection.connection, connection.budget)

    def sending(self, method: str, place: str) -> None:
        """Count a call that is about to be sent. Raises LimitReached where it would cross the budget."""
        if COUNTED in place:
            self.begin(f"{method} {place}")

    def ended(self, place: str) -> None:
        """A call is no longer under way, with or without a response."""
        if COUNTED in place:
            self.end()

    def heard(self, header: str | None) -> None:
        """Take note of what the response to a call says that has ended, a refusal's too."""
        usage = api_usage(header)
        if usage is not None:
            with self._lock:
                self._take_note(*usage, self._under_way)
