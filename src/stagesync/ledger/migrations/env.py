"""Alembic's entry point. The connection comes from the ledger, inside its transaction and under its lock."""

from alembic import context

from stagesync.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
