"""What a request needs: a permission, and the tasks whose state it changes.

Each server has a `Site` that lists what is served. What is not listed is closed, so that a new
version of Dagster or MLflow opens nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol

from pipelines.auth.request import Request

NO_TASK: frozenset[str] = frozenset()


class Permission(IntEnum):
    """A permission; a role has its own and all below."""

    LOOK = 0
    OPERATE = 1
    PROMOTE = 2
    ADMINISTER = 3
    NOBODY = 4


@dataclass(frozen=True)
class Decision:
    """What an authorized request needs, and what the server receives as its body.

    Attributes:
        need: permission.
        tasks: that it changes: empty for what belongs to no task, None for what cannot be
            attributed to tasks and is therefore closed to users of some tasks only.
        body: canonical JSON body; None keeps the parsed one.
        changes: what the log names.
        closes: runs and models that it finishes or registers.
    """

    need: Permission
    tasks: frozenset[str] | None = NO_TASK
    body: Mapping[str, Any] | None = None
    changes: str = ""
    closes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Route:
    """How one kind of request is served.

    Attributes:
        decide: returns what a parsed request of a named user needs.
        body: `json` is read and parsed first, `stream` is passed on as it arrives, `none` is
            dropped.
    """

    decide: Callable[[Request, str], Decision]
    body: Literal["none", "json", "stream"] = "none"


class Site(Protocol):
    """What one of the servers serves."""

    def route(self, request: Request) -> Route:
        """Return how a request is served; its body is not read yet.

        Raises:
            Refused: it is not.
        """
        ...

    def message(self, text: str | bytes) -> bytes:
        """Return the canonical form of a message of a websocket.

        Raises:
            Refused: it asks for something else than to read.
        """
        ...


def only(need: Permission) -> Route:
    """Return a route without a body that needs one permission."""
    return Route(lambda _request, _user: Decision(need))
