"""The tables of a portal's SQLite file. Moments are INTEGER milliseconds since 1970 UTC."""

from __future__ import annotations

import re
import sqlite3
from fnmatch import fnmatchcase

import msgspec

from stagesync.sandbox.database import Database
from stagesync.sandbox.hubspot import moments
from stagesync.sandbox.hubspot.catalog import OBJECT_TYPES

_RECORDS = """
CREATE TABLE IF NOT EXISTS "{name}" (
    id INTEGER PRIMARY KEY,
    properties TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    archived_at INTEGER,
    merged_into INTEGER
);
CREATE INDEX IF NOT EXISTS "{name}_updated" ON "{name}" (archived, updated);
CREATE INDEX IF NOT EXISTS "{name}_merged" ON "{name}" (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{name}_archived" ON "{name}" (archived);
"""

_SHARED = """
CREATE TABLE IF NOT EXISTS history (
    object_code INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    property TEXT NOT NULL,
    value TEXT,
    moment INTEGER NOT NULL,
    source_type TEXT NOT NULL,
    source_id TEXT,
    user_id INTEGER
);
CREATE INDEX IF NOT EXISTS history_of ON history (object_code, object_id, property, moment);
CREATE TABLE IF NOT EXISTS associations (
    from_code INTEGER NOT NULL,
    from_id INTEGER NOT NULL,
    to_code INTEGER NOT NULL,
    to_id INTEGER NOT NULL,
    type_id INTEGER NOT NULL,
    PRIMARY KEY (from_code, from_id, to_code, to_id, type_id) ON CONFLICT IGNORE
) WITHOUT ROWID;
-- What the search index still holds of records written less than the index lag ago.
CREATE TABLE IF NOT EXISTS unindexed (
    object_code INTEGER NOT NULL,
    id INTEGER NOT NULL,
    properties TEXT,
    created INTEGER,
    updated INTEGER,
    archived INTEGER,
    archived_at INTEGER,
    merged_into INTEGER,
    indexed_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS unindexed_of ON unindexed (object_code, indexed_at);
CREATE TABLE IF NOT EXISTS owners (
    id INTEGER PRIMARY KEY,
    archived INTEGER NOT NULL DEFAULT 0,
    email TEXT,
    user_id INTEGER,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS property_definitions (
    object_type TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (object_type, name)
);
CREATE TABLE IF NOT EXISTS pipelines (
    object_type TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (object_type, id)
);
"""

# The usual question of an integration: which live records are in this stage.
_STAGES = (("contacts", "lifecyclestage"), ("deals", "dealstage"), ("leads", "hs_pipeline_stage"))
# What one look at the index of an email or a unique key costs, instead of a scan.
_LOOKUPS = (("contacts", "email"), ("companies", "domain"))


def prepare(database: Database) -> None:
    """Create what is missing and register the SQL functions that searches use."""
    connection = database.connection
    connection.executescript("".join(_RECORDS.format(name=kind.name) for kind in OBJECT_TYPES) + _SHARED)
    for object_type, name in _LOOKUPS:
        index_property(database, object_type, name)
    for object_type, name in _STAGES:
        database.execute(
            f'CREATE INDEX IF NOT EXISTS "{object_type}__{name}" ON "{object_type}" (archived, {stored(name)})'
        )
    register_functions(connection)


def index_property(database: Database, object_type: str, name: str) -> None:
    """Index one property's values; for identifying properties only."""
    database.execute(
        f'CREATE INDEX IF NOT EXISTS "{object_type}__{name}" ON "{object_type}" ({stored(name)})'
        f" WHERE {stored(name)} IS NOT NULL"
    )


def stored(name: str) -> str:
    """The SQL expression for a property kept in the record's JSON; ``name`` must be a known property."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        msg = f"not a property name: {name!r}"
        raise ValueError(msg)
    return f"json_extract(properties, '$.{name}')"


def register_functions(connection: sqlite3.Connection) -> None:
    """``hs_millis(text)`` reads a moment; ``hs_token(text, pattern)`` is CONTAINS_TOKEN."""
    connection.create_function("hs_millis", 1, _millis, deterministic=True)
    connection.create_function("hs_token", 2, contains_token, deterministic=True)


def _millis(value: object) -> int | None:
    return moments.parse(str(value)) if value is not None else None


def contains_token(text: object, pattern: str) -> int:
    """1 when every word of ``pattern``, where ``*`` stands for any letters, is a word of ``text``."""
    if text is None:
        return 0
    lowered, wanted = str(text).lower(), pattern.lower()
    if fnmatchcase(lowered, wanted.replace("[", "[[]")):
        return 1
    words = re.findall(r"\w+", lowered)
    parts = [part for part in re.split(r"[^\w*]+", wanted) if part.strip("*")]
    return int(bool(parts) and all(any(fnmatchcase(word, part) for word in words) for part in parts))


def dump(values: object) -> str:
    """Compact JSON text."""
    return msgspec.json.encode(values).decode()
