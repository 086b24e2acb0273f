"""The first schema: entries with their head, and what is open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_entries"
down_revision = None
branch_labels = None
depends_on = None

_INDEXES = {
    "entries_by_run": ["run", "seq"],
    "entries_by_kind": ["kind", "seq"],
    "entries_by_record": ["connection", "object", "record", "seq"],
    "entries_by_rule": ["rule", "seq"],
    "entries_by_owner": ["owner", "seq"],
    "entries_by_key": ["key", "seq"],
}

# REPLACE deletes the old row without firing a DELETE trigger, hence the trigger on INSERT.
_SQLITE_TRIGGERS = (
    """CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER entries_no_replace BEFORE INSERT ON entries
       WHEN NEW.seq <= (SELECT seq FROM head)
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER head_no_delete BEFORE DELETE ON head
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER head_only_forward BEFORE UPDATE ON head
       WHEN NEW.seq <= OLD.seq OR NEW.id <> OLD.id
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)

_POSTGRES_TRIGGERS = (
    """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
    """CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
       FOR EACH STATEMENT EXECUTE FUNCTION refuse()""",
    """CREATE TRIGGER head_no_delete BEFORE DELETE OR TRUNCATE ON head
       FOR EACH STATEMENT EXECUTE FUNCTION refuse()""",
    """CREATE TRIGGER head_only_forward BEFORE UPDATE ON head
       FOR EACH ROW WHEN (NEW.seq <= OLD.seq OR NEW.id <> OLD.id) EXECUTE FUNCTION refuse()""",
)


def upgrade() -> None:
    """Forward. The ledger is never taken back: restore a backup instead."""
    _create_entries()
    _create_head()
    _create_open()
    triggers = _SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else _POSTGRES_TRIGGERS
    for trigger in triggers:
        op.execute(trigger)


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("run", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text()),
        sa.Column("object", sa.Text()),
        sa.Column("record", sa.Text()),
        sa.Column("rule", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("key", sa.Text()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "entries", columns)


def _create_head() -> None:
    head = op.create_table(
        "head",
        sa.Column(
            "id",
            sa.Integer(),
            sa.CheckConstraint("id = 1", name="head_is_one_row"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": bytes(32)}])


def _create_open() -> None:
    for name, *more in (
        ("open_findings", sa.Column("digest", sa.LargeBinary(32), nullable=False)),
        ("open_intents",),
        ("open_tasks", sa.Column("crm_id", sa.Text())),
    ):
        op.create_table(
            name,
            sa.Column("connection", sa.Text(), primary_key=True),
            sa.Column("key", sa.Text(), primary_key=True),
            sa.Column("seq", sa.BigInteger(), nullable=False),
            *more,
        )
    op.create_index("open_tasks_by_crm_id", "open_tasks", ["connection", "crm_id"])
