"""Private names of Dagster in use; no other module imports `dagster._*`.

Each name is listed with the reason why no public API replaces it:

| name | use | why no public API does it |
|---|---|---|
| `CheckRunHealthResult`, `WorkerStatus` | result of a launcher's `check_run_worker_health` | the
  method is public, the classes that it returns are not exported |
| `load_workspace_process_context_from_yaml_paths` | serve Dagster's web app behind the guard, and
  launch runs from REST | the command `dagster-webserver` accepts no middleware |

`FreshnessPolicy` is public, but in `dagster` only since 1.12.

`make test-dagster` runs the tests with three minor versions. After a move in Dagster only this
module changes.
"""

import asyncio
import json
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster.preview.freshness import FreshnessPolicy
from dagster_shared.serdes import deserialize_value

from kinemill.store.versioned_cache import database_version

__all__ = [
    "CheckRunHealthResult",
    "FreshnessPolicy",
    "GraphqlFailed",
    "WebApp",
    "WorkerStatus",
    "open_web_app",
    "origin_of",
    "run_storage_version",
]
LOCATION = "kinemill"  # name of the code location in workspace.yaml and pyproject.toml
REPOSITORY = "__repository__"  # Dagster's name of a location's definitions


def origin_of(job: str) -> Any:
    """Return the origin of a job of the project's code location, for runs in this process.

    Dagster's pages and daemon find a run's job by its origin, to show, re-execute or retry it. Its
    class is private, its stored form is not: Dagster reads that of all earlier versions.
    """
    location = {"__class__": "RegisteredRepositoryLocationOrigin", "location_name": LOCATION}
    repository = {
        "__class__": "ExternalRepositoryOrigin",
        "repository_location_origin": location,
        "repository_name": REPOSITORY,
    }
    origin = {
        "__class__": "ExternalPipelineOrigin",
        "external_repository_origin": repository,
        "pipeline_name": job,
    }
    return deserialize_value(json.dumps(origin))


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
def open_web_app(instance: dg.DagsterInstance, workspace: Path) -> Generator[WebApp]:
    """Open Dagster's webserver with the code servers of a workspace file."""
    from dagster._core.workspace.load import load_workspace_process_context_from_yaml_paths
    from dagster_graphql.schema import create_schema
    from dagster_webserver.app import create_app_from_workspace_process_context
    from dagster_webserver.version import __version__

    with load_workspace_process_context_from_yaml_paths(
        instance, [str(workspace)], __version__
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
    return _version(instance, "runs.db")


def event_log_version(instance: dg.DagsterInstance, run: str) -> Hashable:
    """Return a value that changes with each event of a run; None if it is unknown."""
    return _version(instance, f"runs/{run}.db")


def _version(instance: dg.DagsterInstance, name: str) -> Hashable:
    """Return the version of a file of Dagster's storage, or of the shared database."""
    folder = Path(instance.root_directory) / "history"
    return database_version(folder / name, "dagster") if instance.is_persistent else None
