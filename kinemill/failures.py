"""Report the error that ends a process: one line on stderr and the exit code, or a traceback.

A full disk, missing permissions and a damaged Dagster database surface as errors of many
libraries. The exception chain and the files themselves identify them. A table lists those that a
server, the machine or a missing package causes: by name, so that reporting an error imports no
library. What it does not list is a bug of kinemill.
"""

import errno
import json
import math
import os
import re
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kinemill.errors import BadInput, CorruptArtifact, KinemillError, Unreachable, causes
from kinemill.extras import missing_package
from kinemill.reports.control_characters import escape_controls
from kinemill.store import object_store
from kinemill.store.database import database, unreachable
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

_LONGEST = 200  # letters of a reason
_MEMORY = "close other programs, or use smaller batches, models or images"
_NETWORK = "check that the server runs, and the address, the network and the proxy"
_ERRNO = {  # what to do about errors of the system, which name the file if there is one
    errno.EADDRINUSE: "choose another port, or stop the program that uses it",
    errno.EMFILE: "raise the limit of open files: ulimit -n 8192",
    errno.ENFILE: "close other programs, or raise fs.file-max",
    errno.ENOMEM: _MEMORY,
    errno.EIO: "check the disk and the messages of the system (dmesg)",
    errno.ESTALE: "mount the network folder again",
    errno.EPIPE: "the reader of the output has ended; write to a file instead",
    errno.ECONNREFUSED: _NETWORK,
    errno.ECONNRESET: _NETWORK,
    errno.ETIMEDOUT: _NETWORK,
    errno.EHOSTUNREACH: _NETWORK,
    errno.ENETUNREACH: _NETWORK,
}
_OUT_OF_MEMORY = re.compile(
    "can't allocate memory|CUDA out of memory|bad_alloc|can't start new thread"
)
_REFUSALS = {401, 403, 429, 500, 502, 503, 504}  # HTTP statuses
_REVISION = "Can't locate revision"  # alembic: a newer library has migrated the database


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
    if failure := _as_external_failure(error):
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


def _as_external_failure(error: BaseException) -> KinemillError | None:
    """Return the KinemillError for an error with a known external cause, or None.

    The outermost error of the chain that the table lists is described: it knows the address.
    """
    for cause in causes(error):
        for kind in type(cause).__mro__:
            describe = _TABLE.get(f"{kind.__module__}.{kind.__qualname__}")
            if describe and (failure := describe(cause)):
                return failure
    return None


def _of_object_store(error: BaseException) -> KinemillError:
    address = os.environ.get(object_store.VARIABLE, "").partition("?")[0]
    return Unreachable(
        object_store.endpoint() or address or "S3",
        f"the request to the object store failed ({_reason(error)})",
        fix=f"check that it runs and accepts the credentials ({object_store.VARIABLE})",
    )


def _of_ray(error: BaseException) -> KinemillError:
    where = os.environ.get("RAY_ADDRESS", "the Ray cluster")
    fix = "check that it runs (ray status), and compute.address or RAY_ADDRESS"
    return Unreachable(where, f"the cluster failed ({_reason(error)})", fix=fix)


def _of_request(error: BaseException) -> KinemillError:
    """Describe a failed request over HTTP; only host and port of its address are printed."""
    try:  # httpx raises an error for the missing request of an error
        url = getattr(getattr(error, "request", None), "url", None)
    except RuntimeError:
        url = None
    where = urlsplit(str(url)).netloc.rpartition("@")[2] if url else "the network"
    return Unreachable(where, f"the request failed ({_reason(error)})", fix=_NETWORK)


def _of_mlflow(error: BaseException) -> KinemillError | None:
    """Describe an MLflow server that does not respond or refuses; other errors of it are bugs."""
    text = str(error)
    if "database schema" in text:
        fix = "mlflow db upgrade sqlite:///HOME/mlflow.db, after a backup"
        return KinemillError("MLflow", f"cannot use its database ({_reason(error)})", fix=fix)
    is_answer = type(error).__name__ == "RestException"
    is_refusal = is_answer and getattr(error, "get_http_status_code")() in _REFUSALS  # noqa: B009
    if not text.startswith("API request to") and not is_refusal:
        return None
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    where = urlsplit(address).netloc.rpartition("@")[2] or "MLflow"
    fix = "check that the MLflow server runs and lets you in (MLFLOW_TRACKING_URI)"
    return Unreachable(where, f"the request to MLflow failed ({_reason(error)})", fix=fix)


def _of_migration(error: BaseException) -> KinemillError | None:
    if _REVISION not in str(error):
        return None
    problem = f"was written by newer versions of Dagster or MLflow ({_reason(error)})"
    return KinemillError("the database", problem, fix="update kinemill and its packages")


def _of_yaml(error: BaseException) -> KinemillError:
    """Describe a YAML file that is no task file."""
    mark = getattr(error, "problem_mark", None)
    where = f"{mark.name}:{mark.line + 1}:{mark.column + 1}" if mark else "a YAML file"
    problem = getattr(error, "problem", None) or _reason(error)
    return BadInput(where, f"is not YAML ({problem})", fix="correct the line")


def _of_memory(error: BaseException) -> KinemillError:
    return KinemillError("memory", f"there is not enough ({_reason(error)})", fix=_MEMORY)


def _of_runtime(error: BaseException) -> KinemillError | None:
    """Describe a RuntimeError of torch about memory; it has no class for that on the CPU."""
    return _of_memory(error) if _OUT_OF_MEMORY.search(str(error)) else None


def _of_encoding(error: UnicodeEncodeError) -> KinemillError | None:
    """Describe a terminal or a locale that is not UTF-8; wrong bytes of a file are a bug."""
    if error.encoding.replace("-", "").lower() == "utf8":
        return None
    problem = f"the encoding {error.encoding} of the terminal or the locale lacks a character"
    return BadInput("standard output", problem, fix="set PYTHONUTF8=1 or LANG=C.UTF-8")


def _of_system(error: OSError) -> KinemillError | None:
    fix = _ERRNO.get(error.errno or 0)
    if fix is None or error.errno is None:
        return None
    # An unreachable server is a reason to retry a training, a limit of this machine is not.
    kind = Unreachable if fix is _NETWORK else KinemillError
    return kind(error.filename or "the system", os.strerror(error.errno), fix=fix)


def _of_name(error: BaseException) -> KinemillError:
    return Unreachable("the network", f"a host name is unknown ({_reason(error)})", fix=_NETWORK)


def _of_tls(error: BaseException) -> KinemillError:
    fix = "check the clock and the certificates (SSL_CERT_FILE), and http or https in the address"
    return Unreachable("the network", f"no secure connection ({_reason(error)})", fix=fix)


def _reason(error: BaseException) -> str:
    """Return the first line of an error, without user names and passwords of addresses."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    hidden = re.sub(r"(?<=://)[^/\s@]+@", "", line.strip())
    return "".join(letter if letter.isprintable() else "?" for letter in hidden[:_LONGEST])


_TABLE: dict[str, Callable[[Any], KinemillError | None]] = {
    "psycopg2.OperationalError": unreachable,
    "psycopg2.InterfaceError": unreachable,
    "psycopg2.errors.InsufficientPrivilege": unreachable,
    "botocore.exceptions.HTTPClientError": _of_object_store,
    "botocore.exceptions.ConnectionError": _of_object_store,
    "botocore.exceptions.ClientError": _of_object_store,
    "botocore.exceptions.NoCredentialsError": _of_object_store,
    "botocore.exceptions.PartialCredentialsError": _of_object_store,
    "botocore.exceptions.ProfileNotFound": _of_object_store,
    "botocore.parsers.ResponseParserError": _of_object_store,
    "boto3.exceptions.S3UploadFailedError": _of_object_store,
    "ray.exceptions.RayError": _of_ray,
    "requests.exceptions.RequestException": _of_request,
    "urllib3.exceptions.HTTPError": _of_request,
    "httpx.TransportError": _of_request,
    "aiohttp.client_exceptions.ClientError": _of_request,
    "mlflow.exceptions.MlflowException": _of_mlflow,
    "alembic.util.exc.CommandError": _of_migration,
    "yaml.error.YAMLError": _of_yaml,
    "socket.gaierror": _of_name,
    "ssl.SSLError": _of_tls,
    "torch.OutOfMemoryError": _of_memory,
    "builtins.MemoryError": _of_memory,
    "builtins.RuntimeError": _of_runtime,
    "builtins.UnicodeEncodeError": _of_encoding,
    "builtins.ModuleNotFoundError": missing_package,
    "builtins.OSError": _of_system,
}
