"""Users of the web pages, with role, password and tokens; and the token of the home.

They are in `users.json` of the home (or the file that `KINEMILL_USERS` names, such as a mounted
secret), readable by its owner only: scrypt hashes of passwords, and the sha256 of tokens, which are
random. Users that a proxy logs in have only a role, by name or by group. There are no default users
and no default password.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store.atomic_write import write_secret
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.server.auth.permissions import Permission
from kinemill_dagster.pipelines.server.auth.users_file import (
    GROUP,
    LOCAL_NAME,
    PROXIED_NAME,
    Password,
    Role,
    User,
    read_users,
    write_users,
)

By = Literal["password", "token", "session", "proxy", "page"]
ROLES = {
    "viewer": Permission.LOOK,
    "operator": Permission.OPERATE,
    "promoter": Permission.PROMOTE,
    "admin": Permission.ADMINISTER,
}
SHORTEST = 12  # characters of a password
VARIABLE = "KINEMILL_USERS"
_FILE = "users.json"
_TOKEN = "token"
# 2^15 blocks of 1 kB: 32 MB and about 0.1 s for each guess, as OWASP recommends for p = 3.
_COST = {"n": 1 << 15, "r": 8, "p": 3}
_MEMORY = 64 << 20
_NO_PASSWORD = Password(salt="00" * 16, hash="00" * 32)  # hashed for a user who does not exist


@dataclass(frozen=True)
class Identity:
    """The authenticated user of a request.

    Attributes:
        may: highest permission.
        by: method of authentication: `password`, `token`, `session`, `proxy`, or `page` (one of our
            pages in a browser of this machine).
        version: changes with the password and the rights of a user.
        tasks: tasks that the user may change; None: all.
    """

    name: str
    may: Permission
    by: By = "page"
    version: str = field(default="", repr=False)
    tasks: frozenset[str] | None = None


class Users:
    """The users of a home, reloaded when their file changes.

    Args:
        home: home with `users.json`, unless `KINEMILL_USERS` names another file.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._path = Path(os.environ.get(VARIABLE) or home.root / _FILE)
        # One value, replaced as a whole: several threads read it.
        self._cached: tuple[str, dict[str, User]] = "", {}

    def __bool__(self) -> bool:
        return bool(self._read())

    @property
    def version(self) -> str:
        """Version that changes with every user, role, password or token.

        Raises:
            BadInput: The file is damaged.
        """
        self._read()
        return self._cached[0]

    def rights(self) -> dict[str, tuple[str, tuple[str, ...] | None]]:
        """Return the role and tasks (None: all) of each user, by name."""
        return {name: (user.role, user.tasks) for name, user in sorted(self._read().items())}

    def identity(self, name: str, by: By) -> Identity | None:
        """Return the identity of a user, or None."""
        user = self._read().get(name)
        return _identify(name, user, by) if user else None

    def by_proxy(self, name: str, groups: Iterable[str]) -> Identity | None:
        """Return the user that a proxy logged in: by name, else with the groups' highest role.

        A local user with a password is never matched by a name from the proxy.
        """
        users = self._read()
        user = users.get(name)
        odd = name.startswith(GROUP) or not PROXIED_NAME.fullmatch(name)
        if odd or (user and user.password):
            return None
        if user:
            return _identify(name, user, "proxy")
        joined = [users[GROUP + group] for group in groups if GROUP + group in users]
        highest = max((ROLES[member.role] for member in joined), default=None)
        if highest is None:
            return None
        limits = [_limit(member) for member in joined if ROLES[member.role] is highest]
        tasks = (
            None if None in limits else frozenset[str]().union(*(limit or () for limit in limits))
        )
        return Identity(name, highest, "proxy", tasks=tasks)

    def by_password(self, name: str, password: str) -> Identity | None:
        """Return the user with this password; unknown names take the same time."""
        user = self._read().get(name)
        stored = (user and user.password) or _NO_PASSWORD
        hashed = _hashed(password, bytes.fromhex(stored.salt))
        same = hmac.compare_digest(hashed.hash, stored.hash)
        return _identify(name, user, "password") if user and user.password and same else None

    def by_token(self, token: str) -> Identity | None:
        """Return the user whose token this is."""
        digest = _digest(token)
        for name, user in self._read().items():
            if hmac.compare_digest(user.token or "", digest):
                return _identify(name, user, "token")
        return None

    def put(
        self, name: str, role: str, password: str, tasks: Collection[str] | None = None
    ) -> None:
        """Add or replace a user; an existing token and sessions end.

        Args:
            name: name of the user.
            role: one of `ROLES`.
            password: at least `SHORTEST` characters.
            tasks: tasks that the user may change; None: all.

        Raises:
            BadInput: The name, the role, the password or a task is invalid.
        """
        if not LOCAL_NAME.fullmatch(name):
            raise BadInput("user", repr(name), expected="a-z, 0-9, _ . -, a letter first")
        if len(password) < SHORTEST:
            raise BadInput("password", "is short", expected=f"at least {SHORTEST} characters")
        self._put(name, role, _hashed(password, secrets.token_bytes(16)), tasks)

    def put_proxied(self, name: str, role: str, tasks: Collection[str] | None = None) -> None:
        """Assign a role to a user or `group:NAME` of a proxy; they have no password.

        Raises:
            BadInput: The name, the role or a task is invalid.
        """
        if not PROXIED_NAME.fullmatch(name.removeprefix(GROUP)):
            raise BadInput(
                "user", repr(name), expected="the name that the proxy sends, at most 128 characters"
            )
        self._put(name, role, None, tasks)

    def _put(
        self, name: str, role: str, password: Password | None, tasks: Collection[str] | None
    ) -> None:
        if role not in ROLES:
            raise BadInput(f"role {role!r}", "unknown", fix=nearest(role, list(ROLES)))
        limit = None if tasks is None else _checked_tasks(role, tasks)
        with lock(self._home, "users"):
            user = User(role=cast(Role, role), password=password, token=None, tasks=limit)
            write_users(self._path, {**self._read(), name: user})

    def renew_token(self, name: str) -> str:
        """Create and return a token; only its hash is stored, and an earlier token ends.

        Raises:
            BadInput: There is no such user.
        """
        with lock(self._home, "users"):
            users = self._read()
            token = secrets.token_urlsafe(32)
            self._check(name)
            if name.startswith(GROUP):
                raise BadInput(name, "is not a user", fix="create the token for a user")
            user = users[name].model_copy(update={"token": _digest(token)})
            write_users(self._path, {**users, name: user})
        return token

    def remove(self, name: str) -> None:
        """Remove a user; their sessions end, the runs they started continue.

        Raises:
            BadInput: There is no such user.
        """
        with lock(self._home, "users"):
            self._check(name)
            remaining = {
                user_name: user for user_name, user in self._read().items() if user_name != name
            }
            write_users(self._path, remaining)

    def _check(self, name: str) -> None:
        if name not in self._read():
            raise BadInput(f"user {name!r}", "unknown", fix=nearest(name, list(self._read())))

    def _read(self) -> dict[str, User]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._cached = "", {}
            return {}
        except OSError as error:
            raise BadInput(self._path, f"cannot be read ({error.strerror})") from error
        version = f"{stat.st_mtime_ns}.{stat.st_ctime_ns}.{stat.st_ino}.{stat.st_size}"
        cached = self._cached
        if cached[0] != version:
            self._cached = cached = version, read_users(self._path)
        return cached[1]


def home_token(home: Home) -> str:
    """Return the token of the home, created on first use; it has the owner's rights."""
    path = home.dagster / "servers" / _TOKEN
    if not path.is_file():
        with lock(home, "users"):
            if not path.is_file():
                write_secret(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _identify(name: str, user: User, by: By) -> Identity:
    """Return a user with the version that sessions are bound to."""
    password = user.password.salt + user.password.hash if user.password else ""
    version = _digest(f"{user.role}:{user.tasks}:{password}")
    return Identity(name, ROLES[user.role], by, version, _limit(user))


def _limit(user: User) -> frozenset[str] | None:
    return None if user.tasks is None else frozenset(user.tasks)


def _checked_tasks(role: str, tasks: Collection[str]) -> tuple[str, ...]:
    """Return the tasks of a user, each once.

    Raises:
        BadInput: The role does not depend on tasks, or there is no such task.
    """
    if ROLES[role] not in {Permission.OPERATE, Permission.PROMOTE}:
        why = f"do not limit the role {role}"
        raise BadInput("tasks", why, fix="give --role operator or --role promoter")
    existing = list(list_tasks())
    if not tasks:
        raise BadInput("tasks", "name none", expected="a,b", fix=f"known: {', '.join(existing)}")
    for task in tasks:
        if task not in existing:
            raise BadInput(f"task {task!r}", "unknown", fix=nearest(task, existing))
    return tuple(sorted(set(tasks)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hashed(password: str, salt: bytes) -> Password:
    digest = hashlib.scrypt(password.encode(), salt=salt, maxmem=_MEMORY, dklen=32, **_COST)
    return Password(salt=salt.hex(), hash=digest.hex())
