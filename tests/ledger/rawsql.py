"""Plain SQL past the ledger: what an intruder, a careless DBA or a test does."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
from sqlalchemy import make_url


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements, each committed by itself; the rows of the last one."""
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite(make_url(url).database or "", statements)
    return _postgres(url.replace("+psycopg", ""), statements)


def _sqlite(path: str, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows
    finally:
        connection.close()


def _postgres(url: str, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True, options="-csearch_path=stagesync") as connection:
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
        return rows


def drop_triggers(url: str) -> None:
    """Take the guards away, as somebody with all rights could."""
    if url.startswith("sqlite"):
        names = execute(url, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
        execute(url, *(f"DROP TRIGGER {name}" for (name,) in names))
    else:
        names = execute(
            url, "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'stagesync'"
        )
        execute(url, *(f"DROP FUNCTION {name}() CASCADE" for (name,) in names))
