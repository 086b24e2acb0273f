"""Looking into a large ledger costs what is asked for, and old entries can be dropped on record.

Entries are found by rule, owner and time again: findings of one rule share entries, so that these are few. Who owns the
records of such entries, and which corrections were made, is in tables of their own.

An entry can be deleted once its hash is in ``dropped``, and a hash comes there together with the checkpoint that
says so, which must be the newest entry.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_looking"
down_revision = "0004_findings_in_columns"
branch_labels = None
depends_on = None

_INDEXES = {
    "entries_by_kind": ["kind", "seq", "findings"],
    "entries_by_rule": ["rule", "seq"],
    "entries_by_owner": ["owner", "seq"],
    "entries_by_connection": ["connection", "seq"],
    "entries_by_time": ["at"],
}

_MOVES = """INSERT INTO stage_moves (connection, object, record, seq, intent, applied)
            SELECT connection, object, record, seq, {intent}, body LIKE '%"result":"applied"%'
            FROM entries
            WHERE kind = 'outcome' AND body LIKE '%"change_kind":"set-stage"%'
              AND (body LIKE '%"result":"applied"%' OR body LIKE '%"result":"already-so"%')"""

# Columns hold no NUL; bodies say it as JSON does, each owner once and for each finding the number of its owner.
_SQLITE_OWNERS = r"""INSERT INTO finding_owners (owner, seq, findings)
                    SELECT json_extract(told.body, told.owners || '.values[' || one.value || ']') AS owner, told.seq,
                           count(*)
                    FROM (SELECT seq, replace(body, '\u0000', '\ufffd') AS body,
                                 CASE kind WHEN 'finding.resolved' THEN '$.gone.owner' ELSE '$.findings.owner' END
                                 AS owners
                          FROM entries WHERE findings IS NOT NULL) AS told, json_each(told.body, told.owners || '.of')
                         AS one
                    WHERE owner IS NOT NULL
                    GROUP BY 1, 2"""

_POSTGRES_OWNERS = r"""INSERT INTO finding_owners (owner, seq, findings)
                       SELECT told.owners -> 'values' ->> one.value::integer, told.seq, count(*)
                       FROM (SELECT seq, replace(body, '\u0000', '\ufffd')::json #>
                                    CASE kind WHEN 'finding.resolved' THEN '{gone,owner}'::text[]
                                    ELSE '{findings,owner}'::text[] END AS owners
                             FROM entries WHERE findings IS NOT NULL) AS told,
                            json_array_elements_text(told.owners -> 'of') AS one
                       WHERE told.owners -> 'values' ->> one.value::integer IS NOT NULL
                       GROUP BY 1, 2"""

_SQLITE_TRIGGERS = (
    "DROP TRIGGER entries_no_delete",
    """CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
       WHEN NOT EXISTS (SELECT 1 FROM dropped WHERE seq = OLD.seq AND hash = OLD.hash)
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER dropped_with_checkpoint BEFORE INSERT ON dropped
       WHEN NEW.seq >= NEW.checkpoint
         OR NOT EXISTS (SELECT 1 FROM entries WHERE seq = NEW.seq AND hash = NEW.hash)
         OR NOT EXISTS (SELECT 1 FROM entries JOIN head ON head.seq = entries.seq
                        WHERE entries.seq = NEW.checkpoint AND entries.kind = 'ledger.pruned')
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER dropped_no_update BEFORE UPDATE ON dropped
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER dropped_no_delete BEFORE DELETE ON dropped
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)

_POSTGRES_TRIGGERS = (
    "DROP TRIGGER entries_append_only ON entries",
    """CREATE TRIGGER entries_append_only BEFORE UPDATE OR TRUNCATE ON entries
       FOR EACH STATEMENT EXECUTE FUNCTION refuse()""",
    """CREATE FUNCTION refuse_unless_dropped() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
       $$ BEGIN
         IF NOT EXISTS (SELECT 1 FROM dropped WHERE seq = OLD.seq AND hash = OLD.hash) THEN
           RAISE EXCEPTION 'the ledger is append-only';
         END IF;
         RETURN OLD;
       END $$""",
    """CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
       FOR EACH ROW EXECUTE FUNCTION refuse_unless_dropped()""",
    """CREATE FUNCTION refuse_without_checkpoint() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
       $$ BEGIN
         IF NEW.seq >= NEW.checkpoint
            OR NOT EXISTS (SELECT 1 FROM entries WHERE seq = NEW.seq AND hash = NEW.hash)
            OR NOT EXISTS (SELECT 1 FROM entries JOIN head ON head.seq = entries.seq
                           WHERE entries.seq = NEW.checkpoint AND entries.kind = 'ledger.pruned') THEN
           RAISE EXCEPTION 'the ledger is append-only';
         END IF;
         RETURN NEW;
       END $$""",
    """CREATE TRIGGER dropped_with_checkpoint BEFORE INSERT ON dropped
       FOR EACH ROW EXECUTE FUNCTION refuse_without_checkpoint()""",
    """CREATE TRIGGER dropped_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dropped
       FOR EACH STATEMENT EXECUTE FUNCTION refuse()""",
)


def upgrade() -> None:
    """Forward. The ledger is never taken back: restore a backup instead."""
    op.drop_index("entries_by_kind", "entries")
    for name, columns in _INDEXES.items():
        op.create_index(name, "entries", columns)
    _create_tables()
    sqlite = op.get_bind().dialect.name == "sqlite"
    intent = "json_extract(body, '$.intent')" if sqlite else "(body::json ->> 'intent')::bigint"
    # Past SQLAlchemy, for which a colon in a text begins a parameter.
    run = op.get_bind().exec_driver_sql
    run(_MOVES.format(intent=intent) if sqlite else _MOVES.format(intent=intent).replace("%", "%%"))
    run(_SQLITE_OWNERS if sqlite else _POSTGRES_OWNERS)
    for trigger in _SQLITE_TRIGGERS if sqlite else _POSTGRES_TRIGGERS:
        run(trigger)


def _create_tables() -> None:
    op.create_table(
        "stage_moves",
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("connection", "object", "record")),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("intent", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "finding_owners",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("findings", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dropped",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("checkpoint", sa.BigInteger(), nullable=False),
    )
    op.create_index("dropped_by_checkpoint", "dropped", ["checkpoint", "seq"])
