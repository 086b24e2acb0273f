"""Findings of one rule come in one entry, in columns; the newest entry of each finding is known, open or resolved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_findings_in_columns"
down_revision = "0003_holder"
branch_labels = None
depends_on = None

_OPEN = """INSERT INTO finding_lives (connection, object, rule, record, seq, digest)
           SELECT open_findings.connection, entries.object, entries.rule, entries.record,
                  open_findings.seq, open_findings.digest
           FROM open_findings JOIN entries ON entries.seq = open_findings.seq"""
# The older ones of an open finding, and those of resolved ones, are found by their record, as every entry of its own.


def upgrade() -> None:
    """Forward. The ledger is never taken back: restore a backup instead."""
    op.add_column("entries", sa.Column("findings", sa.Integer()))
    op.create_table(
        "finding_lives",
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("connection", "object", "rule", "record")),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Integer()),
        sa.Column("digest", sa.LargeBinary(32)),
        sqlite_with_rowid=False,
    )
    op.execute(_OPEN)
    op.drop_table("open_findings")
