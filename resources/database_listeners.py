"""Listeners on the SQLite databases of Dagster and MLflow: longer lock timeout, full disk; engines.

A process calls `install_listeners` before it opens a database: the run coordinator and the launcher
of `dagster.yaml`, the executor of runs, `open_instance` and the guarded webserver do. Dagster's
default storage therefore needs no subclass.
"""

import sqlite3
from functools import lru_cache

from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.engine import ExceptionContext

from kinemill.store.disk_space import full_system
from kinemill.store.home import Home
from kinemill_dagster.resources.dagster_api import sqlite_event_log

TIMEOUT = 120  # s, above the longest measured backup of a database


def install_listeners() -> None:
    """Set the lock timeout `TIMEOUT`, and report a full disk; repeated calls have no effect.

    With the default timeouts (5 and 30 s) a run fails if another process copies a database or has
    an open transaction. Existing engines are included.
    """
    if not event.contains(Engine, "connect", _set_timeout):
        event.listen(Engine, "connect", _set_timeout)
        event.listen(Engine, "handle_error", _explain_full_disk)
        vars(sqlite_event_log)["create_engine"] = _engine_of


def _engine_of(address: str, **_: object) -> Engine:
    """Return the engine of an event log.

    Dagster makes an engine for each statement, which then compiles all statements again.
    """
    return _cached_engine(address)


@lru_cache(maxsize=8)
def _cached_engine(address: str) -> Engine:
    return create_engine(address, poolclass=NullPool)  # opens a connection for each use


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
