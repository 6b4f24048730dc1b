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
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from kinemill.errors import BadInput, Unreachable

VARIABLE = "KINEMILL_DATABASE"
Schema = Literal["dagster", "kinemill", "mlflow", "optuna"]
_SCHEMES = {"postgresql", "postgres"}


def database() -> str | None:
    """Return the address of the shared database, or None for SQLite and files.

    Raises:
        BadInput: The value is not the address of a PostgreSQL database.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
        raise BadInput(
            VARIABLE,
            f"is of the kind {parts.scheme!r} and names the database {parts.path.strip('/')!r}",
            expected="postgresql://USER:PASSWORD@HOST:5432/NAME",
        )
    return urlunsplit(("postgresql", *parts[1:]))


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
    """Return the SQLAlchemy address of a library's schema, or None without a shared database."""
    shared = database()
    if shared is None:
        return None
    parts = urlsplit(shared)
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -csearch_path={schema}".strip()
    # SQLAlchemy 2.1 maps `postgresql` to psycopg 3, which Dagster does not install.
    driven = parts._replace(scheme="postgresql+psycopg2")
    return urlunsplit(driven._replace(query=urlencode(query, quote_via=quote)))


def make_schema(schema: Schema) -> None:
    """Create a library's schema unless it exists; safe to call concurrently.

    Raises:
        Unreachable: The database does not respond, or refuses the connection.
    """
    with held_by_all(f"schema {schema}"), closing(_connect()) as connection:
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
    if database() is None:
        yield
        return
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with closing(_connect()) as connection:  # closing it releases the lock
        connection.autocommit = True  # an open transaction would keep dead rows from being vacuumed
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (number,))
            if not cursor.fetchone()[0]:
                if waiting:
                    waiting(f"waiting for the lock {name!r}: held on another machine")
                cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
            yield


def _connect() -> Any:
    import psycopg2

    shared = database() or ""
    try:
        return psycopg2.connect(
            shared,
            connect_timeout=10,
            # Keepalives detect a lost holder within a minute instead of two hours.
            keepalives_idle=20,
            keepalives_interval=10,
        )
    except psycopg2.OperationalError as error:
        raise Unreachable(
            spell(shared),
            f"PostgreSQL does not respond ({str(error).strip().splitlines()[-1]})",
            fix=f"start it, or correct {VARIABLE}",
        ) from error
