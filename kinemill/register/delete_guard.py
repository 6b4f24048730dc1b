"""Guard against deleting a champion: a database trigger that rejects it for every client.

MLflow silently drops the alias of a version that is deleted, and robots that load `champion` fail.
A trigger on the alias table rejects deleting the row of `champion`; moving the alias is an update
and is allowed. So neither MLflow's pages nor its clients can delete a champion, its alias or its
model.
"""

from kinemill.register.mlflow_tables import connected
from kinemill.register.versions import CHAMPION
from kinemill.tracking import Tracking

TRIGGER = "kinemill_champion_stays"
_MESSAGE = (
    "this version is champion: robots load it. Make another one champion first "
    "(kinemill model promote, kinemill model rollback)"
)
_SQLITE = f"""
CREATE TRIGGER IF NOT EXISTS {TRIGGER} BEFORE DELETE ON registered_model_aliases
WHEN OLD.alias = '{CHAMPION}' BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END
"""
_POSTGRES = f"""
CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger AS $$
BEGIN
  IF OLD.alias = '{CHAMPION}' THEN RAISE EXCEPTION '{_MESSAGE}'; END IF;
  RETURN OLD;
END $$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER {TRIGGER} BEFORE DELETE ON registered_model_aliases
FOR EACH ROW EXECUTE FUNCTION {TRIGGER}();
"""
_EXISTS = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = :name",
    "postgresql": "SELECT 1 FROM pg_trigger WHERE tgname = :name "
    "AND tgrelid = 'registered_model_aliases'::regclass",
}


def protect(tracking: Tracking) -> None:
    """Create the trigger, unless it exists."""
    from sqlalchemy import text

    with connected(tracking.home) as connection:
        kind = connection.dialect.name
        if connection.execute(text(_EXISTS[kind]), {"name": TRIGGER}).first() is None:
            connection.execute(text(_SQLITE if kind == "sqlite" else _POSTGRES))


def release(tracking: Tracking) -> None:
    """Drop the trigger, to forget a task; the next registration creates it again."""
    from sqlalchemy import text

    with connected(tracking.home) as connection:
        where = "" if connection.dialect.name == "sqlite" else " ON registered_model_aliases"
        connection.execute(text(f"DROP TRIGGER IF EXISTS {TRIGGER}{where}"))
