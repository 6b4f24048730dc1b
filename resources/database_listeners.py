"""Listeners on the SQLite databases of Dagster and MLflow: longer lock timeout, full disk.

A process calls `install_listeners` before it opens a database: the run coordinator and the launcher
of `dagster.yaml`, the executor of runs, `open_instance` and the guarded webserver do. Dagster's
default storage therefore needs no subclass.
"""

import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from kinemill.store.disk_space import full_system
from kinemill.store.home import Home

TIMEOUT = 120  # s, above the longest measured backup of a database


def install_listeners() -> None:
    """Set the lock timeout `TIMEOUT`, and report a full disk; repeated calls have no effect.

    With the default timeouts (5 and 30 s) a run fails if another process copies a database or has
    an open transaction. Existing engines are included.
    """
    if not event.contains(Engine, "connect", _set_timeout):
        event.listen(Engine, "connect", _set_timeout)
        event.listen(Engine, "handle_error", _explain_full_disk)


@contextmanager
def kept_event_log(instance: dg.DagsterInstance) -> Generator[None]:
    """Keep the engine and a connection of each event log open in this process.

    Dagster makes an engine for each statement, which compiles it again, and closes its connection.
    The last connection moves SQLite's write-ahead log into the database, which takes 11 ms; with
    the other it takes 0.2 ms. `synchronous` as in SQLite's documentation of that log: a power cut
    can lose the last events, but no crash of a process. The status of a run is in another database.
    """
    engines = dict[str, Engine]()
    connections = dict[str, sqlite3.Connection]()
    storage = instance.event_log_storage
    if not hasattr(storage, "path_for_shard"):  # not SQLite's
        yield
        return
    module: Any = sys.modules[type(storage).__module__]
    make = module.create_engine

    def engine_of(address: str, **settings: object) -> Engine:
        if address not in engines:
            engines[address] = make(address, **settings)
            event.listen(engines[address], "connect", _sync_rarely)
        elif address not in connections:  # now the database exists and has the log
            database = str(engines[address].url.database)
            connections[address] = sqlite3.connect(database, check_same_thread=False)
            connections[address].execute("SELECT count(*) FROM sqlite_master").fetchone()
        return engines[address]

    module.create_engine = engine_of
    try:
        yield
    finally:
        module.create_engine = make
        for connection in connections.values():
            connection.close()


def _sync_rarely(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _set_timeout(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {TIMEOUT * 1000}")


def _explain_full_disk(context: ExceptionContext) -> None:
    """Raise an error with the file system instead of SQLite's, which lacks it."""
    home = Home.find().root
    if not isinstance(context.original_exception, sqlite3.Error) or not home.is_dir():
        return
    if full := full_system(home):
        context.chained_exception = full
