"""Served routes of REST, `/api/v1`: their permissions, and the tasks that they change."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill.task.presets import preset_overrides
from kinemill_dagster.pipelines.auth.calls import Refused
from kinemill_dagster.pipelines.auth.permissions import NO_TASK, Decision, Permission, Route, only
from kinemill_dagster.pipelines.auth.request import Request
from kinemill_dagster.pipelines.rest.documents import (
    Body,
    CancelRun,
    Installation,
    Promote,
    Rollback,
    StartRun,
)

PREFIX = ("api", "v1")
GATE = frozenset({"promote", "verify"})  # parts of a task that decide what becomes champion
_B = TypeVar("_B", bound=Body)


def rest_route(request: Request, task_of_run: Callable[[str], str | None]) -> Route:
    """Return the route of a request whose path begins with `PREFIX`.

    Args:
        request: the request.
        task_of_run: returns the task of a run, given by its whole id; None for unknown runs.

    Raises:
        Refused: it is not served.
    """
    if request.is_safe:
        return only(Permission.LOOK)
    least, body = Permission.OPERATE, "json"
    match request.method, request.segments[len(PREFIX) :]:
        case "POST", ("runs",):
            decide = _start
        case "POST", ("runs", run, "cancel"):
            decide = _cancels(run, task_of_run)
        case ("PUT", ("tasks", task, "logs", _)) | ("POST", ("tasks", task, "check")):
            decide, body = _sends_log(task), "stream"
        case "POST", ("models", task, "promote"):
            decide, least = _promotes(task), Permission.PROMOTE
        case "POST", ("models", task, "rollback"):
            decide, least = _rolls_back(task), Permission.PROMOTE
        case "POST", ("models", _, _, "installations"):
            decide, least = _record, Permission.LOOK
        case _:
            raise Refused(405, f"{request.method} is not served at {request.path}")
    return Route(decide, body, least)


def _start(request: Request, _user: str) -> Decision:
    """Launches that change the gate need the permission to promote."""
    body = _checked(StartRun, request)
    try:
        presets = preset_overrides(body.presets) if body.presets else {}
    except BadInput as error:
        raise Refused(400, str(error)) from error
    parts = {str(key).partition(".")[0] for key in (*presets, *body.overrides)}
    permission = Permission.PROMOTE if parts & GATE else Permission.OPERATE
    return _decision(permission, body.task, body, f"start a run of {body.task}")


def _cancels(
    run: str, task_of_run: Callable[[str], str | None]
) -> Callable[[Request, str], Decision]:
    def decide(request: Request, _user: str) -> Decision:
        body, task = _checked(CancelRun, request), task_of_run(run)
        tasks = None if task is None else frozenset({task})
        return Decision(Permission.OPERATE, tasks, _json(body), f"cancel run {run}")

    return decide


def _sends_log(task: str) -> Callable[[Request, str], Decision]:
    decision = Decision(Permission.OPERATE, frozenset({task}), changes=f"a log of {task}")
    return lambda _request, _user: decision


def _promotes(task: str) -> Callable[[Request, str], Decision]:
    def decide(request: Request, _user: str) -> Decision:
        body = _checked(Promote, request)
        permission = Permission.ADMINISTER if body.force else Permission.PROMOTE
        return _decision(permission, task, body, f"promote {task}:{body.version}")

    return decide


def _rolls_back(task: str) -> Callable[[Request, str], Decision]:
    def decide(request: Request, _user: str) -> Decision:
        return _decision(Permission.PROMOTE, task, _checked(Rollback, request), f"roll back {task}")

    return decide


def _record(request: Request, _user: str) -> Decision:
    """Robots report what they installed; a token that only reads is enough."""
    return Decision(Permission.LOOK, NO_TASK, _json(_checked(Installation, request)))


def _decision(permission: Permission, task: str, body: Body, changes: str) -> Decision:
    return Decision(permission, frozenset({task}), _json(body), changes)


def _json(body: Body) -> Mapping[str, Any]:
    return body.model_dump(mode="json")


def _checked(kind: type[_B], request: Request) -> _B:
    """Validate a body with the model that the server uses.

    Raises:
        Refused: it is invalid.
    """
    try:
        return kind.model_validate(request.body or {})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the body"
        raise Refused(400, f"{where}: {problem['msg']}") from error
