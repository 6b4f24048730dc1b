"""Served routes of REST, `/api/v1`: their permissions, and the tasks that they change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
from kinemill_dagster.pipelines.server.auth.request import Request, check_texts
from kinemill_dagster.pipelines.server.rest.bodies import (
    Approve,
    Body,
    BuildDraft,
    CancelRun,
    CheckDraft,
    CheckSettings,
    CreateTask,
    DecideRecording,
    EditDraft,
    Promote,
    RecordTrials,
    Rollback,
    StartDraft,
    StartRun,
    TagRecording,
)

PREFIX = ("api", "v1")
_ANY = "*"

TaskOfRun = Callable[[str], str | None]


@dataclass(frozen=True)
class _Change:
    """An operation that changes something.

    Attributes:
        method: of HTTP.
        path: its segments; `*` stands for any one.
        body: model of its JSON body; None for one that carries a file.
        permission: the least permission that it needs.
    """

    method: str
    path: tuple[str, ...]
    body: type[Body] | None
    permission: Permission

    def matches(self, method: str, path: tuple[str, ...]) -> bool:
        """Return whether this is the operation of a request."""
        return (
            method == self.method
            and len(path) == len(self.path)
            and all(own in (_ANY, part) for own, part in zip(self.path, path, strict=True))
        )


_CHANGES = (
    _Change("POST", ("runs",), StartRun, Permission.OPERATE),
    _Change("POST", ("runs", _ANY, "cancel"), CancelRun, Permission.OPERATE),
    _Change("PUT", ("tasks", _ANY, "logs", _ANY), None, Permission.OPERATE),
    _Change("POST", ("tasks", _ANY, "check"), None, Permission.OPERATE),
    _Change("POST", ("tasks", _ANY, "settings"), CheckSettings, Permission.LOOK),
    _Change("POST", ("tasks", _ANY, "quarantine"), DecideRecording, Permission.OPERATE),
    _Change("POST", ("tasks", _ANY, "tags"), TagRecording, Permission.OPERATE),
    _Change("POST", ("drafts",), StartDraft, Permission.OPERATE),
    _Change("PUT", ("drafts", _ANY, "logs", _ANY), None, Permission.OPERATE),
    _Change("POST", ("drafts", _ANY, "build"), BuildDraft, Permission.OPERATE),
    _Change("POST", ("drafts", _ANY, "edit"), EditDraft, Permission.OPERATE),
    _Change("POST", ("drafts", _ANY, "check"), CheckDraft, Permission.OPERATE),
    # A task file sets the rules of its gate.
    _Change("POST", ("tasks",), CreateTask, Permission.PROMOTE),
    _Change("POST", ("models", _ANY, "promote"), Promote, Permission.PROMOTE),
    _Change("POST", ("models", _ANY, "approve"), Approve, Permission.PROMOTE),
    _Change("POST", ("models", _ANY, "trials"), RecordTrials, Permission.PROMOTE),
    _Change("POST", ("models", _ANY, "rollback"), Rollback, Permission.PROMOTE),
)


def rest_route(request: Request, task_of_run: TaskOfRun) -> Route:
    """Return the route of a request whose path begins with `PREFIX`.

    `task_of_run` returns None for unknown runs.

    Raises:
        Refused: It is not served.
    """
    if request.is_safe:
        return only(Permission.LOOK)
    path = request.segments[len(PREFIX) :]
    change = next((one for one in _CHANGES if one.matches(request.method, path)), None)
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
    if isinstance(body, CheckSettings | BuildDraft | EditDraft | CheckDraft):
        return NO_TASK
    if isinstance(body, StartDraft | CreateTask):
        return frozenset({body.name})
    if isinstance(body, StartRun):
        return frozenset({body.task})
    task = task_of_run(path[1]) if isinstance(body, CancelRun) else path[1]
    return None if task is None else frozenset({task})


def _permission(change: _Change, body: Body) -> Permission:
    """Return the permission of a request: changes of the gate, and overriding it, need more.

    `CheckSettings` and `EditDraft` start and store nothing, and `CreateTask` is for promoters.
    """
    if isinstance(body, StartRun) and sets_gate({**body.overrides, "presets": body.presets}):
        return Permission.PROMOTE
    if isinstance(body, Promote) and body.force:
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
