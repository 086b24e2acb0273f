"""Opens the database of a ledger: URL, engine, pragmas, schema; migrates forward under a lock."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, Insert, Select, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from stagesync.errors import LedgerError
from stagesync.ledger.failures import explained

HEAD = "0005_looking"
"""The newest migration; a test compares it with the folder, so that opening need not import Alembic."""

SCHEMA = "stagesync"
"""Where the tables are in PostgreSQL, so that a ledger can live in a database with other things."""

_MIGRATION_LOCK = 0x53544147  # "STAG": any number will do, as long as all versions use the same
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


class Database:
    """An engine and the two kinds of transactions. ``place`` is the URL as a person may see it."""

    def __init__(self, engine: Engine, place: str) -> None:
        self.engine = engine
        self.place = place

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which all reads see the same state. LedgerError when the database fails."""
        with explained(self.place), self.engine.connect() as raw:
            connection = raw.execution_options(**_snapshot(self.engine))
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write; committed at the end, undone by any exception. LedgerError as above.

        In SQLite it is the only one from its first moment; in PostgreSQL whoever appends locks the head row.
        """
        with explained(self.place), self.engine.connect() as raw:
            connection = raw.execution_options(stagesync_writes=True)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Gives the connections back."""
        self.engine.dispose()


def write_many(connection: Connection, statement: Insert, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows, each a tuple in the order of the table's columns.

    Past Core, which makes a dictionary of each row and looks at each value: that costs as much as the database.
    ``statement`` must be a lasting one, for its text is kept.
    """
    connection.exec_driver_sql(_positional(statement, connection.dialect.name), rows)


def read_many(connection: Connection, query: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """All rows of a query as the driver gives them: Core's own rows cost three times as much."""
    found = connection.execute(query)
    rows = found.cursor.fetchall() if found.cursor is not None else []
    found.close()
    return list(rows)


def compact(database: Database) -> bool:
    """See :meth:`stagesync.ledger.Ledger.compact`."""
    if database.engine.dialect.name != "sqlite":
        return False
    with explained(database.place), database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        try:
            # Outside of a transaction, as SQLite wants it.
            raw.execute("VACUUM")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise DBAPIError("VACUUM", None, error) from error
    return True


@cache
def _positional(statement: Insert, dialect: str) -> str:
    driver, style = ("sqlite", "qmark") if dialect == "sqlite" else ("postgresql+psycopg", "format")
    positional: Callable[..., Dialect] = make_url(f"{driver}://").get_dialect()
    return str(statement.compile(dialect=positional(paramstyle=style)))


def _snapshot(engine: Engine) -> dict[str, Any]:
    return {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}


def open_database(url: str, *, wait: float) -> Database:
    """The migrated database behind a URL. ``wait`` is how many seconds a lock may take. Errors: LedgerError."""
    parsed = _parsed(url)
    place = parsed.render_as_string(hide_password=True)
    with explained(place):
        engine = _sqlite(parsed, wait) if parsed.get_backend_name() == "sqlite" else _postgres(parsed, wait)
        try:
            database = Database(engine, place)
            _migrate(database)
        except BaseException:
            engine.dispose()
            raise
    return database


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError(f"the ledger's URL cannot be read; {_FORMS}") from error
    if parsed.drivername in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise LedgerError(f"the ledger cannot be kept in {parsed.drivername!r}; {_FORMS}")
    if parsed.database in (None, "", ":memory:"):
        raise LedgerError("a ledger in memory is lost at the end of the process; name a file: sqlite:///ledger.db")
    return parsed


_FORMS = "write sqlite:///path/to/ledger.db or postgresql+psycopg://user@host/database"


_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    # A transaction of 10,000 entries with its indexes; with the 2 MB of SQLite's own it is written twice.
    "cache_size = -65536",
    "wal_autocheckpoint = 10000",
)


def _sqlite(url: URL, wait: float) -> Engine:
    _prepare_file(Path(url.database or ""))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": wait})

    @event.listens_for(engine, "connect")
    def _settle(dbapi: sqlite3.Connection, _record: object) -> None:
        dbapi.isolation_level = None  # Python's driver would begin late and without IMMEDIATE; we begin ourselves
        for pragma in _PRAGMAS:
            dbapi.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("stagesync_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


_SQLITE_FILE = b"SQLite format 3\x00"


def _prepare_file(path: Path) -> None:
    """Folder and file, the file for this user alone: a ledger names people and their deals."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be created: {error.strerror}; name a folder that this user may write to"
        ) from error
    if path.is_dir():
        raise LedgerError(f"the ledger {path} is a folder; name a file in it")
    # SQLite takes a file of a few bytes for an empty database and would write over it.
    with suppress(PermissionError), path.open("rb") as file:
        start = file.read(len(_SQLITE_FILE))
        if start not in (b"", _SQLITE_FILE):
            raise LedgerError(f"the ledger {path} is not a database; name another file, or restore a backup")


def _postgres(url: URL, wait: float) -> Engine:
    try:
        engine = create_engine(
            url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": max(2, round(wait))}
        )
    except ImportError as error:
        raise LedgerError(
            "a ledger in PostgreSQL needs its driver; install it with: pip install 'stagesync[postgres]'"
        ) from error

    @event.listens_for(engine, "connect", insert=True)
    def _settle(dbapi: Any, _record: object) -> None:
        with dbapi.cursor() as cursor:
            cursor.execute(f"SET search_path TO {SCHEMA}")
            cursor.execute(f"SET lock_timeout TO {round(wait * 1000)}")
        dbapi.commit()

    return engine


def _migrate(database: Database) -> None:
    """Brings the schema to ``HEAD``. Of several processes that begin at once, one migrates and the others wait."""
    with database.reading() as connection:
        if _revision(connection) == HEAD:
            return
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            _create_schema(connection)
        revision = _revision(connection)
        if revision is None:
            _refuse_foreign(connection, database.place)
        if revision != HEAD:
            from stagesync.ledger.migrating import upgrade  # noqa: PLC0415 - Alembic takes 0.2 s to import

            upgrade(connection, revision, database.place)


def _create_schema(connection: Connection) -> None:
    # IF NOT EXISTS alone asks for the right to create schemas even where a DBA has made this one.
    if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version", schema=_schema(connection)):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _schema(connection: Connection) -> str | None:
    return SCHEMA if connection.dialect.name == "postgresql" else None


def _refuse_foreign(connection: Connection, place: str) -> None:
    tables = inspect(connection).get_table_names(schema=_schema(connection))
    if tables:
        raise LedgerError(
            f"the ledger {place} is a database of something else (it has a table {sorted(tables)[0]!r}); "
            "name a new file, or an empty database"
        )
