"""Routes of the console; they only read, and REST changes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from kinemill.errors import BadInput, KinemillError
from kinemill.register.versions import CHAMPION, aliases_of, find_version
from kinemill.task import load_task
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
    pages = _Pages(service)
    return [
        Route(
            f"{PREFIX}/console.js", lambda _: FileResponse(_SCRIPT, media_type="text/javascript")
        ),
        Route(f"{PREFIX}/new", pages.new),
        Route(f"{PREFIX}/drafts/{{draft}}", pages.draft),
        Route(f"{PREFIX}/start/{{task}}", pages.start),
        Route(f"{PREFIX}/runs/{{run}}", pages.run),
        Route(f"{PREFIX}/versions/{{task}}/{{number:int}}", pages.version),
        Route(f"{PREFIX}/compare/{{task}}", pages.compare),
        Route(f"{PREFIX}/quarantine/{{task}}", pages.quarantine),
        Route(f"{PREFIX}/recordings/{{task}}", pages.catalog),
        Route(f"{PREFIX}/recordings/{{task}}/{{recording}}", pages.recording),
    ]


class _Pages:
    """The pages; each request reads the current state."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def start(self, request: Request) -> Response:
        def page() -> str:
            task = load_task(self._service.task_file(request.path_params["task"]))
            return run_form(task, self._service.home)

        return _respond(page)

    def new(self, _: Request) -> Response:
        def page() -> str:
            folders = list_log_folders(self._service).folders
            return console_page("New task", "new_task.html.j2", folders=folders)

        return _respond(page)

    def draft(self, request: Request) -> Response:
        def page() -> str:
            user = request.headers[USER_HEADER]
            draft = open_draft(self._service.home, request.path_params["draft"], user)
            return draft_page(draft.document(), draft.require_preview())

        return _respond(page)

    def run(self, request: Request) -> Response:
        runs = self._service.runs
        return _respond(lambda: run_page(runs.document(runs.find(request.path_params["run"]))))

    def version(self, request: Request) -> Response:
        def page() -> str:
            task = request.path_params["task"]
            number = request.path_params["number"]
            self._service.task_file(task)
            version = find_version(self._service.home, task, f":{number}")
            return decision_page(version, aliases_of(self._service.home, task).get(CHAMPION))

        return _respond(page)

    def compare(self, request: Request) -> Response:
        def page() -> str:
            task = self._service.task(request.path_params["task"])
            home = self._service.home
            a, b = (request.query_params.get(key, "")[:_DIGITS] for key in "ab")
            versions = registered_task(home, task.name).versions
            return compare_page(task, home, versions, a, b)

        return _respond(page, _FORM_HEADERS)

    def quarantine(self, request: Request) -> Response:
        def page() -> str:
            task = self._service.task(request.path_params["task"])
            listed = held_back(task, self._service.home, 0, _HELD_BACK)
            return quarantine_page(task.name, listed.recordings, listed.total)

        return _respond(page)

    def catalog(self, request: Request) -> Response:
        def page() -> str:
            task = self._service.task(request.path_params["task"])
            query = read_request(request.query_params)
            return catalog_page(task.name, query, read_rows(task, self._service.home, query))

        return _respond(page, _FORM_HEADERS)

    def recording(self, request: Request) -> Response:
        def page() -> str:
            task = self._service.task(request.path_params["task"])
            page = recording_page(task, self._service.home, request.path_params["recording"])
            return with_navigation(page, task.name)

        return _respond(page, _SANDBOX)


def _respond(page: Callable[[], str], headers: Mapping[str, str] = _HEADERS) -> Response:
    """Return a page, or the error that it ends in as text."""
    try:
        return HTMLResponse(page(), headers=headers)
    except KinemillError as error:
        status = 404 if isinstance(error, BadInput) else 500
        return HTMLResponse(problem_page(str(error)), status, headers=_HEADERS)
