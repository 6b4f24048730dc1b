"""Tasks of the project: list, and settings of one."""

from fastapi import APIRouter

from kinemill.errors import KinemillError
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.home_state import registered_task, valid_task
from kinemill_dagster.pipelines.server.auth.permissions import Permission, needs
from kinemill_dagster.pipelines.server.rest.bodies import CheckSettings
from kinemill_dagster.pipelines.server.rest.documents import (
    Settings,
    TaskDocument,
    TaskLine,
    TaskList,
)
from kinemill_dagster.pipelines.server.rest.service import Service, ServiceOf

router = APIRouter(tags=["tasks"])


@router.get("/tasks")
def show_tasks(service: ServiceOf) -> TaskList:
    """List the tasks of the project, those with an invalid file included."""
    return TaskList(tasks=[_line(service, name) for name in list_tasks()])


@router.get("/tasks/{task}")
def show_task(task: str, service: ServiceOf) -> TaskDocument:
    """Return a task with all settings."""
    settings = service.task(task).model_dump(mode="json", by_alias=True)
    return TaskDocument(**_line(service, task).model_dump(), settings=settings)


@router.post("/tasks/{task}/settings")
@needs(Permission.LOOK)
def check_settings(task: str, body: CheckSettings, service: ServiceOf) -> Settings:
    """Check overrides and presets without starting a run; return all settings with them."""
    changed = service.overridden(task, body.overrides, body.presets)[0]
    return Settings(settings=changed.model_dump(mode="json", by_alias=True))


def _line(service: Service, name: str) -> TaskLine:
    learn = None
    problem = None
    try:
        learn = valid_task(service.task_file(name)).learn.type
    except KinemillError as error:
        problem = str(error)
    registered = registered_task(service.home, name)
    return TaskLine(
        name=name,
        problem=problem,
        learn=learn,
        versions=len(registered.versions),
        champion=registered.champion.number if registered.champion else None,
        last_run=next(iter(service.runs.latest(1, name)), None),
    )
