"""Private names of Dagster in use; no other module imports `dagster._*`.

Each name is listed with the reason why no public API replaces it:

| name | use | why no public API does it |
|---|---|---|
| `CheckRunHealthResult`, `WorkerStatus` | result of a launcher's `check_run_worker_health` | the
  method is public, the classes that it returns are not exported |
| `LaunchRunContext` | argument of a launcher's `launch_run` | type of the method to override |
| `GRPC_INFO_TAG` | address of the code server that started a run | recorded in this tag only |
| `InstanceRef`, `NoOpComputeLogManager` | open an instance that captures no output |
  `DagsterInstance.get` accepts no changed settings |
| `PostProcessingError` | reject run config before a launch | any other exception becomes a server
  error in the launchpad instead of an error of the field |
| `WorkspaceProcessContext`, `WorkspaceFileTarget` | serve Dagster's web app behind the guard,
  and launch runs from REST | the command `dagster-webserver` accepts no middleware |
| `DagsterGrpcClient`, `DagsterUserCodeUnreachableError` | reload a code server; find out whether
  it answers | only the web pages can reload one |
| `SqliteRunStorage`, `SqliteEventLogStorage` | the files whose versions are keys of caches | the
  storage has no counter of changes |
| `get_alembic_config`, `sqlite_run_storage` | the schemas that the installed Dagster can migrate |
  `DagsterInstance.upgrade` does not check before it starts |

`FreshnessPolicy` is public, but in `dagster` only since 1.12.

`make test-dagster` runs the tests with three minor versions. After a move in Dagster only this
module changes.
"""

import asyncio
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._config.errors import PostProcessingError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.base import LaunchRunContext
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster.preview.freshness import FreshnessPolicy

from kinemill.store.versioned_cache import database_version

__all__ = [
    "GRPC_INFO_TAG",
    "CheckRunHealthResult",
    "FreshnessPolicy",
    "GraphqlFailed",
    "LaunchRunContext",
    "PostProcessingError",
    "WebApp",
    "WorkerStatus",
    "can_migrate",
    "is_answering",
    "open_uncaptured",
    "open_web_app",
    "reload_code",
    "run_storage_version",
]
_RELOAD = 600  # s, for the definitions of hundreds of tasks on a busy machine


def open_uncaptured(folder: Path) -> dg.DagsterInstance:
    """Open the instance of a folder with `dagster.yaml`, without capture of step output."""
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

    manager = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
    ref = InstanceRef.from_dir(str(folder), overrides={"compute_logs": manager})
    return dg.DagsterInstance.from_ref(ref)


@dataclass(frozen=True)
class WebApp:
    """Dagster's webserver: its app, and GraphQL without network requests.

    Attributes:
        app: the app (ASGI).
        query: runs a GraphQL operation as part of a web request with the user in its headers;
            returns its `data`, or raises `GraphqlFailed`.
    """

    app: Any
    query: Callable[[Any, str, Mapping[str, object]], Mapping[str, Any]]


class GraphqlFailed(Exception):
    """A GraphQL operation failed, with Dagster's message."""


@contextmanager
def open_web_app(
    instance: dg.DagsterInstance, workspace: Path, *, read_only: bool
) -> Generator[WebApp]:
    """Open Dagster's webserver with the code servers of a workspace file."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_graphql.schema import create_schema
    from dagster_webserver.app import create_app_from_workspace_process_context
    from dagster_webserver.version import __version__

    target = WorkspaceFileTarget([str(workspace)])
    with WorkspaceProcessContext(
        instance, target, version=__version__, read_only=read_only
    ) as context:
        schema = create_schema()

        def query(request: Any, text: str, variables: Mapping[str, object]) -> Mapping[str, Any]:
            with context.create_request_context(request) as opened:
                operation = schema.execute_async(
                    text, context_value=opened, variable_values=dict(variables)
                )
                result = asyncio.run(operation)
            if result.errors or result.data is None:
                raise GraphqlFailed(str((result.errors or ["no data"])[0]))
            return result.data

        app = create_app_from_workspace_process_context(context, live_data_poll_rate=2000)
        yield WebApp(app, query)


def run_storage_version(instance: dg.DagsterInstance) -> Hashable:
    """Return a value that changes with each change of a run; None if it is unknown."""
    from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
    from dagster_postgres import PostgresRunStorage

    storage: Any = instance.run_storage
    if isinstance(storage, PostgresRunStorage):
        return database_version(Path(), "dagster")
    if isinstance(storage, SqliteRunStorage):
        address: str = storage._conn_string  # pyright: ignore[reportPrivateUsage]
        return database_version(Path(address.removeprefix("sqlite:///")), "dagster")
    return None


def event_log_version(instance: dg.DagsterInstance, run: str) -> Hashable:
    """Return a value that changes with each event of a run; None if it is unknown."""
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from dagster_postgres import PostgresEventLogStorage

    storage: Any = instance.event_log_storage
    if isinstance(storage, PostgresEventLogStorage):
        return database_version(Path(), "dagster")
    if isinstance(storage, SqliteEventLogStorage):
        return database_version(Path(storage.path_for_shard(run)), "dagster")
    return None


def can_migrate(revision: str) -> bool:
    """Return whether the installed Dagster can migrate its storage from a schema revision."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.sql import get_alembic_config

    scripts = ScriptDirectory.from_config(get_alembic_config(sqlite_run_storage.__file__))
    try:
        return bool(scripts.get_revision(revision))
    except CommandError:
        return False


def reload_code(socket: Path) -> bool:
    """Reload the definitions of the code server on a Unix socket; return whether it succeeded."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(socket)).reload_code(timeout=_RELOAD)
    except DagsterUserCodeUnreachableError:
        return False
    return True


def is_answering(socket: str) -> bool:
    """Return whether the code server on a Unix socket and its proxied server respond."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=socket).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True
