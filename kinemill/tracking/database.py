"""The home's MLflow database: made once, opened quietly, and moved with the home.

It is made aside and renamed into place under a file lock, so any number of processes may open a
fresh home at once. MLflow stores absolute artifact paths; a home that was moved or copied has them
rewritten when it is next opened, so nothing reaches back to the old folder.
"""

import fcntl
import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import KinemillError
from kinemill.home import Home

_DEFAULT = threading.Lock()  # the default is one for the whole process
_ABSOLUTE_PATHS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}


@contextmanager
def lock(home: Home, name: str, on_wait: Callable[[], None] | None = None) -> Generator[None]:
    """Hold the home's file lock `name`; the system releases it when its holder dies.

    Args:
        home: whose lock.
        name: of the lock; slashes make folders.
        on_wait: called once when somebody else holds it, before waiting for them.
    """
    path = home.root / ".locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare_mlflow() -> None:
    """Set, before MLflow is imported: no telemetry, no pickles, no chatter on stderr."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])


@dataclass(frozen=True)
class Tracking:
    """An opened MLflow database: its address and a client for it."""

    home: Home
    uri: str
    client: Any

    def experiment(self, task: str) -> str:
        """Return the id of the task's experiment, making it the first time."""
        if known := self.client.get_experiment_by_name(task):
            return known.experiment_id
        with lock(self.home, "mlflow"):
            if known := self.client.get_experiment_by_name(task):
                return known.experiment_id
            return self.client.create_experiment(task, (self.home.artifacts / task).as_uri())

    @contextmanager
    def as_default(self) -> Generator[None]:
        """Make this MLflow's default for a while: parts of its registry ask no client for it."""
        import mlflow

        with _DEFAULT:
            before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
            mlflow.set_tracking_uri(self.uri)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(before)  # pyright: ignore[reportArgumentType]


def tracking_uri(home: Home) -> str:
    """Return MLflow's address of the home's database."""
    return f"sqlite:///{home.mlflow_db}"


def open_tracking(home: Home) -> Tracking:
    """Open the home's MLflow database, made exactly once however many processes ask.

    Raises:
        KinemillError: the database was written by another MLflow version.
    """
    prepare_mlflow()
    root = home.artifacts.as_uri()
    if not home.mlflow_db.is_file() or _artifact_root(home.mlflow_db) != root:
        with lock(home, "mlflow"):
            if not home.mlflow_db.is_file():
                _create(home)
            _relocate(home.mlflow_db, root)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(tracking_uri(home), tracking_uri(home))
    except MlflowException as error:
        raise KinemillError(
            home.mlflow_db,
            f"MLflow cannot open it ({error.message.splitlines()[0]})",
            fix=f"after a copy of the file: mlflow db upgrade {tracking_uri(home)}",
        ) from error
    return Tracking(home, tracking_uri(home), client)


def _create(home: Home) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    home.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.root, prefix=".mlflow-") as aside:
        path = Path(aside) / "mlflow.db"
        store = SqlAlchemyStore(f"sqlite:///{path}", home.artifacts.as_uri())
        store.engine.dispose()
        path.rename(home.mlflow_db)


def _artifact_root(database: Path) -> str | None:
    """Return the folder that the database believes its artifacts are in, as a URI."""
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        ).fetchone()
    return row[0].removesuffix("/0") if row else None


def _relocate(database: Path, root: str) -> None:
    old = _artifact_root(database)
    if old is None or old == root or not old.endswith("/artifacts"):
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in _ABSOLUTE_PATHS.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE substr({column}, 1, ?) = ?",
                    (f"{root}/", len(old) + 2, len(old) + 1, f"{old}/"),
                )
