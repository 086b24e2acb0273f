"""Loaded before StageSync in the fork server: what it sleeps between two tries is cut short."""

from __future__ import annotations

import time
from typing import SupportsIndex

LONGEST = 0.002
"""Seconds."""
_sleep = time.sleep


def _hurried(seconds: SupportsIndex | float) -> None:
    _sleep(min(float(seconds), LONGEST))


time.sleep = _hurried
