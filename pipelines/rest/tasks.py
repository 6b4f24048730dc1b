"""Tasks of the project: list, and settings of one."""

from fastapi import APIRouter

from kinemill.errors import KinemillError
from kinemill.register.versions import CHAMPION, versions_of
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.rest.bodies import CheckSettings
from kinemill_dagster.pipelines.rest.documents import Settings, TaskDocument, TaskLine, TaskList
from kinemill_dagster.pipelines.rest.service import Service, ServiceOf

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
def check_settings(task: str, body: CheckSettings, service: ServiceOf) -> Settings:
    """Check overrides and presets without starting a run; return all settings with them."""
    changed = service.overridden(task, body.overrides, body.presets)[0]
    return Settings(settings=changed.model_dump(mode="json", by_alias=True))


def _line(service: Service, name: str) -> TaskLine:
    learn, problem = None, None
    try:
        learn = service.task(name).learn.type
    except KinemillError as error:
        problem = str(error)
    versions = versions_of(service.home, name)
    return TaskLine(
        name=name,
        problem=problem,
        learn=learn,
        versions=len(versions),
        champion=next((item.number for item in versions if CHAMPION in item.aliases), None),
        last_run=next(iter(service.runs.latest(1, name)), None),
    )
