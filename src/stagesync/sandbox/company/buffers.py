"""Rows on their way into a CRM, some thousands at a time, so that a million records need little memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

BUFFERED_ROWS = 5_000
Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


class Buffers(Generic[Key, Row]):
    """Collects rows by destination and hands each full batch on."""

    def __init__(self, deliver: Callable[[Key, list[Row]], object]) -> None:
        """``deliver`` writes the rows of one destination."""
        self._deliver = deliver
        self._rows: dict[Key, list[Row]] = {}

    def add(self, key: Key, row: Row) -> None:
        """Keep a row until its batch is full."""
        rows = self._rows.setdefault(key, [])
        rows.append(row)
        if len(rows) >= BUFFERED_ROWS:
            self._send(key)

    def flush(self) -> None:
        """Hand on whatever is left."""
        for key in list(self._rows):
            self._send(key)

    def _send(self, key: Key) -> None:
        rows = self._rows.pop(key, [])
        if rows:
            self._deliver(key, rows)
