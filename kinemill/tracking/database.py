"""The home's MLflow database: made once, opened quietly, and moved with the home.

It is made aside and renamed into place under a file lock, so any number of processes may open a
fresh home at once. MLflow stores absolute artifact paths; a home that was moved or copied has them
rewritten when it is next opened, so nothing reaches back to the old folder.

Where machines share a database, MLflow has a schema of its own in it, and where they share an
object store, it keeps the artifacts of new experiments there.
"""

import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kinemill.errors import KinemillError
from kinemill.store import object_store
from kinemill.store.database import address_of, held_by_all, make_schema, spell
from kinemill.store.home import Home
from kinemill.store.locks import lock

_WAIT = 120.0  # s that somebody may hold the database while it is opened
_DEFAULT = threading.Lock()  # the default is one for the whole process
REBUILD = "kinemill admin rebuild-registry restores it from the store"
_MISSING = "no such table"  # in SQLite's message about a file that is empty or of something else
_ABSOLUTE_PATHS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}


def prepare_mlflow() -> None:
    """Set, before MLflow is imported: no telemetry, no pickles, no chatter on stderr."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    if server := object_store.endpoint():
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", server)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it raises what it logs


@dataclass(frozen=True)
class Tracking:
    """An opened MLflow database: its address and a client for it."""

    home: Home
    uri: str
    client: Any

    def experiment(self, task: str) -> str:
        """Return the id of the task's experiment, making it the first time."""
        if experiment := self.client.get_experiment_by_name(task):
            return experiment.experiment_id
        with lock(self.home, "mlflow"):
            if experiment := self.client.get_experiment_by_name(task):
                return experiment.experiment_id
            self.home.artifacts.mkdir(mode=0o700, exist_ok=True)
            return self.client.create_experiment(task, f"{artifact_root(self.home)}/{task}")

    @contextmanager
    def as_default(self) -> Generator[None]:
        """Make this MLflow's default for a while: parts of its registry ask no client for it."""
        import mlflow

        with _DEFAULT:
            previous = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
            mlflow.set_tracking_uri(self.uri)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(previous)  # pyright: ignore[reportArgumentType]


def tracking_uri(home: Home) -> str:
    """Return MLflow's address of the database: the shared one's schema, or the home's own file."""
    return address_of("mlflow") or f"sqlite:///{home.mlflow_db}"


def artifact_root(home: Home) -> str:
    """Return where MLflow keeps files: in the shared object store, or under the home."""
    shared = os.environ.get(object_store.VARIABLE)
    return object_store.artifacts_of(shared) if shared else home.artifacts.as_uri()


def open_tracking(home: Home) -> Tracking:
    """Open the home's MLflow database, made exactly once however many processes ask.

    Raises:
        KinemillError: it does not answer, or was written by another MLflow version.
    """
    prepare_mlflow()
    uri = tracking_uri(home)
    if address_of("mlflow"):
        _make_shared(uri, artifact_root(home))
    else:
        _make_own(home)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(uri, uri)
    except MlflowException as error:
        raise KinemillError(
            spell(uri) if address_of("mlflow") else home.mlflow_db,
            f"MLflow cannot open it ({error.message.splitlines()[0]})",
            fix="kinemill admin upgrade brings it up to date, after a backup",
        ) from error
    return Tracking(home, uri, client)


@cache  # once for each process
def _make_shared(uri: str, artifacts: str) -> None:
    """Make MLflow's tables, of which the row of the first experiment comes last."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    make_schema("mlflow")
    with held_by_all("mlflow tables"):
        SqlAlchemyStore(uri, artifacts).engine.dispose()


def _make_own(home: Home) -> None:
    root = home.artifacts.as_uri()
    try:
        if not home.mlflow_db.is_file() or _artifact_root(home.mlflow_db) != root:
            with lock(home, "mlflow"):
                if not home.mlflow_db.is_file():
                    _refuse_if_lost(home)
                    create_database(home)
                _relocate(home.mlflow_db, root)
    except sqlite3.OperationalError as error:
        if _MISSING not in str(error):
            raise  # somebody holds it, which passes
        raise damaged_database(home, "holds no registry") from error
    except sqlite3.DatabaseError as error:
        raise damaged_database(home, f"is damaged or not a database of MLflow ({error})") from error


def damaged_database(home: Home, problem: str) -> KinemillError:
    """Return the error about the database file of a home, with its remedy."""
    fix = REBUILD if has_ledger(home) else "kinemill admin restore brings it back from a backup"
    return KinemillError(home.mlflow_db, problem, fix=fix)


def has_ledger(home: Home) -> bool:
    """Return whether the store knows any registered version."""
    return any(home.ledgers.glob("*/000001.json"))


def _refuse_if_lost(home: Home) -> None:
    """Raise instead of creating an empty registry in place of a lost one.

    Raises:
        KinemillError: the store knows registered versions.
    """
    if has_ledger(home):
        tasks = ", ".join(sorted(path.name for path in home.ledgers.iterdir()))
        raise damaged_database(home, f"is missing, but the store knows versions of {tasks}")


def create_database(home: Home) -> None:
    """Create MLflow's database of a home; hold the lock `mlflow`."""
    prepare_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    home.make()
    with tempfile.TemporaryDirectory(dir=home.root, prefix=".mlflow-") as aside:
        path = Path(aside) / "mlflow.db"
        store = SqlAlchemyStore(f"sqlite:///{path}", home.artifacts.as_uri())
        store.engine.dispose()
        path.rename(home.mlflow_db)


def _artifact_root(database: Path) -> str | None:
    """Return the folder that the database believes its artifacts are in, as a URI."""
    with closing(sqlite3.connect(database, timeout=_WAIT)) as connection:
        row = connection.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        ).fetchone()
    return row[0].removesuffix("/0") if row else None


def _relocate(database: Path, root: str) -> None:
    old = _artifact_root(database)
    if old is None or old == root or not old.endswith("/artifacts"):
        return
    with closing(sqlite3.connect(database, timeout=_WAIT)) as connection, connection:
        for table, columns in _ABSOLUTE_PATHS.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE substr({column}, 1, ?) = ?",
                    (f"{root}/", len(old) + 2, len(old) + 1, f"{old}/"),
                )
