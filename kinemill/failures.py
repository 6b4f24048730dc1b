"""Report the error that ends a process: one line on stderr and the exit code, or a traceback.

A full disk, missing permissions and a damaged Dagster database surface as errors of many
libraries. The exception chain and the files themselves identify them; `external_errors` lists
those of servers and of the machine.
"""

import errno
import json
import math
import os
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact, KinemillError, causes
from kinemill.external_errors import as_external_failure
from kinemill.reports.control_characters import escape_controls
from kinemill.store.database import database
from kinemill.store.disk_space import full_disk, full_system
from kinemill.store.home import Home

INTERNAL = 3
_ACCESS = {errno.EROFS, errno.EACCES, errno.EPERM}
_FIX = "give this user write access, or set KINEMILL_HOME to a folder that they can write to"
_UNUSABLE = {  # what to do about a database that SQLite cannot use, by a part of its message
    "is locked": "wait for the process that uses it: fuser shows its id",
    "locking protocol": "use a local disk for KINEMILL_HOME; network folders lack locks",
    "disk i/o error": "check the disk and the messages of the system (dmesg)",
    "unable to open": "check that the folder exists and the limit of open files (ulimit -n)",
    "out of memory": "close other programs",
}
_WAIT = 5.0  # s to wait for a database that is locked
_DATABASES = {  # Dagster databases by path in its folder: what is lost with each
    "history/runs.db": "the list of past runs",
    "history/runs/index.db": "the history of assets and the limits of pools",
    "schedules/schedules.db": "the state of sensors and schedules",
}


_DOCUMENTS = [  # JSON columns, which Dagster parses when it reads a row
    ("runs", "run_body"),
    ("event_logs", "event"),
    ("asset_keys", "last_materialization"),
    ("asset_check_executions", "evaluation_event"),
    ("jobs", "job_body"),
    ("instigators", "instigator_body"),
    ("job_ticks", "tick_body"),
]
_EMPTY = "it has no tables"  # Dagster creates them with the file
_LOOK = 0.2  # s, time limit of the check of one database
_OPERATIONS = 1000  # SQLite operations between two checks of the time limit


def report(error: BaseException) -> int:
    """Write an error to stderr, on one line if its cause is known; return the exit code."""
    failure = as_known_failure(error)
    if failure is not None:
        _write(f"{escape_controls(str(failure), lines=True)}\n")
        return failure.exit_code
    text = "".join(traceback.format_exception(error))
    _write(f"{text}\nThis is a bug in kinemill.\n")
    return INTERNAL


def _write(text: str) -> None:
    """Write to stderr. It may be a file on a full disk, which must not change the exit code."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # flushing the buffer at exit would fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def quiet_threads() -> None:
    """Suppress tracebacks of threads for failures that the main thread reports."""
    threading.excepthook = _of_thread


def _of_thread(thread_error: threading.ExceptHookArgs) -> None:
    if thread_error.exc_value is None or as_known_failure(thread_error.exc_value) is None:
        threading.__excepthook__(thread_error)


def as_known_failure(error: BaseException) -> KinemillError | None:
    """Return the KinemillError that describes a failure, or None for a bug in kinemill."""
    home = _home()
    if full := full_disk(error, home.root if home else Path.cwd()):
        return full
    if isinstance(error, KinemillError):
        return error
    for cause in causes(error):
        # Not the subclasses of libraries: the errno 1 of an error of TLS is not EPERM.
        is_library = type(cause) not in {OSError, PermissionError}
        if isinstance(cause, OSError) and cause.errno in _ACCESS and not is_library:
            where = cause.filename or (home.root if home else Path.cwd())
            return BadInput(where, str(cause.strerror), fix=_FIX)
        if home and isinstance(cause, sqlite3.Error):
            return _of_database(cause, home)
    if failure := as_external_failure(error):
        return failure
    # Damaged content raises the errors of its parser, such as JSON.
    return next(damaged_databases(home), None) if home else None


def _home() -> Home | None:
    try:
        return Home.find()
    except KinemillError:
        return None


def _of_database(error: sqlite3.Error, home: Home) -> KinemillError | None:
    """Return why SQLite could not use a file of the home, if the files show a cause."""
    if full := full_system(home.root):
        return full
    if not os.access(home.root, os.W_OK) or "readonly" in str(error):
        return BadInput(home.root, "the databases in it cannot be written", fix=_FIX)
    if damage := next(damaged_databases(home), None):
        return damage
    for part, fix in _UNUSABLE.items():
        if part in str(error).lower():
            return KinemillError(home.root, f"a database in it cannot be used ({error})", fix=fix)
    return None


def check_databases(home: Home) -> None:
    """Check the Dagster databases for damage within a time limit per file.

    Hold the lock `dagster`, under which they are created: a new database is briefly empty.

    Raises:
        CorruptArtifact: A database is damaged.
    """
    if database() is not None:
        return
    for name in _DATABASES:
        path = home.dagster / name
        if path.exists() and (damage := _damage(home, path, _LOOK)):
            raise damage


def damaged_databases(home: Home) -> Iterator[CorruptArtifact]:
    """Yield an error for each damaged database of Dagster, without a time limit."""
    for path in sorted(home.dagster.rglob("*.db"), key=lambda path: path.name):
        if damage := _damage(home, path):
            yield damage


def _damage(home: Home, path: Path, seconds: float = math.inf) -> CorruptArtifact | None:
    """Return the error for a damaged database, or None if `seconds` of reading find no damage."""
    lost = _DATABASES.get(path.relative_to(home.dagster).as_posix())
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT)) as opened:
            end = time.monotonic() + seconds
            opened.set_progress_handler(lambda: time.monotonic() > end, _OPERATIONS)
            damage = _fault(opened)
            if damage == _EMPTY and (lost is None or not _has_history(home)):
                return None  # run logs are created without a lock when the run begins
    except sqlite3.OperationalError:
        return None  # it is locked, was removed, or is too large for the time limit
    except sqlite3.DatabaseError as error:
        damage = str(error)
    if damage is None:
        return None
    fix = f"restore a backup (kinemill admin restore), or stop kinemill ui and move {path.name} "
    fix += f"with its -wal and -shm to another folder: only {lost or 'the log of one run'} is lost"
    return CorruptArtifact(path, f"the database is damaged ({damage})", fix=fix)


def _fault(opened: sqlite3.Connection) -> str | None:
    """Return the damage of a database: in its pages, tables, or JSON columns."""
    tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    names = [name for (name,) in tables]
    if not names:
        return _EMPTY
    damage = str(opened.execute("PRAGMA quick_check(1)").fetchone()[0])
    if damage != "ok":
        return damage.splitlines()[-1]
    opened.create_function("is_json", 1, _is_json, deterministic=True)
    for table, column in _DOCUMENTS:
        if table in names:
            bad = f"SELECT rowid FROM {table} WHERE NOT is_json(CAST({column} AS BLOB))"
            if row := opened.execute(f"{bad} ORDER BY rowid DESC LIMIT 1").fetchone():
                return f"row {row[0]} of table {table} is not JSON"
    return None


def _is_json(text: bytes | None) -> bool:
    try:
        json.loads(text or b"{}")
    except ValueError:
        return False
    return True


def _has_history(home: Home) -> bool:
    """Return whether runs used this home: each leaves references and a log."""
    logs = (path for path in home.dagster.glob("history/runs/*.db") if path.name != "index.db")
    return any((home.dagster / "refs").rglob("*.json")) or any(logs)
