"""Optional PostgreSQL database shared by several machines.

`KINEMILL_DATABASE=postgresql://USER:PASSWORD@HOST:5432/NAME` replaces the SQLite files of one
machine by one database, with a separate schema for each of `dagster`, `mlflow` and `optuna`, and
`kinemill` for the catalog of recordings.
Locks then also hold between machines, as advisory locks, which the server releases when the
connection of the holder ends.
"""

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from kinemill.errors import BadInput, Unreachable

VARIABLE = "KINEMILL_DATABASE"
Schema = Literal["dagster", "kinemill", "mlflow", "optuna"]
_SCHEMES = {"postgresql", "postgres"}
# Parameters of libpq for all connections; those in the address take precedence.
_CONNECTION = {
    "connect_timeout": "30",  # s, for the connection and the login at each address of the host
    # Keepalives detect a lost holder of a lock within a minute instead of two hours.
    "keepalives_idle": "20",  # s
    "keepalives_interval": "10",  # s
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # ms; runs survive a network that is away for 15 s
}
_FIRST_TIMEOUT = "5"  # s, of the first connection of a process: commands end soon, runs wait
_LONGEST = 200  # letters of a reason
_STATEMENT = 60  # s for a statement of a library; waiting for a lock has no limit


def database() -> str | None:
    """Return the address of the shared database, or None for SQLite and files.

    Raises:
        BadInput: The value is not the address of a PostgreSQL database.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return None
    parts = urlsplit(address)
    # An unescaped / ? # or @ of a password shifts the parts, so the message quotes none of them.
    has_name = bool(parts.path.strip("/")) and "@" not in parts.path
    if parts.scheme not in _SCHEMES or not has_name or parts.fragment or not _has_port(parts):
        raise BadInput(
            VARIABLE,
            "is not the address of a PostgreSQL database",
            expected="postgresql://USER:PASSWORD@HOST:5432/NAME, with / ? # @ : % in the "
            "password as %2F %3F %23 %40 %3A %25",
        )
    return urlunsplit(("postgresql", *parts[1:]))


def _has_port(parts: SplitResult) -> bool:
    """Return whether the port is a number or missing."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def tracking_server() -> str | None:
    """Return the address of an MLflow server in `MLFLOW_TRACKING_URI`; None: use the database.

    MLflow also sets the variable itself, to addresses of databases, for its child processes.
    """
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    return address if address.startswith(("http://", "https://")) else None


def spell(address: str) -> str:
    """Return an address without its password, for messages and logs."""
    parts = urlsplit(address)
    where = parts.netloc.rpartition("@")[2]
    return f"postgresql://{where}{parts.path}"


def address_of(schema: Schema) -> str | None:
    """Return the SQLAlchemy address of a library's schema, or None without a shared database.

    Libraries repeat failed connections for minutes, so the first call connects to the server.

    Raises:
        Unreachable: The database does not respond, or refuses the connection.
    """
    shared = database()
    if shared is None:
        return None
    require_response(shared)
    options = f"-cstatement_timeout={_STATEMENT}s -csearch_path={schema}"
    # SQLAlchemy 2.1 maps `postgresql` to psycopg 3, which Dagster does not install.
    return _with_timeouts(shared, options).replace("postgresql", "postgresql+psycopg2", 1)


def _with_timeouts(address: str, options: str = "", **parameters: str) -> str:
    """Return an address with the parameters of this module and options of the server."""
    parts = urlsplit(address)
    query = _CONNECTION | parameters | dict(parse_qsl(parts.query))
    if options:
        query["options"] = f"{options} {query.get('options', '')}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def make_schema(schema: Schema) -> None:
    """Create a library's schema unless it exists; safe to call concurrently.

    Raises:
        Unreachable: The database does not respond, or refuses the connection.
    """
    with held_by_all(f"schema {schema}"), closing(_connect(database() or "")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")


@contextmanager
def held_by_all(name: str, waiting: Callable[[str], None] | None = None) -> Generator[None]:
    """Hold the lock `name` on all machines of the shared database; without one, do nothing.

    `waiting` is called once with a message if the lock is not free.

    Raises:
        Unreachable: The database does not respond.
    """
    shared = database()
    if shared is None:
        yield
        return
    require_response(shared)
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with closing(_connect(shared)) as connection:  # closing it releases the lock
        connection.autocommit = True  # an open transaction would keep dead rows from being vacuumed
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (number,))
            if not cursor.fetchone()[0]:
                if waiting:
                    waiting(f"waiting for the lock {name!r}: held on another machine")
                cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
            yield


def check_database() -> None:
    """Connect to the shared database if there is one.

    Raises:
        Unreachable: The database does not respond, or refuses the connection.
    """
    if shared := database():
        require_response(shared)


@cache  # once per process, unless it fails
def require_response(address: str) -> None:
    """Connect to a server, which may be silent, with a short timeout."""
    _connect(address, connect_timeout=_FIRST_TIMEOUT).close()


def unreachable(error: BaseException) -> Unreachable:
    """Return the error of a shared database that does not respond, for one of its driver.

    libpq writes a line for each address of the host, and hints after it; the password is in none.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = next((line for line in reversed(lines) if " failed: " in line), lines[0])
    reason = line.rpartition(" failed: ")[2].strip()
    printable = "".join(letter if letter.isprintable() else "?" for letter in reason)
    return Unreachable(
        spell(database() or ""),
        f"the PostgreSQL database does not respond ({printable[:_LONGEST]})",
        fix=f"start the server, or correct {VARIABLE}; a rerun resumes from here",
    )


def _connect(address: str, **parameters: str) -> Any:
    try:
        import psycopg2
    except ModuleNotFoundError as error:
        fix = "pip install 'kinemill[postgres]'"
        raise BadInput(VARIABLE, f"needs {error.name}, which is not installed", fix=fix) from error

    try:
        return psycopg2.connect(_with_timeouts(address, **parameters))
    except psycopg2.OperationalError as error:
        raise unreachable(error) from error
