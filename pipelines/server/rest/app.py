"""The REST app: its routers, its errors, and its OpenAPI document."""

import logging

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from kinemill import __version__
from kinemill.errors import BadInput, Blocked, KinemillError, Unreachable, spell_failure
from kinemill.failures import as_known_failure
from kinemill.registry import nearest
from kinemill_dagster.pipelines.server.rest import drafts, logs, models, recordings, runs, tasks
from kinemill_dagster.pipelines.server.rest.documents import Problem
from kinemill_dagster.pipelines.server.rest.run_documents import UnknownRun
from kinemill_dagster.pipelines.server.rest.service import NotHere, Service
from kinemill_dagster.pipelines.server.web_console.layout import without_commands

ROUTERS = tuple(module.router for module in (tasks, drafts, logs, recordings, runs, models))
_log = logging.getLogger("kinemill.rest")
_DESCRIPTION = (
    "Tasks, logs, runs and models of one kinemill server, for programs. Send a token as "
    "`Authorization: Bearer TOKEN`; roles are those of the web pages."
)
_STATUS: tuple[tuple[type[KinemillError], int], ...] = (
    (NotHere, 404),
    (UnknownRun, 404),
    (BadInput, 400),
    (Blocked, 409),
    (Unreachable, 503),
)


def make_app(service: Service) -> FastAPI:
    """Return the app, to be mounted at `/api/v1`."""
    app = describe_app()
    app.state.service = service
    return app


def describe_app() -> FastAPI:
    """Return the app without a home: enough for its OpenAPI document."""
    app = FastAPI(
        title="kinemill",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # they load scripts from other sites
        redoc_url=None,
        responses={code: {"model": Problem} for code in (400, 401, 403, 404)},
        servers=[{"url": "/api/v1"}],
        root_path_in_servers=False,
        dependencies=[Depends(_refuse_unknown_query)],
    )
    for router in ROUTERS:
        app.include_router(router)
    for kind in (KinemillError, Exception):
        app.add_exception_handler(kind, _on_error)
    app.add_exception_handler(404, _on_unknown_path)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    return app


def _refuse_unknown_query(request: Request) -> None:
    """Refuse a query with a parameter that the operation does not have: a filter without effect.

    Raises:
        BadInput: There is one.
    """
    names = [field.alias for field in request.scope["route"].dependant.query_params]
    if unknown := [name for name in request.query_params if name not in names]:
        fix = nearest(unknown[0], names) if names else "leave it out"
        raise BadInput(f"query.{unknown[0]}", "is no parameter of this operation", fix=fix)


def _on_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that the user has to act on; any other one is a bug, which the log shows."""
    failure = as_known_failure(error)
    status = next((code for kind, code in _STATUS if isinstance(failure, kind)), 500)
    _log.warning("%s %s: %s", request.method, request.url.path, failure or spell_failure(error))
    text = str(failure) if failure else "an error in kinemill; the log of the server shows it"
    message = text.replace("--set ", "overrides ")  # as the field of a body is called
    return JSONResponse({"message": message, "text": without_commands(text)}, status)


def _on_unknown_path(request: Request, _: Exception) -> JSONResponse:
    """Answer a request of a path that does not exist."""
    message = f"{request.url.path} does not exist; /api/v1/openapi.json lists all paths"
    return JSONResponse({"message": message, "text": message}, 404)


def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid query string or body: the first problem."""
    problem = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(part) for part in problem.get("loc", ()))
    message = f"{where}: {problem.get('msg', error)}"
    return JSONResponse({"message": message, "text": message}, 400)
