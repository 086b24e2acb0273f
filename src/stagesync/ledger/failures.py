"""What databases say when something is wrong, as messages for a person.

Only the driver's first line is shown: the others may hold the values of a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stagesync.errors import LedgerError

_NEEDS_SCHEMA = "refuses this user; it needs the right to create and write the schema stagesync"
_FOREIGN = "refused to change or repeat an entry; another program may have written to it, run `stagesync log verify`"

_GONE = "went away in the middle; see that the server runs, then try again (the next run carries on)"

# The first that occurs in what the driver said, in lower case. SQLite first, then PostgreSQL.
_MESSAGES = (
    (
        "database is locked",
        "is locked by another process; see that no other program holds it open for writing, then try again",
    ),
    (
        "readonly database",
        "cannot be written: file or folder are read-only for this user; give it write access to the folder too",
    ),
    (
        "unable to open database file",
        "cannot be opened; see that its folder exists and that this user may read and write there",
    ),
    ("file is not a database", "is not a database; name another file, or restore the ledger from a backup"),
    ("malformed", "is damaged; stop writing and restore it from a backup"),
    ("disk is full", "cannot grow: the disk is full; make room, then try again (nothing was half written)"),
    ("disk i/o error", "cannot be read or written: the disk reports an error"),
    ("lock timeout", "is locked by another process; see which one holds it in pg_stat_activity, then try again"),
    ("no space left", "cannot grow: the server's disk is full; make room, then try again (nothing was half written)"),
    ("password authentication failed", "refuses the user or password of the URL"),
    ('role "', "refuses the user or password of the URL"),
    ('" does not exist', "is not there; create the database, or see that the URL names the right one"),
    ("not currently accepting connections", "cannot be reached; see that the server runs and that the URL names it"),
    ("terminating connection", _GONE),
    ("closed the connection", _GONE),
    ("connection is lost", _GONE),
    ("connection is closed", _GONE),
    ("connection to server", "cannot be reached; see that the server runs and that the URL names it"),
    ("read-only transaction", "cannot be written: the server is a read-only replica or is set to read-only"),
    ("permission denied", _NEEDS_SCHEMA),
    ("no schema has been selected", _NEEDS_SCHEMA),
    ("append-only", _FOREIGN),
    ("entries.seq", _FOREIGN),
    ("entries_pkey", _FOREIGN),
)


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turns a database error, or an entry that cannot be decoded, into a LedgerError that begins with ``place``.

    ``place`` is the URL without its password.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger {place} {_explain(error)}") from error
    except msgspec.DecodeError as error:
        raise LedgerError(
            f"the ledger {place} has an entry that cannot be read; `stagesync log verify` says which ({error})"
        ) from error


def _explain(error: SQLAlchemyError) -> str:
    said = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else type(error).__name__
    first = (said.strip().splitlines() or ["no reason given"])[0]
    meaning = next((text for sign, text in _MESSAGES if sign in said.lower()), None)
    return f"{meaning} ({first})" if meaning else f"failed: {first}"
