"""The file of users: schema, validation, and writing it with restricted permissions."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kinemill.errors import BadInput
from kinemill.store.atomic_write import write_secret
from kinemill_dagster.pipelines.server.auth.request import unique_members

GROUP = "group:"  # prefix of the name of a group
LOCAL_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")  # fits into a header, a tag and a cookie
PROXIED_NAME = re.compile(r"[A-Za-z0-9][\w.@+|:/-]{0,127}", re.ASCII)  # of an identity provider
Role = Literal["viewer", "operator", "promoter", "admin"]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_MAX_CHARACTERS = 80  # characters of a wrong value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Password(_Strict):
    """The scrypt hash of a password, in hex."""

    salt: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    hash: _Sha256


class User(_Strict):
    """A user, without the name.

    Attributes:
        role: see `users.ROLES`.
        tasks: tasks that an operator or promoter may change; None: all.
        password: None for a user or group of a proxy.
        token: sha256 of the token in hex.
    """

    role: Role
    password: Password | None
    token: _Sha256 | None
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


class _Document(_Strict):
    format: Literal[1]
    users: dict[str, User]


def read_users(path: Path) -> dict[str, User]:
    """Return the users in a file, by name.

    Raises:
        BadInput: It cannot be read, or an entry is damaged.
    """
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=unique_members)
        users = _Document.model_validate(document).users
    except ValidationError as error:
        raise _damaged(path, error) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(path, f"cannot be read ({error})", fix="correct the file") from error
    for name, user in users.items():
        local = LOCAL_NAME.fullmatch(name)
        if not (local if user.password else PROXIED_NAME.fullmatch(name.removeprefix(GROUP))):
            kind = "a-z, 0-9, _ . -, a letter first" if user.password else "a name from a proxy"
            shown_name = repr(name[:_MAX_CHARACTERS])
            raise BadInput(f"{path}, users", shown_name, expected=kind, fix="correct it")
    return users


def write_users(path: Path, users: dict[str, User]) -> None:
    """Replace the file of users.

    Raises:
        BadInput: It cannot be written.
    """
    try:
        write_secret(path, _Document(format=1, users=users).model_dump_json(indent=1))
    except OSError as error:
        raise BadInput(path, f"cannot be written ({error.strerror})") from error


def _damaged(path: Path, error: ValidationError) -> BadInput:
    """Return the first problem of a document; values of secrets are not shown."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the document"
    expected = problem["msg"].removeprefix("Input should be ")
    problem_text = "is damaged"
    key = problem["loc"][-1] if problem["loc"] else ""
    if problem["type"] == "missing":
        problem_text = "is missing"
        expected = "every user has a role, a password and a token"
    elif problem["type"] == "extra_forbidden":
        problem_text = "is unknown"
        expected = "role, password, token and tasks"
    elif key in {"role", "format"}:
        problem_text = f"is {str(problem['input'])[:_MAX_CHARACTERS]!r}"
    return BadInput(
        f"{path}, {where}", problem_text, expected=expected, fix="correct this entry of the file"
    )
