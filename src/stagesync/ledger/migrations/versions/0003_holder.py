"""Who writes to the CRMs at the moment, for the agent that may not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_holder"
down_revision = "0002_appending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward. The ledger is never taken back: restore a backup instead."""
    op.create_table(
        "holder",
        sa.Column(
            "id",
            sa.Integer(),
            sa.CheckConstraint("id = 1", name="holder_is_one_row"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
    )
