"""What a CRM says of itself, kept for a moment: one batch of writes after the other asks for the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

MOMENT = 60.0
"""Seconds. A batch of writes may take as long, so that what was asked at its beginning is as old at its end."""

T = TypeVar("T")


class Lately:
    """Answers that are asked for again once they are a minute old. For what an admin changes, never for records.

    ``timer`` counts seconds.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._told: dict[Hashable, tuple[float, Any]] = {}

    def told(self, what: Hashable, ask: Callable[[], T]) -> T:
        """What the CRM said within the last minute, or says now. What ``ask`` raises is not kept."""
        known = self._told.get(what)
        now = self._timer()
        if known is None or now - known[0] >= MOMENT:
            known = self._told[what] = now, ask()
        return cast(T, known[1])
