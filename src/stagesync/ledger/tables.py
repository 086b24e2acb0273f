"""The ledger's tables as SQLAlchemy Core sees them. The migrations make them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, MetaData, Table, Text

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
    Index("entries_by_kind", "kind", "seq"),
    Index("entries_by_record", "record", "seq"),
    Index("entries_by_key", "key", "seq"),
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

holder = Table(
    "holder",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="holder_is_one_row"), primary_key=True, autoincrement=False),
    Column("who", Text, nullable=False),
    Column("since", Text, nullable=False),
)
