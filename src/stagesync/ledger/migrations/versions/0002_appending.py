"""Appending costs less: fewer indexes, and a guard for which SQLite need not copy each page that an entry touches.

A trigger that aborts a statement makes SQLite keep a journal of every statement; one that ends the whole transaction
does not. Records are looked up by id alone. Few rules and owners share many entries, so that their newest are near.
"""

from __future__ import annotations

from alembic import op

revision = "0002_appending"
down_revision = "0001_entries"
branch_labels = None
depends_on = None

_GUARD = """CREATE TRIGGER entries_no_replace BEFORE INSERT ON entries
            WHEN NEW.seq <= (SELECT seq FROM head WHERE id = 1)
            BEGIN SELECT RAISE(ROLLBACK, 'the ledger is append-only'); END"""


def upgrade() -> None:
    """Forward. The ledger is never taken back: restore a backup instead."""
    for index in ("entries_by_record", "entries_by_rule", "entries_by_owner"):
        op.drop_index(index, "entries")
    op.create_index("entries_by_record", "entries", ["record", "seq"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER entries_no_replace")
        op.execute(_GUARD)
