"""One SQLite file per embedded CRM: state that does not grow in Python's memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

Row = dict[str, Any]
INSERT_BATCH = 5_000


class Database:
    """A SQLite database that several request threads may use, one at a time."""

    def __init__(self, path: Path | str) -> None:
        """Open or create the file; ``:memory:`` is allowed for small worlds."""
        self._connection = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._lock = threading.RLock()
        self._depth = 0
        # State of a rehearsal: lost with the machine, so speed is bought with durability.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA cache_size = -65536")

    @property
    def connection(self) -> sqlite3.Connection:
        """The raw connection, for registering SQL functions."""
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside commit together or not at all; re-entrant."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._connection.execute("BEGIN IMMEDIATE")
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> int:
        """Run one statement; return the number of rows it touched."""
        with self._lock:
            return self._connection.execute(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """All rows of a query, as dictionaries."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(sql, parameters)]

    def row(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        with self._lock:
            found = self._connection.execute(sql, parameters).fetchone()
        return dict(found) if found is not None else None

    def value(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The first column of the first row, or None."""
        with self._lock:
            found = self._connection.execute(sql, parameters).fetchone()
        return found[0] if found is not None else None

    def insert_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Stream rows into a table in batches; return how many."""
        marks = ", ".join("?" * len(columns))
        names = ", ".join(f'"{column}"' for column in columns)
        sql = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'
        source, total = iter(rows), 0
        while batch := list(islice(source, INSERT_BATCH)):
            with self.transaction():
                self._connection.executemany(sql, batch)
            total += len(batch)
        return total

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
