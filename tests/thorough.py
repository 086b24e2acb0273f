"""How much the random tests try: some on ordinary days, all of it in ``make soak``, which sets STAGESYNC_THOROUGH."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")


def tries(*, ordinary: T, soak: T) -> T:
    """One of the two."""
    return soak if "STAGESYNC_THOROUGH" in os.environ else ordinary
