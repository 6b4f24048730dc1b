"""kinemill's own pages on Dagster's server: tasks, versions, and the reports in the home.

They are read-only; the console (`server/web_console`) has forms. Reports contain untrusted text,
such as names of recordings, so they are served in a sandbox in which they can neither load anything
nor send requests.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from kinemill.register.versions import Version
from kinemill.store.home import Home
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.home_state import registered_task, version_page_of
from kinemill_dagster.pipelines.server.rest.app import make_app
from kinemill_dagster.pipelines.server.rest.run_documents import Runs
from kinemill_dagster.pipelines.server.rest.service import Service
from kinemill_dagster.pipelines.server.web_console.layout import PREFIX as CONSOLE
from kinemill_dagster.pipelines.server.web_console.layout import problem_page, with_navigation
from kinemill_dagster.pipelines.server.web_console.routes import console_routes
from kinemill_dagster.resources.links import FILES, PREFIX, TASKS

_SUFFIXES = {".html", ".png", ".svg"}
_SANDBOX = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups allow-top-navigation-by-user-"
    "activation; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; media-src data:",
    "Cache-Control": "no-store",
}


def with_pages(app: ASGIApp, service: Service) -> Starlette:
    """Return Dagster's app with kinemill's pages, REST and the console; `/` is the start page."""
    pages = _Pages(service.home, service.runs)
    routes = [
        Route("/", pages.start),
        Route(PREFIX, lambda _: RedirectResponse("/")),
        Route(TASKS, lambda _: RedirectResponse("/")),  # which lists the tasks
        Route(f"{TASKS}/{{task}}", pages.task),
        Route(f"{TASKS}/{{task}}/{{number:int}}", pages.version),
        Route(f"{FILES}/{{path:path}}", pages.file),
        *console_routes(service),
        Route(f"{PREFIX}/{{path:path}}", lambda _: _none("There is no such page.")),
        Mount("/api/v1", make_app(service)),
        Mount("/", app),
    ]
    return Starlette(routes=routes)


class _Pages:
    """The pages; each request reads the current state."""

    def __init__(self, home: Home, runs: Runs) -> None:
        self._home = home
        self._runs = runs

    def start(self, _: Request) -> Response:
        from kinemill_dagster.pipelines.server.auth.start_page import start_page

        return _page(start_page(self._home, self._runs))

    def task(self, request: Request) -> Response:
        from kinemill.register.task_page import task_page

        name = request.path_params["task"]
        if name not in list_tasks():
            return _none(f"There is no task {name}.")
        page = task_page(name, self._versions(name), lambda number: f"{TASKS}/{name}/{number}")
        return _page(page, name)

    def version(self, request: Request) -> Response:
        number = request.path_params["number"]
        versions = self._versions(request.path_params["task"])
        match = next((version for version in versions if version.number == number), None)
        if match is None:
            return _none("There is no such version.")
        decide = f"{CONSOLE}/versions/{match.task}/{number}"
        return _page(version_page_of(self._home, match, decide), match.task)

    def file(self, request: Request) -> Response:
        path = (self._home.root / request.path_params["path"]).resolve()
        if not _may_show(self._home, path):
            return _none("There is no such report.")
        return FileResponse(path, headers=_SANDBOX)

    def _versions(self, task: str) -> list[Version]:
        return registered_task(self._home, task).versions if task in list_tasks() else []


def _may_show(home: Home, path: Path) -> bool:
    """Return whether a file is a report: a page or picture in the store, links resolved."""
    inside = path.is_relative_to(home.store.resolve())
    return inside and path.suffix in _SUFFIXES and path.is_file()


def _page(html: str, task: str = "") -> HTMLResponse:
    return HTMLResponse(with_navigation(html, task), headers=_SANDBOX)


def _none(why: str) -> HTMLResponse:
    return HTMLResponse(problem_page(why), 404, headers=_SANDBOX)
