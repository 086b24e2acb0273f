"""One SQLite table per object, with the columns and indexes that Salesforce's queries need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from stagesync.sandbox.database import Database
from stagesync.sandbox.salesforce import moments
from stagesync.sandbox.salesforce.fields import NUMBER_TYPES, TEXT_TYPES, Field, SObject
from stagesync.sandbox.salesforce.schema import SOBJECTS

Convert = Callable[[Any], Any]

BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS _session (token TEXT PRIMARY KEY, user_id TEXT, expires TEXT);
CREATE TABLE IF NOT EXISTS _cursor (
    id TEXT PRIMARY KEY, soql TEXT, everything INTEGER, batch INTEGER, total INTEGER, used TEXT, user_id TEXT);
CREATE TABLE IF NOT EXISTS _cursor_row (cursor TEXT, position INTEGER, id TEXT, PRIMARY KEY (cursor, position))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _job (
    id TEXT PRIMARY KEY, operation TEXT, soql TEXT, object TEXT, state TEXT, created TEXT, user_id TEXT,
    version TEXT, total INTEGER, delimiter TEXT, line_ending TEXT, error TEXT);
"""


def _column(field: Field) -> str:
    if field.name == "Id":
        return '"Id" TEXT PRIMARY KEY NOT NULL'
    if field.type == "boolean":
        return f'"{field.name}" INTEGER NOT NULL DEFAULT {int(bool(field.default))}'
    if field.type == "int":
        return f'"{field.name}" INTEGER'
    if field.type in NUMBER_TYPES:
        return f'"{field.name}" REAL'
    # SOQL compares texts without case, ids and dates as they are.
    return f'"{field.name}" TEXT' + (" COLLATE NOCASE" if field.type in TEXT_TYPES else "")


def _statements(item: SObject) -> list[str]:
    columns = ", ".join(_column(field) for field in item.columns)
    made = [f'CREATE TABLE IF NOT EXISTS "{item.name}" ({columns})']
    for field in item.columns:
        name = f"{item.name}_{field.name}"
        if field.unique:
            made.append(
                f'CREATE UNIQUE INDEX IF NOT EXISTS "{name}" ON "{item.name}" ("{field.name}") '
                f'WHERE "{field.name}" IS NOT NULL AND "IsDeleted" = 0'
            )
        elif field.name == "SystemModstamp" and field.indexed:
            made.append(f'CREATE INDEX IF NOT EXISTS "{name}" ON "{item.name}" ("SystemModstamp", "Id")')
        elif field.indexed:
            made.append(f'CREATE INDEX IF NOT EXISTS "{name}" ON "{item.name}" ("{field.name}")')
    return made


def create_tables(database: Database) -> None:
    """Make what is not there yet, in an older file too; what is there is left as it is."""
    database.connection.executescript(BOOKKEEPING)
    with database.transaction():
        for item in SOBJECTS.values():
            for statement in _statements(item):
                database.execute(statement)
            there = {row["name"] for row in database.rows(f'PRAGMA table_info("{item.name}")')}
            for field in item.columns:
                if field.name not in there:
                    database.execute(f'ALTER TABLE "{item.name}" ADD COLUMN {_column(field)}')


def _datetime(value: Any) -> Any:
    if isinstance(value, datetime):
        return moments.stored(value)
    if value is None or (len(value) == 20 and value[-1] == "Z"):
        return value
    parsed = moments.parse_datetime(value)
    if parsed is None:
        raise ValueError(f"not a datetime: {value!r}")
    return parsed


def _date(value: Any) -> Any:
    if isinstance(value, datetime):
        return moments.stored(value)[:10]
    return value.isoformat() if isinstance(value, date) else value


def _number(value: Any) -> Any:
    return None if value is None else float(value)


def _boolean(value: Any) -> Any:
    return 1 if value else 0


def _text(value: Any) -> Any:
    return None if value is None or value == "" else str(value)


def converter(field: Field) -> Convert:
    """A function from what Python programs hold to what the column stores."""
    if field.type == "datetime":
        return _datetime
    if field.type == "date":
        return _date
    if field.type == "boolean":
        return _boolean
    if field.type == "int":
        return lambda value: None if value is None else int(value)
    return _number if field.type in NUMBER_TYPES else _text


def insert_row(database: Database, item: SObject, row: Mapping[str, Any]) -> None:
    """Insert one stored row; columns that the row leaves out take their default."""
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" * len(row))
    database.execute(f'INSERT INTO "{item.name}" ({names}) VALUES ({marks})', list(row.values()))


def update_row(database: Database, item: SObject, record_id: str, changes: Mapping[str, Any]) -> None:
    """Change columns of one row."""
    if changes:
        sets = ", ".join(f'"{name}" = ?' for name in changes)
        database.execute(f'UPDATE "{item.name}" SET {sets} WHERE "Id" = ?', [*changes.values(), record_id])


@contextmanager
def undoable(database: Database) -> Iterator[None]:
    """A step inside whatever transaction surrounds it: an exception that leaves it undoes it, and goes on."""
    with database.transaction():
        database.execute("SAVEPOINT step")
        try:
            yield
        except BaseException:
            database.execute("ROLLBACK TO step")
            database.execute("RELEASE step")
            raise
        database.execute("RELEASE step")
