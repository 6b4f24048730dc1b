"""Tables of the catalog.

`recordings` is append-only: each change of a task's recordings has a sequence number. A row counts
from the change `added` on, until the change `removed`, which is null while it counts. So the set of
recordings after any change can be read at any later time.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

FORMAT = 2  # of the tables; no program uses a catalog of another format

metadata = MetaData()

about = Table("about", metadata, Column("format", Integer, nullable=False))

recordings = Table(
    "recordings",
    metadata,
    Column("task", String, primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("added", BigInteger, primary_key=True, autoincrement=False),
    Column("removed", BigInteger),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("tracks", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("dropped_rows", BigInteger, nullable=False),
    Column("reasons", BigInteger, nullable=False),
    Column("released", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
Index("recordings_name", recordings.c.name)
Index("recordings_added", recordings.c.task, recordings.c.added)
Index(
    "recordings_removed",
    recordings.c.task,
    recordings.c.removed,
    sqlite_where=text("removed IS NOT NULL"),
    postgresql_where=text("removed IS NOT NULL"),
)

heads = Table(
    "heads",
    metadata,
    Column("task", String, primary_key=True),
    Column("change", BigInteger, nullable=False),  # number of the last change
    Column("set", String(64), nullable=False),  # digest of the set of recordings
    Column("rules", String(64), nullable=False),
    Column("barred", Text, nullable=False),  # JSON list of content hashes
    Column("released", Text, nullable=False),
    Column("edits", Text, nullable=False),  # JSON list of [content hash, digest of its edits]
    Column("recordings", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("tracks", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("dropped_rows", BigInteger, nullable=False),
)

sets = Table(
    "sets",
    metadata,
    Column("task", String, primary_key=True),
    Column("set", String(64), primary_key=True),
    Column("change", BigInteger, nullable=False),
)
