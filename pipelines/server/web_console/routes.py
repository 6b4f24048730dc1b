"""Routes of the console; they only read, and REST changes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from kinemill.errors import BadInput, KinemillError
from kinemill.register.versions import CHAMPION, aliases_of, find_version
from kinemill.task import Task
from kinemill.validate.recording_status import held_back
from kinemill_dagster.pipelines.home_state import registered_task
from kinemill_dagster.pipelines.server.rest.draft_store import open_draft
from kinemill_dagster.pipelines.server.rest.drafts import list_log_folders
from kinemill_dagster.pipelines.server.rest.service import Service
from kinemill_dagster.pipelines.server.web_console.catalog_page import (
    catalog_page,
    read_request,
    read_rows,
    recording_page,
)
from kinemill_dagster.pipelines.server.web_console.draft_page import draft_page
from kinemill_dagster.pipelines.server.web_console.layout import (
    PREFIX,
    console_page,
    problem_page,
    with_navigation,
)
from kinemill_dagster.pipelines.server.web_console.pages import (
    compare_page,
    decision_page,
    quarantine_page,
    run_page,
)
from kinemill_dagster.pipelines.server.web_console.run_form import run_form
from kinemill_dagster.resources.tags import USER_HEADER

_SCRIPT = Path(__file__).with_name("console.js")
_HELD_BACK = 100  # recordings on a page
_DIGITS = 9  # of the number of a version
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
}
# The query of the catalog is a form that only reads: the browser sends it as a part of the address.
_FORM_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": _HEADERS["Content-Security-Policy"].replace(
        "form-action 'none'", "form-action 'self'"
    ),
}
_SANDBOX = {  # a page of recorded names and values: it neither loads nor sends anything
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; style-src "
    "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:",
    "Cache-Control": "no-store",
}


def console_routes(service: Service) -> list[Route]:
    """Return the routes of the console below `PREFIX`."""
    return [
        Route(
            f"{PREFIX}/console.js", lambda _: FileResponse(_SCRIPT, media_type="text/javascript")
        ),
        *(
            Route(f"{PREFIX}/{path}", _endpoint(service, page, headers))
            for path, (page, headers) in _PAGES.items()
        ),
    ]


def _endpoint(
    service: Service, page: Callable[[Service, Request], str], headers: Mapping[str, str]
) -> Callable[[Request], Response]:
    """Return the endpoint of a page, or of the error that it ends in as text."""

    def respond(request: Request) -> Response:
        try:
            return HTMLResponse(page(service, request), headers=headers)
        except KinemillError as error:
            status = 404 if isinstance(error, BadInput) else 500
            return HTMLResponse(problem_page(str(error)), status, headers=_HEADERS)

    return respond


def _new(service: Service, _: Request) -> str:
    folders = list_log_folders(service).folders
    return console_page("New task", "new_task.html.j2", folders=folders)


def _draft(service: Service, request: Request) -> str:
    user = request.headers[USER_HEADER]
    draft = open_draft(service.home, request.path_params["draft"], user)
    return draft_page(draft.document(), draft.require_preview())


def _start(service: Service, request: Request) -> str:
    return run_form(_task(service, request), service.home)


def _run(service: Service, request: Request) -> str:
    return run_page(service.runs.document(service.runs.find(request.path_params["run"])))


def _version(service: Service, request: Request) -> str:
    task, number = request.path_params["task"], request.path_params["number"]
    service.task_file(task)
    version = find_version(service.home, task, f":{number}")
    return decision_page(version, aliases_of(service.home, task).get(CHAMPION))


def _compare(service: Service, request: Request) -> str:
    task = _task(service, request)
    a, b = (request.query_params.get(key, "")[:_DIGITS] for key in "ab")
    versions = registered_task(service.home, task.name).versions
    return compare_page(task, service.home, versions, a, b)


def _quarantine(service: Service, request: Request) -> str:
    task = _task(service, request)
    listed = held_back(task, service.home, 0, _HELD_BACK)
    return quarantine_page(task.name, listed.recordings, listed.total)


def _catalog(service: Service, request: Request) -> str:
    task = _task(service, request)
    query = read_request(request.query_params)
    return catalog_page(task.name, query, read_rows(task, service.home, query))


def _recording(service: Service, request: Request) -> str:
    task = _task(service, request)
    page = recording_page(task, service.home, request.path_params["recording"])
    return with_navigation(page, task.name)


def _task(service: Service, request: Request) -> Task:
    return service.task(request.path_params["task"])


_PAGES = {
    "new": (_new, _HEADERS),
    "drafts/{draft}": (_draft, _HEADERS),
    "start/{task}": (_start, _HEADERS),
    "runs/{run}": (_run, _HEADERS),
    "versions/{task}/{number:int}": (_version, _HEADERS),
    "compare/{task}": (_compare, _FORM_HEADERS),
    "quarantine/{task}": (_quarantine, _HEADERS),
    "recordings/{task}": (_catalog, _FORM_HEADERS),
    "recordings/{task}/{recording}": (_recording, _SANDBOX),
}
