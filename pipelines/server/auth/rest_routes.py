"""Served routes of REST, `/api/v1`: their permissions, and the tasks that they change.

The endpoints of `server/rest` declare permission and body; one without a permission is not served.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from fastapi.routing import APIRoute
from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill.task.gate_settings import gate_settings
from kinemill.task.presets import preset_overrides
from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.permissions import (
    NO_TASK,
    Decision,
    Permission,
    Route,
    only,
)
from kinemill_dagster.pipelines.server.auth.request import SAFE, Request, check_texts
from kinemill_dagster.pipelines.server.rest import bodies
from kinemill_dagster.pipelines.server.rest.bodies import Body

PREFIX = ("api", "v1")

TaskOfRun = Callable[[str], str | None]


@dataclass(frozen=True)
class _Change:
    """An operation that changes something; `body` is None for one that carries a file."""

    method: str
    path: re.Pattern[str]
    body: type[Body] | None
    permission: Permission


@cache
def _changes() -> tuple[_Change, ...]:
    from kinemill_dagster.pipelines.server.rest.app import ROUTERS

    return tuple(
        _Change(method, route.path_regex, _body(route), vars(route.endpoint)["permission"])
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in (route.methods or set()) - SAFE
    )


def _body(route: APIRoute) -> type[Body] | None:
    """Return the model of the JSON body of an operation."""
    kinds = get_type_hints(route.endpoint).values()
    models = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Body))
    return next(models, None)


def rest_route(request: Request, task_of_run: TaskOfRun) -> Route:
    """Return the route of a request whose path begins with `PREFIX`.

    `task_of_run` returns None for unknown runs.

    Raises:
        Refused: It is not served.
    """
    if request.is_safe:
        return only(Permission.LOOK)
    path = request.segments[len(PREFIX) :]
    where = "/" + "/".join(path)
    changes = [change for change in _changes() if change.path.fullmatch(where)]
    change = next((change for change in changes if change.method == request.method), None)
    if change is None:
        raise Refused(405, f"{request.method} is not served at {request.path}")

    def decide(request: Request, _user: str) -> Decision:
        if change.body is None:
            tasks = NO_TASK if path[0] == "drafts" else frozenset({path[1]})
            return Decision(change.permission, tasks, changes=path[1])
        body = _checked(change.body, request)
        tasks = _tasks(path, body, task_of_run)
        changes = ", ".join(tasks or [])
        return Decision(_permission(change, body), tasks, body.model_dump(mode="json"), changes)

    return Route(decide, "json" if change.body else "stream", change.permission)


def _tasks(path: tuple[str, ...], body: Body, task_of_run: TaskOfRun) -> frozenset[str] | None:
    """Return the tasks that a request changes; None if the run is unknown."""
    # A draft belongs to the user who started it, and changes no task.
    if isinstance(
        body, bodies.CheckSettings | bodies.BuildDraft | bodies.EditDraft | bodies.CheckDraft
    ):
        return NO_TASK
    if isinstance(body, bodies.StartDraft | bodies.CreateTask):
        return frozenset({body.name})
    if isinstance(body, bodies.StartRun):
        return frozenset({body.task})
    task = task_of_run(path[1]) if isinstance(body, bodies.CancelRun) else path[1]
    return None if task is None else frozenset({task})


def _permission(change: _Change, body: Body) -> Permission:
    """Return the permission of a request: changes of the gate, and overriding it, need more.

    `CheckSettings` and `EditDraft` start and store nothing, and `CreateTask` is for promoters.
    """
    if isinstance(body, bodies.StartRun) and sets_gate({**body.overrides, "presets": body.presets}):
        return Permission.PROMOTE
    if isinstance(body, bodies.Promote) and body.force:
        return Permission.ADMINISTER
    return change.permission


def sets_gate(overrides: Mapping[str, object]) -> bool:
    """Return whether overrides, or the presets that they list, change settings of the gate.

    Raises:
        Refused: There is no such preset.
    """
    presets: Any = overrides.get("presets")
    names = [str(preset) for preset in presets] if isinstance(presets, list) else []
    try:
        return any(gate_settings({**preset_overrides(names), **overrides}))
    except BadInput as error:
        raise Refused(400, str(error)) from error


def _checked(kind: type[Body], request: Request) -> Body:
    """Validate a body with the model that the server uses."""
    check_texts(request.body)
    try:
        return kind.model_validate(request.body or {})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the body"
        raise Refused(400, f"{where}: {problem['msg']}") from error
