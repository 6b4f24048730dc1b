"""A champion cannot be deleted: the database itself refuses, whoever asks.

MLflow drops the alias of a version that is deleted and says nothing, and robots that ask for
`champion` find none. A trigger on the one table of aliases keeps the row of `champion` from being
deleted; moving it to another version is an update, and is let through. So neither MLflow's pages
nor its clients delete a champion, take its alias away, or delete the model as a whole.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from kinemill.register.versions import CHAMPION
from kinemill.tracking import Tracking

_WAIT = 120.0  # s that somebody may hold the database
TRIGGER = "kinemill_champion_stays"
_TOLD = (
    "this version is champion: robots load it. Make another one champion first "
    "(kinemill promote, kinemill rollback)"
)
_SQLITE = f"""
CREATE TRIGGER IF NOT EXISTS {TRIGGER} BEFORE DELETE ON registered_model_aliases
WHEN OLD.alias = '{CHAMPION}' BEGIN SELECT RAISE(ABORT, '{_TOLD}'); END
"""
_POSTGRES = f"""
CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger AS $$
BEGIN
  IF OLD.alias = '{CHAMPION}' THEN RAISE EXCEPTION '{_TOLD}'; END IF;
  RETURN OLD;
END $$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER {TRIGGER} BEFORE DELETE ON registered_model_aliases
FOR EACH ROW EXECUTE FUNCTION {TRIGGER}();
"""
_KNOWN = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = :name",
    "postgresql": "SELECT 1 FROM pg_trigger WHERE tgname = :name "
    "AND tgrelid = 'registered_model_aliases'::regclass",
}


def protect(tracking: Tracking) -> None:
    """Have the database refuse to lose a champion, if it does not do so already."""
    from sqlalchemy import text

    with _connected(tracking) as (connection, kind):
        if connection.execute(text(_KNOWN[kind]), {"name": TRIGGER}).first() is None:
            connection.execute(text(_SQLITE if kind == "sqlite" else _POSTGRES))


def release(tracking: Tracking) -> None:
    """Let champions be deleted again, as forgetting a task does; registering protects anew."""
    from sqlalchemy import text

    with _connected(tracking) as (connection, kind):
        where = "" if kind == "sqlite" else " ON registered_model_aliases"
        connection.execute(text(f"DROP TRIGGER IF EXISTS {TRIGGER}{where}"))


@contextmanager
def _connected(tracking: Tracking) -> Generator[tuple[Any, str]]:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    patient = {"timeout": _WAIT} if tracking.uri.startswith("sqlite") else {}
    engine: Any = create_engine(tracking.uri, poolclass=NullPool, connect_args=patient)
    with engine.begin() as connection:
        yield connection, engine.dialect.name
