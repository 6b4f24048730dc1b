"""Context of REST endpoints: the home, the runs, and the user of a request."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.store.locks import acting_as
from kinemill.task import Task, list_tasks, load_task
from kinemill.task.presets import preset_overrides
from kinemill_dagster.pipelines.server.rest.launcher import Launcher
from kinemill_dagster.pipelines.server.rest.run_documents import Runs
from kinemill_dagster.resources.tags import USER_HEADER


class NotHere(BadInput):
    """There is no such task, version or file."""


@dataclass(frozen=True)
class Service:
    """The home of the server, its runs, and their launcher."""

    home: Home
    runs: Runs
    launcher: Launcher

    def task(self, name: str) -> Task:
        """Load a task of the project.

        Raises:
            NotHere: There is no such task; a name is never a path here.
            TaskError: Its file is invalid.
        """
        return load_task(self.task_file(name))

    def overridden(
        self, name: str, overrides: Mapping[str, object], presets: list[str]
    ) -> tuple[Task, Json]:
        """Return a task with overrides, by the rules for the web, and all overrides.

        Raises:
            NotHere: There is no such task.
            BadInput: An override is invalid, or names code, a file or a machine.
        """
        named = preset_overrides(presets, self.task(name)) if presets else {}
        changes = {**named, **overrides}
        return load_task(self.task_file(name), changes, web=True), changes

    def task_file(self, name: str) -> Path:
        """Return the file of a task of the project.

        Raises:
            NotHere: There is no such task.
        """
        tasks = list_tasks()
        if name not in tasks:
            raise NotHere(f"task {name!r}", "unknown", fix=nearest(name, list(tasks)))
        return tasks[name]


def _service(request: Request) -> Service:
    return request.app.state.service


ServiceOf = Annotated[Service, Depends(_service)]


def user_of(request: Request) -> str:
    """Return the user that the guard named."""
    return request.headers[USER_HEADER]


def as_user(request: Request) -> AbstractContextManager[None]:
    """Make the user of a request the author of changes."""
    return acting_as(user_of(request))
