"""The error that ends a process: one line on stderr and the exit code, or a traceback.

A full disk, missing access and a damaged database of Dagster show as errors of many libraries; the
causes that Python keeps with an error, and the files themselves, identify them.
"""

import errno
import os
import sqlite3
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kinemill.disk import full_disk, full_system
from kinemill.errors import BadInput, CorruptArtifact, KinemillError, causes
from kinemill.home import Home

INTERNAL = 3
_ACCESS = {errno.EROFS, errno.EACCES, errno.EPERM}
_FIX = "give this user write access, or set KINEMILL_HOME to a folder that they can write to"
_WAIT = 5.0  # s that somebody may hold a database
_DATABASES = {  # of Dagster, by path in its folder: what is lost with it
    "history/runs.db": "the list of past runs",
    "history/runs/index.db": "the history of assets and the limits of pools",
    "schedules/schedules.db": "the state of sensors and schedules",
}


def report(error: BaseException) -> int:
    """Write an error to stderr, in one line where its cause is known; return the exit code."""
    known = understood(error)
    if known is not None:
        _write(f"{known}\n")
        return known.exit_code
    text = "".join(traceback.format_exception(error))
    _write(f"{text}\nThis is a fault in kinemill itself.\n")
    return INTERNAL


def _write(text: str) -> None:
    """Write to stderr, which may be a file on a full disk; the exit code is to be right anyway."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # what is still in its buffer would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def quiet_threads() -> None:
    """Print no traceback of a thread that ends in a failure which the main thread reports."""
    threading.excepthook = _of_thread


def _of_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is None or understood(found.exc_value) is None:
        threading.__excepthook__(found)


def understood(error: BaseException) -> KinemillError | None:
    """Return the error of ours that describes a failure, or None where kinemill is at fault."""
    home = _home()
    if full := full_disk(error, home.root if home else Path.cwd()):
        return full
    if isinstance(error, KinemillError):
        return error
    for one in causes(error):
        if isinstance(one, OSError) and one.errno in _ACCESS:
            where = one.filename or (home.root if home else Path.cwd())
            return BadInput(where, str(one.strerror), fix=_FIX)
        if home and isinstance(one, sqlite3.Error):
            return _of_database(one, home)
    # Content that is damaged shows as errors of what reads it, JSON for example.
    return next(damaged_databases(home), None) if home else None


def _home() -> Home | None:
    try:
        return Home.find()
    except KinemillError:
        return None


def _of_database(error: sqlite3.Error, home: Home) -> KinemillError | None:
    """Return why SQLite could not use a file of the home, as far as the files show it."""
    if full := full_system(home.root):
        return full
    if not os.access(home.root, os.W_OK) or "readonly" in str(error):
        return BadInput(home.root, "the databases in it cannot be written", fix=_FIX)
    return next(damaged_databases(home), None)


def damaged_databases(home: Home) -> Iterator[CorruptArtifact]:
    """Yield an error for each database of Dagster that SQLite finds damaged."""
    for path in sorted(home.dagster.rglob("*.db"), key=lambda path: path.name):
        if found := _damage(path):
            lost = _DATABASES.get(path.relative_to(home.dagster).as_posix(), "the log of one run")
            fix = f"restore a backup (kinemill restore), or end kinemill up and move {path.name} "
            fix += f"with its -wal and -shm to another folder: only {lost} is lost"
            yield CorruptArtifact(path, f"the database is damaged ({found})", fix=fix)


def _damage(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT)) as database:
            found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return None  # it is held, or gone meanwhile
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found.splitlines()[-1]
