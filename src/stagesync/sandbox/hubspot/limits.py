"""HubSpot's three call limits: ten-second window, day, and searches per second."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from stagesync.sandbox.hubspot.errors import ApiError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Calls allowed; None is unlimited. A professional portal has 190, 625000 and 5."""

    ten_secondly: int | None = None
    daily: int | None = 1_000_000
    search_secondly: int | None = None


class RateLimiter:
    """Counts calls against the limits. Time is ``timer``, seconds, unrelated to the portal's own clock."""

    def __init__(self, limits: Limits, *, app_id: int, timer: Callable[[], float] = time.monotonic) -> None:
        """Start with empty windows."""
        self.limits = limits
        self.used_today = 0
        self.refused: Counter[str] = Counter()
        """Refusals so far by policy."""
        self._app_id = app_id
        self._timer = timer
        self._calls: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._lock = threading.Lock()

    def admit(self, *, search: bool, day: str) -> dict[str, str]:
        """Count one call made on the portal's ``day``; return its rate headers (none for a search).

        Raises the 429 that HubSpot sends, which has no ``category``.
        """
        with self._lock:
            self._roll(day)
            now = self._timer()
            if search:
                self._take(self._searches, now, 1.0, self.limits.search_secondly, "SECONDLY")
            self._take_day()
            if not search:
                self._take(self._calls, now, 10.0, self.limits.ten_secondly, "TEN_SECONDLY_ROLLING")
            self.used_today += 1
            return {} if search else self._headers()

    def _roll(self, day: str) -> None:
        if getattr(self, "_day", day) != day:
            self.used_today = 0
        self._day = day

    def _take_day(self) -> None:
        if self.limits.daily is not None and self.used_today >= self.limits.daily:
            raise self._refusal("DAILY", "You have reached your daily limit.")

    def _take(self, window: deque[float], now: float, span: float, limit: int | None, policy: str) -> None:
        while window and window[0] <= now - span:
            window.popleft()
        if limit is not None and len(window) >= limit:
            raise self._refusal(policy, f"You have reached your {policy.lower()} limit.")
        if limit is not None:
            window.append(now)

    def _refusal(self, policy: str, message: str) -> ApiError:
        self.refused[policy] += 1
        group = "daily" if policy == "DAILY" else "ten-secondly" if policy.startswith("TEN") else "search"
        body = {
            "status": "error",
            "message": message,
            "errorType": "RATE_LIMIT",
            "policyName": policy,
            "groupName": f"publicapi:private-apps-api-calls-{group}:{self._app_id}",
        }
        return ApiError(429, body, {} if policy == "SECONDLY" else self._headers())

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.limits.daily is not None:
            headers["X-HubSpot-RateLimit-Daily"] = str(self.limits.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(self.limits.daily - self.used_today)
        if self.limits.ten_secondly is not None:
            headers["X-HubSpot-RateLimit-Interval-Milliseconds"] = "10000"
            headers["X-HubSpot-RateLimit-Max"] = str(self.limits.ten_secondly)
            headers["X-HubSpot-RateLimit-Remaining"] = str(self.limits.ten_secondly - len(self._calls))
        return headers
