"""Runs the package's migrations. Apart from the rest because it imports Alembic, which opening seldom needs."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from stagesync.errors import LedgerError


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration: the migrations inside the package, and the connection to run them on."""
    config = Config()
    config.set_main_option("script_location", "stagesync.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def revisions() -> list[str]:
    """All migrations that this version knows, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()]


def upgrade(connection: Connection, revision: str | None, place: str) -> None:
    """Migrate from ``revision`` (None: empty) in the transaction of ``connection``. LedgerError when it is newer."""
    if revision is not None and revision not in revisions():
        raise LedgerError(
            f"the ledger {place} was written by a newer StageSync (schema {revision}, this one knows "
            f"{revisions()[0]}); upgrade StageSync, or open another ledger"
        )
    command.upgrade(configuration(connection), "head")
