"""Tables of the catalog.

`recordings` and `evaluated` are append-only: each change of a task has a sequence number. A row
counts from the change `added` on, until the change `removed`, which is null while it counts. So the
set after any change can be read at any later time. `documents`, `episodes` and `findings` belong to
the row of `evaluated` with the same task, hash and `added`. `outliers` holds those of the last
change only, because they depend on the other recordings. `duplicates` holds the notes on
near-duplicates, which never change.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.schema import SchemaItem

FORMAT = 7  # of the tables; no program uses a catalog of another format

metadata = MetaData()

about = Table("about", metadata, Column("format", Integer, nullable=False))


def _key() -> tuple[Column[str], Column[str], Column[int]]:
    return (
        Column("task", String, primary_key=True),
        Column("hash", String(64), primary_key=True),
        Column("added", BigInteger, primary_key=True, autoincrement=False),
    )


def _table(name: str, *columns: SchemaItem, rowid: bool = False) -> Table:
    return Table(name, metadata, *columns, sqlite_with_rowid=rowid)


def _keys(*names: str) -> list[Column[str]]:
    return [Column(name, String, primary_key=True) for name in names]


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _index(name: str, *columns: Column[str] | Column[int], where: str = "") -> None:
    """Create an index, of the rows that fulfill a condition if one is given."""
    condition = text(where) if where else None
    Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


recordings = _table(
    "recordings",
    *_key(),
    Column("removed", BigInteger),
    *_texts("name", "path"),
    Column("digest", String(64), nullable=False),
    *_numbers("tracks", "rows", "dropped_rows", "reasons"),
    Column("released", Boolean, nullable=False),
)
Index("recordings_name", recordings.c.name)

evaluated = _table(
    "evaluated",
    *_key(),
    Column("removed", BigInteger),
    Column("name", Text, nullable=False),
    Column("read", String(64), nullable=False),  # digest of the ingested recording
    Column("path", Text, nullable=False),  # of the artifact with its episodes; "" without one
    Column("digest", String(64), nullable=False),
    Column("released", Boolean, nullable=False),
    *_numbers("episodes", "rows", "dropped_rows", "sketches", "faulty", "held_back"),
)
# The condition is repeated literally in queries: SQLite uses such an index only then.
QUARANTINED = "evaluated.episodes = 0 AND evaluated.removed IS NULL"
_index(
    "evaluated_quarantined",
    evaluated.c.task,
    evaluated.c.name,
    where=QUARANTINED.replace("evaluated.", ""),
)
for _set in (recordings, evaluated):
    _index(f"{_set.name}_added", _set.c.task, _set.c.added)
    _index(f"{_set.name}_removed", _set.c.task, _set.c.removed, where="removed IS NOT NULL")

documents = _table("documents", *_key(), Column("document", Text, nullable=False), rowid=True)

episodes = _table(
    "episodes",
    *_key(),
    Column("id", String, primary_key=True),
    *_numbers("rows"),
    Column("start_s", Float, nullable=False),
    *_texts("file", "part"),
)

findings = _table(
    "findings",
    *_keys("task", "check"),
    Column("hash", String(64), primary_key=True),
    Column("added", BigInteger, primary_key=True, autoincrement=False),
    *_numbers("count", "rows"),  # findings, and dropped rows
)
# Entries of `findings` for all recordings with any finding, and for those not accepted as a whole.
ANY_CHECK = "*"
HELD_BACK = "*held back"

outliers = _table(
    "outliers",
    *_keys("task", "check"),
    Column("hash", String(64), primary_key=True),
    *_texts("name", "document"),  # JSON
)

duplicates = _table(
    "duplicates",
    Column("task", String, primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("part", String, primary_key=True),  # "" for the recording as a whole
    Column("root", Text, nullable=False),
)

sketches = _table(
    "sketches",
    Column("task", String, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # order of arrival
    Column("unit", String, nullable=False),  # `hash`, or `hash/part`
    Column("hash", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("begins", Text, nullable=False),  # JSON
    Column("numbers", LargeBinary, nullable=False),  # float32
    # With row ids: without them SQLite keeps such large rows in the nodes of its tree, which then
    # has ten levels among a million.
    rowid=True,
)
Index("sketches_unit", sketches.c.task, sketches.c.unit, unique=True)
Index("sketches_hash", sketches.c.task, sketches.c.hash)

sketch_keys = _table(
    "sketch_keys",
    Column("task", String, primary_key=True),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("rank", Integer, primary_key=True, autoincrement=False),  # among the units of the key
    *_numbers("number"),
)

sketch_pairs = _table(
    "sketch_pairs",
    Column("task", String, primary_key=True),
    Column("later", BigInteger, primary_key=True, autoincrement=False),
    Column("earlier", BigInteger, primary_key=True, autoincrement=False),
    Column("distance", Float, nullable=False),
)
_pair = sketch_pairs.c
Index("sketch_pairs_earlier", _pair.task, _pair.earlier)
Index("sketch_pairs_distance", _pair.task, _pair.distance, _pair.later, _pair.earlier)

sketched = _table(  # recordings that were ever added to the index
    "sketched",
    Column("task", String, primary_key=True),
    Column("hash", String(64), primary_key=True),
)

renewals = _table(  # memberships that were written again
    "renewals",
    Column("task", String, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
)

files = _table(
    "files",
    Column("folder", String(16), primary_key=True),  # digest of its path and the rules of logs
    Column("directory", LargeBinary, primary_key=True),  # "" or with a final "/"
    Column("name", LargeBinary, primary_key=True),  # as in the file system, which need not be UTF-8
    *_numbers("size"),
    Column("stat", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
Index("files_content", files.c.folder, files.c.size, files.c.hash)

heads = _table(
    "heads",
    *_keys("task", "kind"),  # kind: name of the table of the set
    Column("change", BigInteger, nullable=False),  # number of the last change
    Column("set", String(64), nullable=False),  # digest of the set
    Column("rules", String(64), nullable=False),
    Column("document", Text, nullable=False),  # JSON
    rowid=True,
)

sets = _table(
    "sets",
    *_keys("task", "kind"),
    Column("set", String(64), primary_key=True),
    Column("change", BigInteger, nullable=False),
    rowid=True,
)
