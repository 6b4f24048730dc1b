"""The PostgreSQL database that machines share, if there is one.

`KINEMILL_DATABASE=postgresql://USER:PASSWORD@HOST:5432/NAME` puts what SQLite and files keep on one
machine into one database, each library's tables in a schema of their own: `dagster`, `mlflow` and
`optuna`. Locks hold between machines then, as advisory locks, which the server lets go of when the
connection of their holder ends, however it ends.
"""

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from kinemill.errors import BadInput, Unreachable

VARIABLE = "KINEMILL_DATABASE"
Schema = Literal["dagster", "mlflow", "optuna"]
_SCHEMES = {"postgresql", "postgres"}


def database() -> str | None:
    """Return the address of the shared database; None where SQLite and files are meant.

    Raises:
        BadInput: it is no address of a PostgreSQL database.
    """
    found = os.environ.get(VARIABLE)
    if not found:
        return None
    parts = urlsplit(found)
    if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
        raise BadInput(
            VARIABLE,
            f"is of the kind {parts.scheme!r} and names the database {parts.path.strip('/')!r}",
            expected="postgresql://USER:PASSWORD@HOST:5432/NAME",
        )
    return urlunsplit(("postgresql", *parts[1:]))


def spell(address: str) -> str:
    """Return an address without its password, for people and logs."""
    parts = urlsplit(address)
    where = parts.netloc.rpartition("@")[2]
    return f"postgresql://{where}{parts.path}"


def address_of(schema: Schema) -> str | None:
    """Return SQLAlchemy's address of a library's own schema; None: no database is shared."""
    shared = database()
    if shared is None:
        return None
    parts = urlsplit(shared)
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -csearch_path={schema}".strip()
    # SQLAlchemy 2.1 would take `postgresql` for psycopg 3, which Dagster does not bring.
    driven = parts._replace(scheme="postgresql+psycopg2")
    return urlunsplit(driven._replace(query=urlencode(query, quote_via=quote)))


def make_schema(schema: Schema) -> None:
    """Make a library's schema, unless it is there; any number of processes may ask at once.

    Raises:
        Unreachable: the database does not answer, or refuses.
    """
    with held_by_all(f"schema {schema}"), closing(_connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")


@contextmanager
def held_by_all(name: str, waiting: Callable[[str], None] | None = None) -> Generator[None]:
    """Hold the lock `name` among all machines of the shared database; alone, hold nothing.

    Args:
        name: what is guarded.
        waiting: told, once, that the lock is not free.

    Raises:
        Unreachable: the database does not answer.
    """
    if database() is None:
        yield
        return
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with closing(_connect()) as connection:  # which lets go of the lock
        connection.autocommit = True  # a transaction left open would keep old rows alive
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
            # A holder that lost its net is noticed within a minute instead of two hours.
            keepalives_idle=20,
            keepalives_interval=10,
        )
    except psycopg2.OperationalError as error:
        raise Unreachable(
            spell(shared),
            f"PostgreSQL does not answer ({str(error).strip().splitlines()[-1]})",
            fix=f"start it, or mend {VARIABLE}",
        ) from error
