"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 record``, ``2,000 records``; ``many`` where a plural takes more than an s: ``1 entry``, ``2 entries``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
