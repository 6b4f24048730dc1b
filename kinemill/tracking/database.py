"""MLflow database of a home: create, open and relocate it.

A process creates the file under a temporary name and renames it under a file lock, so several
processes can open a new home at the same time. MLflow stores absolute artifact paths. If a home was
moved or copied, the next process that opens it rewrites the paths.

With a shared database, MLflow uses a separate schema in it. With an object store, MLflow stores the
artifacts of new experiments there. If `MLFLOW_TRACKING_URI` is the address of an MLflow server,
runs, models and artifacts are there instead.
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
from importlib import import_module
from pathlib import Path
from typing import Any

from kinemill.errors import KinemillError, Unreachable, causes
from kinemill.store import Home, object_store
from kinemill.store.database import address_of, held_by_all, make_schema, spell, tracking_server
from kinemill.store.locks import lock

_WAIT = 120.0  # s to wait for a locked database
# Threads that import parts of MLflow at the same time see it half initialized.
_IMPORT = threading.Lock()
_DEFAULT = threading.Lock()  # MLflow has one default URI per process
_RESTORE = "restore a backup: kinemill admin restore FOLDER"
_MISSING = "no such table"  # part of SQLite's message about an empty or foreign file
_ABSOLUTE_PATHS = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}


def prepare_mlflow() -> None:
    """Turn off telemetry, pickles and log lines of MLflow. Call it before importing MLflow."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # `--json` uses stdout
    os.environ.setdefault(
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"
    )  # 15 s; the default waits 4 minutes
    os.environ.setdefault("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "5")  # merges small batches
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    if server := object_store.endpoint():
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", server)
    object_store.limit_boto3()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    logging.getLogger("mlflow.store.db.utils").setLevel(
        logging.CRITICAL
    )  # it also raises the logged errors


@dataclass(frozen=True)
class Tracking:
    """An open MLflow database or server: its URI and a client."""

    home: Home
    uri: str
    client: Any

    def experiment(self, task: str) -> str:
        """Return the id of the task's experiment; create it if it does not exist."""
        if experiment := self.client.get_experiment_by_name(task):
            return experiment.experiment_id
        with lock(self.home, "mlflow"):
            if experiment := self.client.get_experiment_by_name(task):
                return experiment.experiment_id
            if tracking_server():  # the server decides where artifacts are
                return self.client.create_experiment(task)
            self.home.artifacts.mkdir(mode=0o700, exist_ok=True)
            return self.client.create_experiment(task, f"{artifact_root(self.home)}/{task}")

    @contextmanager
    def as_default(self) -> Generator[None]:
        """Set this database as MLflow's default: its registry partly ignores the client's URI."""
        import mlflow

        with _DEFAULT:
            previous = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
            mlflow.set_tracking_uri(self.uri)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(previous)  # pyright: ignore[reportArgumentType]

    @contextmanager
    def errors(self) -> Generator[None]:
        """Convert errors of MLflow's client.

        Raises:
            Unreachable: MLflow does not respond, or refuses the request.
        """
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            where = self.uri if tracking_server() else tracked_in(self.home)
            *_, cause = causes(error)  # MLflow's message repeats those of all libraries below it
            reason = (str(cause) or error.message).splitlines()[0]
            problem = f"MLflow refuses or does not respond ({reason})"
            fix = "start the server of MLFLOW_TRACKING_URI, or check the database; then repeat"
            raise Unreachable(where, problem, fix=fix) from error


def tracked_in(home: Home) -> str:
    """Return the place of the database without a password, for messages."""
    shared = address_of("mlflow")
    return spell(shared) if shared else str(home.mlflow_db)


def tracking_uri(home: Home) -> str:
    """Return the URI of the database: a schema of the shared one, or the file of the home."""
    return address_of("mlflow") or f"sqlite:///{home.mlflow_db}"


def artifact_root(home: Home) -> str:
    """Return the root of MLflow's artifacts: the object store, or a folder of the home."""
    shared = os.environ.get(object_store.VARIABLE)
    return object_store.artifacts_of(shared) if shared else home.artifacts.as_uri()


def open_registry(home: Home) -> Tracking | None:
    """Open the registry of a home without creating it; None before the first run.

    Raises:
        KinemillError: It is lost or damaged, does not respond, or another MLflow version wrote it.
    """
    return open_tracking(home) if home.has_registry or has_versions(home) else None


def open_tracking(home: Home) -> Tracking:
    """Open the MLflow server or database; create the database once, despite concurrent processes.

    Raises:
        KinemillError: The database does not respond, or another MLflow version wrote it.
    """
    prepare_mlflow()
    with _IMPORT:
        import_module("mlflow.tracking")
    uri = tracking_server() or tracking_uri(home)
    is_moved = tracking_server() is None and _make_database(home, uri)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(uri, uri)
    except MlflowException as error:
        raise KinemillError(
            tracked_in(home),
            f"MLflow cannot open it ({error.message.splitlines()[0]})",
            fix=f"mlflow db upgrade {uri}, after a backup; or update MLflow",
        ) from error
    if is_moved:  # only now: the client has compared the schema with that of the installed MLflow
        with lock(home, "mlflow"):
            _relocate(home.mlflow_db, home.artifacts.as_uri())
    return Tracking(home, uri, client)


def _make_database(home: Home, uri: str) -> bool:
    """Create the database unless it exists; return whether it stores paths of another folder."""
    if address_of("mlflow"):
        _make_shared(uri, artifact_root(home))
        return False
    return _make_local(home)


@cache  # once for each process
def _make_shared(uri: str, artifacts: str) -> None:
    """Create MLflow's tables; MLflow writes the row of the first experiment last."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    make_schema("mlflow")
    with held_by_all("mlflow tables"):
        SqlAlchemyStore(uri, artifacts).engine.dispose()


def _make_local(home: Home) -> bool:
    try:
        if not home.mlflow_db.is_file():
            with lock(home, "mlflow"):
                if not home.mlflow_db.is_file():
                    _refuse_if_lost(home)
                    _create_database(home)
        return _artifact_root(home.mlflow_db) != home.artifacts.as_uri()
    except sqlite3.OperationalError as error:
        if _MISSING not in str(error):
            raise  # another process holds the lock; a retry can succeed
        raise damaged_database(home, "holds no registry") from error
    except sqlite3.DatabaseError as error:
        raise damaged_database(home, f"is damaged or not a database of MLflow ({error})") from error


def damaged_database(home: Home, problem: str) -> KinemillError:
    """Return the error about a home's database file, with the restore command."""
    return KinemillError(home.mlflow_db, problem, fix=_RESTORE)


def has_versions(home: Home) -> bool:
    """Return whether the store has the audit log of a registered version."""
    return any(home.audit_logs.glob("*/000001.json"))


def _refuse_if_lost(home: Home) -> None:
    """Raise an error instead of replacing a lost registry by an empty one."""
    if has_versions(home):
        tasks = ", ".join(sorted(path.name for path in home.audit_logs.iterdir()))
        raise damaged_database(home, f"is missing, but there are versions of {tasks}")


def _create_database(home: Home) -> None:
    """Create MLflow's database of a home; `open_tracking` sets the paths of its artifacts.

    The caller holds the lock `mlflow`.
    """
    home.make()
    with tempfile.TemporaryDirectory(dir=home.root, prefix=".mlflow-") as aside:
        path = Path(aside) / "mlflow.db"
        path.write_bytes(empty_database())
        path.rename(home.mlflow_db)


@cache  # MLflow takes a second to migrate each new database through all its versions
def empty_database() -> bytes:
    """Return the bytes of MLflow's database without any run."""
    prepare_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix="kinemill-mlflow-") as folder:
        path = Path(folder) / "mlflow.db"
        SqlAlchemyStore(f"sqlite:///{path}", f"{path.parent.as_uri()}/artifacts").engine.dispose()
        return path.read_bytes()


def _artifact_root(database: Path) -> str | None:
    """Return the artifact root that the database stores, as a URI."""
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
