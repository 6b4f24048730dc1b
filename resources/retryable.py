"""Retry rules: which failures are temporary, so that a run is retried.

A killed process, a locked database, or a broken connection is temporary. Bad input, a failed check,
or a diverged training would fail again. Dagster retries a run whose process died (`run_retries`);
it retries a failed step only if the run is tagged.
"""

import errno
import sqlite3

import dagster as dg

from kinemill.errors import KinemillError, ProcessLost, Unreachable, causes
from kinemill_dagster.resources.tags import FAULT, MAX_RETRIES, RETRY_STEPS

_NUMBERS = {
    errno.EIO,
    errno.ESTALE,
    errno.EAGAIN,
    errno.EBUSY,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
}
# Messages of SQLite, MLflow and SQLAlchemy for a database locked by another process.
_LOCKED = ("database is locked", "database table is locked", "unable to open database file")
# Messages of psycopg2 for a PostgreSQL server that restarted or is unreachable.
_AWAY = ("connection to server", "server closed the connection", "terminating connection")


def passes(error: BaseException) -> bool:
    """Return whether a failure is temporary, so that a retry can succeed."""
    return any(_passes(cause) for cause in causes(error))


def note_fault(instance: dg.DagsterInstance, run_id: str, error: BaseException) -> None:
    """Tag a run as retryable or not, before Dagster decides about a retry."""
    passing = passes(error)
    tags = {RETRY_STEPS: str(passing).lower(), FAULT: "passing" if passing else "lasting"}
    instance.add_run_tags(run_id, tags)


def note_refusal(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tag a run that cannot start: Dagster would treat a failure without steps as temporary."""
    instance.add_run_tags(run_id, {MAX_RETRIES: "0", FAULT: "lasting"})


def _passes(error: BaseException) -> bool:
    if isinstance(error, ProcessLost | Unreachable | ConnectionError | TimeoutError):
        return True
    if isinstance(error, KinemillError):
        return False  # independent of its message
    if isinstance(error, OSError):
        return error.errno in _NUMBERS
    is_database = isinstance(error, sqlite3.Error) or "sql" in str(error).lower()
    return is_database and any(message in str(error) for message in (*_LOCKED, *_AWAY))
