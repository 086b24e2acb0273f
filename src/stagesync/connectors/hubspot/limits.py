"""HubSpot's limits on calls: those of a day, of any ten seconds, and searches of a second.

The calls of a day are one pool for all integrations of the account, and start again at midnight in its time zone. The
ten seconds are those of this app alone; the searches are again those of all. Source:
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines, read 2026-11-21.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from stagesync.connectors.metering import Pool
from stagesync.errors import LimitReached

DAY, LEFT = "x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"
MOST, INTERVAL = "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-interval-milliseconds"
WINDOW_SECONDS = 10.0
SEARCH_SECONDS = 1.0
MARGIN_SECONDS = 0.005
"""Two clocks do not count alike to the last digit."""
A_MOMENT = timedelta(minutes=1)

Headers = Mapping[str, str]
"""Asked for names in lower case."""


class Meter(Pool):
    """The pool of a portal. An answer says how many calls of the day are left, but not one to a search."""

    account, anew = "the portal", "The count starts again at midnight in the portal's time zone"

    def heard(self, headers: Headers) -> None:
        """Take note of what the answer to a call says that has not ended yet, a refusal's too; OAuth apps and
        searches are told nothing.
        """
        limit, left = _count(headers.get(DAY)), _count(headers.get(LEFT))
        if limit is None or left is None:
            return
        used = limit - left
        with self._lock:
            others = max(self._under_way - 1, 0)  # under way beside the call that this answers
            if self._said is not None and used < self._said[0] - others:  # it was midnight
                self._made_before, self._others = self._made - others - 1, 0
            self._take_note(used, limit, others)


@dataclass
class Window:
    """Calls within so many seconds. A call counts from its sending until ``span`` after its answer: HubSpot received it
    somewhere in between, so that no window of HubSpot's own ever holds more than ``most``, whatever the network does.
    """

    span: float
    most: int | None = None
    ends: deque[list[float]] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Seconds until another call fits in."""
        while self.ends and self.ends[0] and self.ends[0][0] + self.span + MARGIN_SECONDS <= now:
            self.ends.popleft()
        if self.most is None or len(self.ends) < self.most:
            return 0.0
        ended = self.ends[len(self.ends) - self.most] or [now]
        return max(ended[0] + self.span + MARGIN_SECONDS - now, 0.001)


class Pace:
    """Lets calls go no faster than the portal allows. May be used by several threads.

    ``calls`` in ten seconds is what the settings say, and otherwise what the portal's answers say. One that states no
    limit is not waited for, and neither are its searches, whose limit no answer states.
    """

    def __init__(
        self, *, calls: int | None, searches: int, sleep: Callable[[float], None], timer: Callable[[], float]
    ) -> None:
        self._set = calls
        self._most_searches = searches
        self._sleep = sleep
        self._timer = timer
        self._lock = threading.Lock()
        self._calls = Window(WINDOW_SECONDS, calls)
        self._searches = Window(SEARCH_SECONDS, searches if calls is not None else None)

    def begin(self, *, search: bool) -> Callable[[], None]:
        """Wait for a call's turn; to be called with its end."""
        windows = [self._calls, self._searches] if search else [self._calls]
        with self._lock:
            while (wait := max(window.wait(self._timer()) for window in windows)) > 0:
                before = self._timer()
                self._sleep(wait)
                if self._timer() <= before:  # nobody waits where time stands still
                    break
            end: list[float] = []
            for window in windows:
                window.ends.append(end)

        def ended() -> None:
            end.append(self._timer())

        return ended

    def heard(self, headers: Headers) -> None:
        """What the portal says of its ten seconds."""
        most, interval = _count(headers.get(MOST)), _count(headers.get(INTERVAL))
        if not most or self._set is not None or interval not in {None, round(WINDOW_SECONDS * 1000)}:
            return
        with self._lock:
            self._calls.most = most
            if self._searches.most is None:
                self._searches.most = self._most_searches

    def slow_down(self) -> None:
        """Search half as fast from here on: others search too."""
        with self._lock:
            self._searches.most = max(1, (self._searches.most or self._most_searches) // 2)

    def window(self) -> float:
        """Seconds until the oldest of our calls leaves the ten seconds."""
        now = self._timer()
        with self._lock:
            ended = next((end[0] for end in self._calls.ends if end and end[0] + WINDOW_SECONDS > now), now)
        return max(0.5, ended + WINDOW_SECONDS - now)


def until_midnight(now: datetime | None, zone: ZoneInfo | None) -> timedelta:
    """How long until the day's calls start again; an hour where the portal's clock or time zone is not known."""
    if now is None or zone is None:
        return LimitReached.wait
    local = now.astimezone(zone)
    midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    return midnight.astimezone(UTC) - now.astimezone(UTC) + A_MOMENT


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None
