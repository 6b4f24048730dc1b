"""Run one server with the guard: `python -m kinemill_dagster.pipelines.server.auth SERVER`."""

import argparse
import logging
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kinemill.register.alias_switch import follow
from kinemill.store.home import Home
from kinemill.store.locks import current_user
from kinemill.store.project import WORKSPACE, require_project
from kinemill.task import list_tasks
from kinemill.tracking.database import artifact_root, prepare_mlflow, tracking_uri
from kinemill_dagster.pipelines.server.auth.dagster_site import DagsterSite, find_run
from kinemill_dagster.pipelines.server.auth.middleware import Guard
from kinemill_dagster.pipelines.server.auth.mlflow_view import MlflowView
from kinemill_dagster.pipelines.server.auth.pages import with_pages
from kinemill_dagster.pipelines.server.auth.permissions import Site
from kinemill_dagster.pipelines.server.auth.proxy import proxy_at
from kinemill_dagster.pipelines.server.auth.request import LARGEST
from kinemill_dagster.pipelines.server.auth.rules import HERE, Rules
from kinemill_dagster.pipelines.server.auth.users import Users, home_token

_SERVERS = ("dagster_webserver", "mlflow")
_STATEMENT = 15_000
_RECYCLE = 3600
_CONNECTIONS = 20  # ms, s: the webserver's own defaults
_GRACE = 3  # s for open responses at shutdown


@contextmanager
def dagster_app(home: Home, workspace: Path) -> Generator[tuple[Any, Site]]:
    """Return Dagster's web app with its code server, our pages, and REST."""
    from dagster import DagsterInstance

    from kinemill_dagster.pipelines.server.rest.launcher import Launcher
    from kinemill_dagster.pipelines.server.rest.run_documents import Runs
    from kinemill_dagster.pipelines.server.rest.service import Service
    from kinemill_dagster.resources.dagster_api import open_web_app
    from kinemill_dagster.resources.database_listeners import install_listeners

    install_listeners()
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT, _RECYCLE, _CONNECTIONS)
        with open_web_app(instance, workspace) as web:
            site = DagsterSite(task_of_job, lambda run: find_run(instance, run))
            service = Service(home, Runs(home, instance), Launcher(web.query, instance))
            yield with_pages(web.app, service), site


def task_of_job(job: str) -> str | None:
    """Return the task of a job, which is named for the task or begins with its name."""
    names = [name for name in list_tasks() if f"{job}_".startswith(f"{name}_")]
    return max(names, key=len, default=None)


@contextmanager
def mlflow_app(home: Home) -> Generator[tuple[Any, Site]]:
    """Return MLflow's web app, in one process."""
    from kinemill_dagster.resources.webhooks import (
        allowed_webhooks,
        limit_deliveries,
        prepare_webhooks,
    )

    prepare_mlflow()
    prepare_webhooks(home)
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # this process is the server
    os.environ |= {
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",  # the guard is stricter
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 1.29 GB otherwise, 0.54 GB without
        "MLFLOW_ENABLE_AI_GATEWAY": "false",  # hides its pages, whose routes the guard closes
        "MLFLOW_BACKEND_STORE_URI": tracking_uri(home),
    }
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: tracking_uri(home),
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: artifact_root(home),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    limit_deliveries()
    from kinemill_dagster.pipelines.server.auth.mlflow_records import MlflowRecords
    from kinemill_dagster.pipelines.server.auth.mlflow_site import MlflowSite

    def record_move(model: str, user: str) -> None:
        if model in list_tasks():
            follow(home, model, user)

    records = MlflowRecords(artifact_root(home))
    view = MlflowView(app, Path(str(pages.static_folder)) / "index.html")
    yield view, MlflowSite(records, lambda: allowed_webhooks(home), record_move)


def main(arguments: Sequence[str]) -> None:
    """Serve until a signal."""
    options = _parsed(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    home = Home.resolve()
    workspace = Path(options.workspace or require_project() / WORKSPACE)
    opened = mlflow_app(home) if options.server == "mlflow" else dagster_app(home, workspace)
    with opened as (app, site):
        _run(Guard(app, _rules(home, site, options)), options)


def _rules(home: Home, site: Site, options: argparse.Namespace) -> Rules:
    return Rules(
        site,
        Users(home),
        current_user(),
        home_token(home),
        hosts=HERE | {urlsplit(name).hostname or name for name in options.name},
        origins=frozenset(name for name in options.name if "://" in name),
        proxy=proxy_at(options.proxy),
        login=options.login,
        read_only=options.read_only,
    )


def _run(app: Guard, options: argparse.Namespace) -> None:
    import uvicorn

    from kinemill_dagster.pipelines.server.auth.connections import LimitedProtocol

    uvicorn.run(
        app,
        http=LimitedProtocol,
        host=options.host,
        port=options.port,
        log_level="warning",
        proxy_headers=False,  # there is no proxy between browser and server
        server_header=False,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
        ws_max_size=LARGEST,
        timeout_graceful_shutdown=_GRACE,
    )


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kinemill_dagster.pipelines.server.auth")
    parser.add_argument("server", choices=_SERVERS)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", action="append", default=[], help="host name of the server")
    parser.add_argument(
        "--proxy", action="append", default=[], help="address of a proxy that logs users in"
    )
    parser.add_argument("--workspace", help="workspace file of Dagster")
    parser.add_argument("--login", action="store_true")
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
