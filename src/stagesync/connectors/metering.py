"""The pool of API calls that all integrations of one account draw from, and the share at which StageSync stops."""

from __future__ import annotations

import math
import threading

from stagesync.errors import LimitReached
from stagesync.model.crm import Calls


class Pool:
    """Counts the calls of one session and stops them before the budget is crossed; may be used by several threads.

    CRMs count with a delay, and an answer says nothing of the calls that are still under way. So what counts is the
    most that all others can have used, by any answer so far, and every call of our own.
    """

    account = "the account"
    period = "in a day"
    anew = ""
    """When calls stop counting, as a sentence."""

    def __init__(self, connection: str, share: float) -> None:
        self._name = connection
        self._share = share
        self._lock = threading.Lock()
        self._made = 0
        self._under_way = 0
        self._made_before = 0
        """Of our own calls, those that count no more."""
        self._said: tuple[int, int] | None = None
        self._others = 0
        self._refusal: LimitReached | None = None

    def begin(self, what: str) -> None:
        """Count a call that is about to be sent. Raises LimitReached where it would cross the budget."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if self._said is not None and self._used() + 1 > self.budget_of(self._said[1]):
                raise self._over(what, self._said[1])
            self._made += 1
            self._under_way += 1

    def end(self) -> None:
        """A call is no longer under way, with or without an answer."""
        with self._lock:
            self._under_way -= 1

    def refused(self, error: LimitReached) -> None:
        """The CRM itself allows no more calls: none is sent after this."""
        with self._lock:
            self._refusal = error

    def calls(self) -> Calls:
        """The calls of this session so far, and the pool as the CRM told it last."""
        with self._lock:
            used, limit = self._said or (None, None)
            return Calls(made=self._made, used=used, limit=limit)

    def budget_of(self, limit: int) -> int:
        """At how many used calls of a limit StageSync stops."""
        return math.floor(limit * self._share)

    def _take_note(self, used: int, limit: int, under_way: int) -> None:
        """What an answer said while so many other calls were under way; with the lock held."""
        self._others = max(self._others, used - (self._made - self._made_before - under_way))
        self._said = used, limit

    def _used(self) -> int:
        return self._others + self._made - self._made_before

    def _over(self, what: str, limit: int) -> LimitReached:
        return LimitReached(
            f"connection '{self._name}': {self._used():,} of the {limit:,} API calls that {self.account} allows "
            f"{self.period} are used, by all of its integrations together, and budget.share {self._share:g} stops "
            f"StageSync at {self.budget_of(limit):,}; {what} was not sent. {self.anew}: wait, let StageSync run less "
            f"often, or raise the share"
        )
