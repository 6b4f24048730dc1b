"""Listeners on the SQLite databases of Dagster and MLflow: lock timeout, commits, full disk.

A process calls `install_listeners` before it opens a database: the run coordinator and the launcher
of `dagster.yaml`, the executor of runs, `open_instance` and the guarded webserver do. Dagster's
default storage therefore needs no subclass.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from kinemill.store.disk_space import full_system
from kinemill.store.home import Home

TIMEOUT = 120  # s, above the longest measured backup of a database


def install_listeners() -> None:
    """Set up connections, and report a full disk; repeated calls have no effect.

    With the default timeouts (5 and 30 s) a run fails if another process copies a database or has
    an open transaction; `TIMEOUT` is longer. Existing engines are included.

    In databases with a write-ahead log, which are those of Dagster, a commit does not wait for the
    disk: a run has 150 of them. A loss of power can lose the last events, and a killed process
    none. The catalog of recordings sets this itself.
    """
    if not event.contains(Engine, "connect", _configure):
        event.listen(Engine, "connect", _configure)
        event.listen(Engine, "handle_error", _explain_full_disk)


@contextmanager
def open_databases() -> Generator[None]:
    """Hold a connection to each SQLite database that this process opens, until the block ends.

    Dagster closes its last connection after each event, and SQLite then writes its log back into
    the database: 11 ms each, half of the time of an unchanged run.
    """
    connections = dict[str, sqlite3.Connection]()

    def hold(connection: object, _record: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        # Before a new database has a log, a second connection would hinder its creation.
        if path not in connections and mode == "wal":
            connections[path] = idle = sqlite3.connect(path, check_same_thread=False)
            idle.execute("PRAGMA schema_version").fetchone()  # opens the file and its log

    event.listen(Engine, "connect", hold)
    try:
        yield
    finally:
        event.remove(Engine, "connect", hold)
        for idle in connections.values():
            idle.close()


def _configure(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {TIMEOUT * 1000}")
        with suppress(sqlite3.DatabaseError):  # the first statement reports a damaged file
            if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                connection.execute("PRAGMA synchronous = NORMAL")


def _explain_full_disk(context: ExceptionContext) -> None:
    """Raise an error with the file system instead of SQLite's, which lacks it."""
    home = Home.find().root
    if not isinstance(context.original_exception, sqlite3.Error) or not home.is_dir():
        return
    if full := full_system(home):
        context.chained_exception = full
