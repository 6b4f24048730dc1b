"""Webhooks of MLflow's registry: admins only, with addresses that the operator allowed."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill_dagster.pipelines.auth.calls import Refused
from kinemill_dagster.pipelines.auth.permissions import Decision, Permission, Route
from kinemill_dagster.pipelines.auth.request import Request
from kinemill_dagster.resources.alerts import Webhooks

_PATH = re.compile(r"webhooks(?:/(?P<id>[0-9a-f-]{1,64})(?P<test>/test)?)?")
_Name = Annotated[str, Field(pattern=r"^[\w][\w .-]{0,62}$")]
_Address = Annotated[str, Field(max_length=500)]  # MLflow's column
_Secret = Annotated[str, Field(min_length=16, max_length=200)]
_Status = Literal["ACTIVE", "DISABLED"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Event(_Body):
    entity: Literal["REGISTERED_MODEL", "MODEL_VERSION", "MODEL_VERSION_TAG", "MODEL_VERSION_ALIAS"]
    action: Literal["CREATED", "SET", "DELETED"]


_Events = Annotated[tuple[_Event, ...], Field(min_length=1)]


class _Optional(_Body):
    description: Annotated[str, Field(max_length=1000)] | None = None
    secret: _Secret | None = None
    status: _Status | None = None


class _Create(_Optional):
    name: _Name
    url: _Address
    events: _Events


class _Update(_Optional):
    name: _Name | None = None
    url: _Address | None = None
    events: _Events | None = None


class _Test(_Body):
    event: _Event | None = None


def webhook_route(request: Request, rest: str, allowed: Callable[[], Webhooks]) -> Route | None:
    """Return the route of a request for webhooks; None if there is no such route."""
    match = _PATH.fullmatch(rest)
    if match is None:
        return None
    bodies: dict[tuple[str, bool, bool], type[_Body] | None] = {
        ("GET", False, False): None,
        ("POST", False, False): _Create,
        ("GET", True, False): None,
        ("PATCH", True, False): _Update,
        ("DELETE", True, False): None,
        ("POST", True, True): _Test,
    }
    key = (request.method, bool(match["id"]), bool(match["test"]))
    if key not in bodies:
        return None
    document = bodies[key]

    def decide(request: Request, _user: str) -> Decision:
        body = _checked(document, request.body or {}, allowed)
        return Decision(Permission.ADMINISTER, None, body, changes=match["id"] or _name(body))

    return Route(decide, "json" if document else "none", least=Permission.ADMINISTER)


def _checked(
    document: type[_Body] | None, body: Mapping[str, object], allowed: Callable[[], Webhooks]
) -> Json | None:
    """Return the body that MLflow receives, built from the checked document.

    Raises:
        Refused: It is invalid, the address is not allowed, or webhooks are closed.
    """
    try:
        addresses = allowed()
        if document is None:
            return None
        checked = document.model_validate(body).model_dump(mode="json", exclude_none=True)
        if "url" in checked:
            checked["url"] = addresses.canonical(checked["url"])
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the body"
        raise Refused(400, f"webhook, {where}: {problem['msg']}") from error
    except BadInput as error:
        raise Refused(403, str(error)) from error
    return checked


def _name(body: Mapping[str, object] | None) -> str:
    return str((body or {}).get("name", ""))
