"""The ledger's tables as SQLAlchemy Core sees them. The migrations make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

# INTEGER PRIMARY KEY is SQLite's row number itself: no second index, appends go to the end of the tree.
_Seq = BigInteger().with_variant(Integer(), "sqlite")

entries = Table(
    "entries",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    # Text of a fixed width in UTC: the same bytes on both databases, they sort by time, and they are what is hashed.
    Column("at", Text, nullable=False),
    Column("run", Text),
    Column("kind", Text, nullable=False),
    Column("connection", Text),
    Column("object", Text),
    Column("record", Text),
    Column("rule", Text),
    Column("owner", Text),
    Column("key", Text),
    Column("body", Text, nullable=False),
    # How many findings it tells in columns; null where the entry is about one thing.
    Column("findings", Integer),
    Column("hash", LargeBinary(32), nullable=False),
    Index("entries_by_run", "run", "seq"),
    Index("entries_by_kind", "kind", "seq", "findings"),
    Index("entries_by_record", "record", "seq"),
    Index("entries_by_key", "key", "seq"),
    Index("entries_by_rule", "rule", "seq"),
    Index("entries_by_owner", "owner", "seq"),
    Index("entries_by_connection", "connection", "seq"),
    Index("entries_by_time", "at"),
)

head = Table(
    "head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="head_is_one_row"), primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)

# The newest of each finding that there ever was: its entry, its place there (null where the entry is its own), and the
# digest of its essence while it is open.
finding_lives = Table(
    "finding_lives",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("record", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("place", Integer),
    Column("digest", LargeBinary(32)),
    sqlite_with_rowid=False,
)

# Who owned the records whose findings an entry tells in columns, and how many of them: such an entry has no owner.
finding_owners = Table(
    "finding_owners",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("findings", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Outcomes of corrections of a stage that is so in the CRM, and their intents. ``applied``: it was not so before.
stage_moves = Table(
    "stage_moves",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("record", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("intent", BigInteger, nullable=False),
    Column("applied", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

open_intents = Table(
    "open_intents",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

open_tasks = Table(
    "open_tasks",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("crm_id", Text),
    Index("open_tasks_by_crm_id", "connection", "crm_id"),
)

# What is left of entries that were dropped after a time: their hashes, and the entry that says so.
dropped = Table(
    "dropped",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("checkpoint", BigInteger, nullable=False),
    Index("dropped_by_checkpoint", "checkpoint", "seq"),
)

holder = Table(
    "holder",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="holder_is_one_row"), primary_key=True, autoincrement=False),
    Column("who", Text, nullable=False),
    Column("since", Text, nullable=False),
)
