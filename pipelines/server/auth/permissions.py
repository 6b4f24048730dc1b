"""Permissions of requests, and the tasks whose state they change.

Each server has a `Site` that lists the served routes. Other routes are closed, so that a new
version of Dagster or MLflow does not open any.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol, TypeVar

from kinemill_dagster.pipelines.server.auth.request import Request

NO_TASK: frozenset[str] = frozenset()
Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


class Permission(IntEnum):
    """A permission; a role includes all lower ones."""

    LOOK = 0
    OPERATE = 1
    PROMOTE = 2
    ADMINISTER = 3
    NEVER = 4


@dataclass(frozen=True)
class Decision:
    """The permission that a request needs, and the body that the server receives.

    Attributes:
        tasks: the tasks that it changes; empty if it belongs to no task; None if it cannot be
            attributed, which rejects users with limited tasks.
        body: canonical JSON body; None for the parsed one.
        changes: description for the log.
        after: called after the server has carried it out.
    """

    permission: Permission
    tasks: frozenset[str] | None = NO_TASK
    body: Mapping[str, Any] | None = None
    changes: str = ""
    after: Callable[[], None] | None = None


@dataclass(frozen=True)
class Route:
    """A route: how one kind of request is served.

    Attributes:
        decide: returns the decision for a parsed request and a user name.
        body: `json` is parsed first, `stream` is forwarded as it arrives, `none` is dropped.
        least: the permission without which `decide` is not called.
    """

    decide: Callable[[Request, str], Decision]
    body: Literal["none", "json", "stream"] = "none"
    least: Permission = Permission.LOOK


class Site(Protocol):
    """The served routes of one server."""

    def route(self, request: Request) -> Route:
        """Return the route of a request, before its body is read.

        Raises:
            Refused: It is not.
        """
        ...

    def message(self, text: str | bytes) -> bytes:
        """Return the canonical form of a message of a websocket.

        Raises:
            Refused: It is not a read.
        """
        ...


def needs(permission: Permission) -> Callable[[Endpoint], Endpoint]:
    """Declare the least permission of a REST operation that changes something, for the guard."""

    def declare(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)["permission"] = permission
        return endpoint

    return declare


def only(permission: Permission) -> Route:
    """Return a route without a body that needs one permission."""
    return Route(lambda _request, _user: Decision(permission))
