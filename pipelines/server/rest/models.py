"""Registered models: list, look up, download, promote and roll back."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse

from kinemill.errors import BadInput
from kinemill.register.champion_change import ChampionChange
from kinemill.register.lookup import VersionDocument, VersionList, show
from kinemill.register.promotion import approve, promote, record_trials, rollback
from kinemill.register.pulls import OfHome
from kinemill.register.versions import Version, bundle_folder, find_version
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.home_state import RegisteredTask, registered_task
from kinemill_dagster.pipelines.server.auth.permissions import Permission, needs
from kinemill_dagster.pipelines.server.rest.bodies import Approve, Promote, RecordTrials, Rollback
from kinemill_dagster.pipelines.server.rest.documents import ModelLine, ModelList, ResolvedVersion
from kinemill_dagster.pipelines.server.rest.service import NotHere, Service, ServiceOf, as_user

router = APIRouter(tags=["models"])
_WHICH = r"^(@[\w-]{1,100}|[0-9]{1,9})$"

Which = Annotated[
    str, PathParameter(pattern=_WHICH, description="Number of a version, or `@` and an alias.")
]


@router.get("/models")
def list_models(service: ServiceOf) -> ModelList:
    """List the tasks with registered versions."""
    tasks = {name: registered_task(service.home, name) for name in list_tasks()}
    return ModelList(models=[_line(name, task) for name, task in tasks.items() if task.versions])


@router.get("/models/{task}")
def show_versions(task: str, service: ServiceOf) -> VersionList:
    """List the versions of a task, newest first."""
    service.task_file(task)
    return registered_task(service.home, task).listing


@router.get("/models/{task}/{which}", response_model_exclude={"folder", "report"})
def show_version(task: str, which: Which, service: ServiceOf) -> VersionDocument:
    """Return one version: decision of the gate, metrics, lineage, and files with sha256."""
    named = _colon(which)
    _version(service, task, named)
    return show(task, service.home, named)


@router.get("/models/{task}/{which}/resolve")
def resolve_version(task: str, which: Which, service: ServiceOf) -> ResolvedVersion:
    """Return the version that a robot should load, with its files."""
    _version(service, task)
    try:
        ref = OfHome(service.home, task, _colon(which)).resolve()
    except BadInput as error:
        raise NotHere(error.where, error.problem, fix=error.fix) from error
    folder = _bundle(service, task, ref.version)
    return ResolvedVersion(
        task=task,
        version=ref.version,
        sums=ref.sums,
        provisional=ref.provisional,
        files=read_sums(folder),
    )


@router.get("/models/{task}/{version}/files/{path:path}")
def download_file(task: str, version: int, path: str, service: ServiceOf) -> FileResponse:
    """Download a file of a version; `sha256sums` lists them."""
    folder = _bundle(service, task, version)
    if path != SUMS and path not in read_sums(folder):
        raise NotHere(f"{task} version {version}", f"has no file {path!r}")
    return FileResponse(folder / path, media_type="application/octet-stream")


@router.post("/models/{task}/promote")
@needs(Permission.PROMOTE)
def promote_version(
    task: str, body: Promote, request: Request, service: ServiceOf
) -> ChampionChange:
    """Make a version champion that passed the gate."""
    settings = {"force": body.force, "why": body.why, **_expected(body)}
    return _decide(service, request, task, promote, f":{body.version}", **settings)


@router.post("/models/{task}/approve")
@needs(Permission.PROMOTE)
def approve_version(
    task: str, body: Approve, request: Request, service: ServiceOf
) -> ChampionChange:
    """Approve a version for the rule `approval`, and run the gate again; it may still refuse."""
    settings = {"breaking": body.breaking, "why": body.why}
    return _decide(service, request, task, approve, f":{body.version}", **settings)


@router.post("/models/{task}/trials")
@needs(Permission.PROMOTE)
def record_robot_trials(
    task: str, body: RecordTrials, request: Request, service: ServiceOf
) -> ChampionChange:
    """Record counted trials of a version on a robot, and run the gate again."""
    counts = {"successes": body.success, "of": body.of, "note": body.note}
    return _decide(service, request, task, record_trials, f":{body.version}", **counts)


@router.post("/models/{task}/rollback")
@needs(Permission.PROMOTE)
def roll_back(task: str, body: Rollback, request: Request, service: ServiceOf) -> ChampionChange:
    """Roll back to an earlier champion."""
    which = "" if body.to is None else f":{body.to}"
    settings = {"why": body.why, **_expected(body)}
    return _decide(service, request, task, rollback, which, **settings)


def _decide(
    service: Service,
    request: Request,
    task: str,
    decide: Callable[..., ChampionChange],
    which: str,
    **settings: object,
) -> ChampionChange:
    """Decide about a version of a task as the user of a request."""
    loaded = service.task(task)
    _version(service, task, which)
    with as_user(request):
        return decide(loaded, service.home, which, **settings)


def _expected(body: Promote | Rollback) -> dict[str, int | None]:
    return {} if body.expected is None else {"expected": body.expected or None}


def _line(name: str, task: RegisteredTask) -> ModelLine:
    champion = task.champion.number if task.champion else None
    return ModelLine(task=name, champion=champion, versions=len(task.versions))


def _colon(which: str) -> str:
    """Return the name of a version as the registry expects it: `@alias` or `:number`."""
    return which if which.startswith("@") else f":{which}"


def _version(service: Service, task: str, which: str = "") -> Version:
    """Return a version of a task of the project.

    Raises:
        NotHere: There is none.
    """
    service.task_file(task)
    try:
        return find_version(service.home, task, which)
    except BadInput as error:
        raise NotHere(error.where, error.problem, fix=error.fix) from error


def _bundle(service: Service, task: str, version: int) -> Path:
    return bundle_folder(service.home, _version(service, task, f":{version}"))
