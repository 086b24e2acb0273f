"""The org's daily pool of API calls: how many this session made, how much is used, and where StageSync stops.

All integrations of an org draw from one pool, counted over the last 24 hours. Each response tells how much is used:
developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_api_usage.htm
"""

from __future__ import annotations

import math
import re
import threading

from stagesync.connectors.salesforce.connection import SalesforceConnection
from stagesync.errors import LimitReached
from stagesync.model.crm import Calls

HEADER = "Sforce-Limit-Info"
COUNTED = "/services/data/"
"""Logins are no API calls."""
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


def api_usage(header: str | None) -> tuple[int, int] | None:
    """Used and allowed calls of ``api-usage=25/5000; per-app-api-usage=17/250(appName=x)``; None where it is not."""
    found = _USAGE.search(header or "")
    return (int(found[1]), int(found[2])) if found else None


class Meter:
    """Counts the calls of one session and stops them before the budget is crossed; may be used by several threads.

    Salesforce counts with a delay, and a response says nothing of the calls that are still under way. So what counts
    is the most that all others can have used, by any response so far, and every call of our own.
    """

    def __init__(self, connection: SalesforceConnection) -> None:
        self._name = connection.connection
        self._share = connection.budget
        self._lock = threading.Lock()
        self._made = 0
        self._under_way = 0
        self._said: tuple[int, int] | None = None
        self._others = 0
        self._refusal: LimitReached | None = None

    def sending(self, method: str, place: str) -> None:
        """Count a call that is about to be sent. Raises LimitReached where it would cross the budget."""
        if COUNTED not in place:
            return
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if self._said is not None and self._used() + 1 > self.budget_of(self._said[1]):
                raise self._over(method, place, self._said[1])
            self._made += 1
            self._under_way += 1

    def ended(self, place: str) -> None:
        """A call is no longer under way, with or without a response."""
        if COUNTED in place:
            with self._lock:
                self._under_way -= 1

    def heard(self, header: str | None) -> None:
        """Take note of what a response says, a refusal's too."""
        usage = api_usage(header)
        if usage is None:
            return
        with self._lock:
            self._others = max(self._others, usage[0] - (self._made - self._under_way))
            self._said = usage

    def refused(self, error: LimitReached) -> None:
        """The org itself allows no more calls: none is sent after this."""
        with self._lock:
            self._refusal = error

    def calls(self) -> Calls:
        """The calls of this session so far, and the pool as the org told it last."""
        with self._lock:
            used, limit = self._said or (None, None)
            return Calls(made=self._made, used=used, limit=limit)

    def _used(self) -> int:
        return self._others + self._made

    def budget_of(self, limit: int) -> int:
        """At how many used calls of a limit StageSync stops."""
        return math.floor(limit * self._share)

    def _over(self, method: str, place: str, limit: int) -> LimitReached:
        return LimitReached(
            f"connection '{self._name}': {self._used():,} of the {limit:,} API calls that the org allows in 24 hours "
            f"are used, by all of its integrations together, and budget.share {self._share:g} stops StageSync at "
            f"{self.budget_of(limit):,}; {method} {place} was not sent. Calls stop counting after 24 hours: wait, let "
            f"StageSync run less often, or raise the share"
        )
