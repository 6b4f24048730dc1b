"""Connection to the catalog: `catalog.db` in the home, or a schema of the shared database.

SQLite is used in WAL mode, so that readers never wait for a writer. A write transaction takes the
write lock at its beginning, so two writers wait for each other instead of failing.

Without statistics its query planner expects a handful of rows in a task, and reads all sketches of
a task to find ten of them. Typical figures are written once, see "ANALYZE" in the documentation of
SQLite, so that plans depend neither on the size of the database nor on its history.
"""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    create_engine,
    delete,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool, Pool, QueuePool, SingletonThreadPool

from kinemill.catalog import tables
from kinemill.catalog.tables import metadata
from kinemill.errors import BadInput, CorruptArtifact, KinemillError
from kinemill.store import Home, fault_point
from kinemill.store.database import (
    address_of,
    database,
    held_by_all,
    make_schema,
    spell,
    unreachable,
)
from kinemill.store.disk_space import convert_disk_errors, full_system
from kinemill.store.locks import file_timestamp

SCHEMA = "kinemill"
_WAIT = 600.0  # s for the write lock; a transaction takes milliseconds
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_HAS_TABLES = "has_tables"  # noted on a connection
_blocks = Counter[str]()  # number of `open_connections`, by address
_open_engines: dict[str, Engine] = {}  # used in these blocks, by address
_counting = Lock()
_REBUILD = "kinemill admin rebuild-catalog fills a new one; recordings and decisions are kept"
_ROWS = 1_000_000  # of a table
_SAME = {"task", "folder", "kind"}  # columns with the same value in all rows
# Rows with the same value of other columns; 1 of those that are not named.
_GROUPS = {"check": 50_000, "added": 1_000, "removed": 1_000, "directory": 1_000, "key": 16}


@contextmanager
def transaction(home: Home, *, write: bool = False) -> Generator[Connection]:
    """Open the catalog for one transaction, which is committed at the end of the block.

    A catalog that does not exist is created by a writer; a reader finds it empty.

    Raises:
        CorruptArtifact: The database is damaged.
        BadInput: A newer kinemill has written it.
        DiskFull: No space is left on the disk; nothing was changed.
        Unreachable: The shared database does not respond.
    """
    is_empty = not write and address_of(SCHEMA) is None and not home.catalog_db.is_file()
    address = "sqlite://" if is_empty else _address(home)
    with _errors(home), convert_disk_errors(home.root):
        # An empty catalog in memory is kept by each thread: it takes 30 ms to make.
        pool = SingletonThreadPool if is_empty else QueuePool if _blocks[address] else NullPool
        engine = _engine(address, os.getpid(), pool)
        if _blocks[address]:
            _open_engines[address] = engine
        with engine.execution_options(write=write).begin() as connection:
            _prepare(home, connection)
            yield connection
            if write:
                fault_point("catalog.written")
        if write:
            fault_point("catalog.committed")


@contextmanager
def open_connections(home: Home) -> Generator[None]:
    """Let the transactions of a block share connections instead of opening a new one each.

    A new one reads the schema again, and when the last one is closed, SQLite writes the WAL to the
    database. So they are closed at the end of the block.
    """
    address = _address(home)
    with _counting:
        _blocks[address] += 1
    try:
        yield
    finally:
        with _counting:
            _blocks[address] -= 1
            # There is none if the database did not respond.
            engine = None if _blocks[address] else _open_engines.pop(address, None)
        if engine:
            engine.dispose()


def _address(home: Home) -> str:
    if shared := address_of(SCHEMA):
        return shared
    home.make()
    url = URL.create("sqlite", database=str(home.catalog_db))  # quotes `?` and `%` in the path
    return url.render_as_string()


@lru_cache(maxsize=8)
def _engine(address: str, process: int, pool: type[Pool]) -> Engine:
    """Return the engine of an address in this process; connections are not shared after a fork."""
    del process
    if not address.startswith("sqlite"):
        make_schema(SCHEMA)
        engine = create_engine(address, poolclass=pool)
        with held_by_all(f"tables of {SCHEMA}"), engine.begin() as connection:
            _make_tables(connection)
        return engine
    engine = create_engine(address, poolclass=pool, connect_args={"timeout": _WAIT})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")  # KiB

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    _ = configure, begin
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Set the journal mode. SQLite does not wait for another process that sets it, so we do."""
    end = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _LOCKED or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _prepare(home: Home, connection: Connection) -> None:
    """Create the tables if there are none; refuse those of another format."""
    if not connection.info.get(_HAS_TABLES):
        names = inspect(connection).get_table_names()
        connection.info[_HAS_TABLES] = tables.about.name in names
        if not names:  # also of a reader: a process was killed while it made the tables
            _make_tables(connection)
        elif tables.about.name not in names:
            raise CorruptArtifact(where(home), "holds no catalog", fix=_REBUILD)
    number = connection.execute(select(tables.about.c.format)).scalar()
    if number == tables.FORMAT:
        return
    newer = isinstance(number, int) and number > tables.FORMAT
    raise BadInput(
        where(home),
        f"is a catalog of format {number}",
        expected=f"format {tables.FORMAT}",
        fix="update kinemill: another version of it uses this catalog" if newer else _REBUILD,
    )


def _make_tables(connection: Connection) -> None:
    if not inspect(connection).has_table(tables.about.name):
        tables.metadata.create_all(connection)
        connection.execute(insert(tables.about).values(format=tables.FORMAT))
        write_statistics(connection)


def discard(home: Home) -> Path | None:
    """Remove all rows of the catalog; return where the file of before is kept, if there was one.

    Call it while no other process uses the home.
    """
    if address_of(SCHEMA) is not None:
        with transaction(home, write=True) as connection:
            for table in tables.metadata.sorted_tables:
                if table is not tables.about:
                    connection.execute(delete(table))
        return None
    if not home.catalog_db.is_file():
        return None
    stamp = file_timestamp()
    aside = home.catalog_db.with_name(f"{home.catalog_db.name}.before-{stamp}")
    for ending in ("-wal", "-shm", ""):  # the database last: a crash in between can be repeated
        path = home.catalog_db.with_name(home.catalog_db.name + ending)
        if path.exists():
            path.rename(aside.with_name(aside.name + ending))
    return aside


def where(home: Home) -> str:
    """Return the place of the catalog for messages, without a password."""
    shared = database()
    return f"{spell(shared)}, schema {SCHEMA}" if shared else str(home.catalog_db)


@contextmanager
def _errors(home: Home) -> Generator[None]:
    """Convert errors of the database to those that a user can act on."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if database() is not None:
            raise unreachable(error.orig or error) from error
        if full := full_system(home.catalog_db):  # SQLite calls it an I/O error
            raise full from error
        problem = _first_line(error)
        fix = "check the permissions and the disk, or wait for the program that holds its lock"
        raise KinemillError(where(home), f"cannot be used ({problem})", fix=fix) from error
    except DatabaseError as error:
        raise CorruptArtifact(
            where(home), f"is damaged ({_first_line(error)})", fix=_REBUILD
        ) from error


def _first_line(error: DatabaseError | InterfaceError) -> str:
    return (str(error.orig).splitlines() or [""])[0]


def write_statistics(connection: Connection) -> None:
    """Write the statistics of tables that were just made; another database has its own."""
    if connection.dialect.name != "sqlite":
        return
    connection.exec_driver_sql("ANALYZE about")  # makes the table of statistics
    insert = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :figures)")
    for table in metadata.sorted_tables:
        for index, columns in _indexes(table).items():
            row = {"table": table.name, "index": index, "figures": _figures(columns)}
            connection.execute(insert, row)


def _indexes(table: Table) -> dict[str, list[str]]:
    """Return the columns of the indexes of a table, that of its primary key included."""
    indexes = {
        str(index.name): [column.name for column in index.columns] for index in table.indexes
    }
    if key := [column.name for column in table.primary_key.columns]:
        rowid = table.dialect_options["sqlite"]["with_rowid"]
        indexes[f"sqlite_autoindex_{table.name}_1" if rowid else table.name] = key
    return indexes


def _figures(columns: list[str]) -> str:
    """Return the number of rows, and of those that agree in the first 1, 2, ... columns."""
    figures = [_ROWS]
    for column in columns:
        same = _ROWS if column in _SAME else _GROUPS.get(column, 1)
        figures.append(min(figures[-1], same))
    return " ".join(map(str, figures))
