"""Who may use the web pages: users with a role, a password and tokens; the home's own token.

They are in `users.json` of the home (or the file that `KINEMILL_USERS` names, such as a mounted
secret), which its owner alone can read: of passwords the scrypt hash, of tokens, which are random,
the sha256. Whom a proxy logs in has neither, just a role, by name or as one of a group. There are
no users to begin with, and no default password.
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
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import list_tasks
from pipelines.auth.permissions import Permission
from pipelines.auth.users_file import (
    GROUP,
    LOCAL_NAME,
    PROXIED_NAME,
    Password,
    Role,
    User,
    read_users,
    write_secret,
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
_FILE, _TOKEN = "users.json", "token"
# 2^15 blocks of 1 kB: 32 MB and about 0.1 s for each guess, as OWASP asks of scrypt with p = 3.
_COST = {"n": 1 << 15, "r": 8, "p": 3}
_MEMORY = 64 << 20
_NO_PASSWORD = Password(salt="00" * 16, hash="00" * 32)  # hashed for a user who does not exist


@dataclass(frozen=True)
class Person:
    """Who asks.

    Attributes:
        name: for the record.
        may: what they may do.
        by: how that is known: `password`, `token`, `session`, `proxy`, or `page`, one of our own in
            a browser of this machine.
        version: changes with the password and the rights of a user.
        tasks: that they may change; None: all.
    """

    name: str
    may: Permission
    by: By = "page"
    version: str = field(default="", repr=False)
    tasks: frozenset[str] | None = None


class Users:
    """The users of a home, read anew whenever their file changes.

    Args:
        home: whose `users.json` it is, unless `KINEMILL_USERS` names another one.
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
        """What changes whenever a user, a role, a password or a token does.

        Raises:
            BadInput: the file is damaged.
        """
        self._read()
        return self._cached[0]

    def rights(self) -> dict[str, tuple[str, tuple[str, ...] | None]]:
        """Return the role of each user and the tasks that it holds for, None for all, by name."""
        return {name: (user.role, user.tasks) for name, user in sorted(self._read().items())}

    def person(self, name: str, by: By) -> Person | None:
        """Return a user, if there is one of this name."""
        user = self._read().get(name)
        return _person(name, user, by) if user else None

    def by_proxy(self, name: str, groups: Iterable[str]) -> Person | None:
        """Return whom a proxy logged in: a user of its own, else one of the groups' highest role.

        Somebody who has a password here is somebody else, whatever they are called over there.
        """
        known = self._read()
        own = known.get(name)
        odd = name.startswith(GROUP) or not PROXIED_NAME.fullmatch(name)
        if odd or (own and own.password):
            return None
        if own:
            return _person(name, own, "proxy")
        joined = [known[GROUP + one] for one in groups if GROUP + one in known]
        highest = max((ROLES[one.role] for one in joined), default=None)
        if highest is None:
            return None
        limits = [_limit(one) for one in joined if ROLES[one.role] is highest]
        tasks = None if None in limits else frozenset[str]().union(*(one or () for one in limits))
        return Person(name, highest, "proxy", tasks=tasks)

    def by_password(self, name: str, password: str) -> Person | None:
        """Return the user whose password this is; a wrong name takes as long to find out."""
        user = self._read().get(name)
        stored = (user and user.password) or _NO_PASSWORD
        found = _hashed(password, bytes.fromhex(stored.salt))
        same = hmac.compare_digest(found.hash, stored.hash)
        return _person(name, user, "password") if user and user.password and same else None

    def by_token(self, token: str) -> Person | None:
        """Return the user whose token this is."""
        digest = _digest(token)
        for name, user in self._read().items():
            if hmac.compare_digest(user.token or "", digest):
                return _person(name, user, "token")
        return None

    def put(
        self, name: str, role: str, password: str, tasks: Collection[str] | None = None
    ) -> None:
        """Add a user, or give one other rights and another password; token and sessions end.

        Args:
            name: of the user.
            role: one of `ROLES`.
            password: at least `SHORTEST` characters.
            tasks: that they may change; None: all.

        Raises:
            BadInput: of the name, the role, the password or the tasks.
        """
        if not LOCAL_NAME.fullmatch(name):
            raise BadInput("user", repr(name), expected="a-z, 0-9, _ . -, a letter first")
        if len(password) < SHORTEST:
            raise BadInput("password", "is short", expected=f"at least {SHORTEST} characters")
        self._put(name, role, _hashed(password, secrets.token_bytes(16)), tasks)

    def put_proxied(self, name: str, role: str, tasks: Collection[str] | None = None) -> None:
        """Give somebody whom a proxy logs in, or a `group:NAME`, a role; they have no password.

        Raises:
            BadInput: of the name, the role or the tasks.
        """
        if not PROXIED_NAME.fullmatch(name.removeprefix(GROUP)):
            raise BadInput("user", repr(name), expected="a name as the proxy says it, 128 at most")
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
        """Give a user a token and return it: it is kept nowhere; an earlier one ends.

        Raises:
            BadInput: there is no such user.
        """
        with lock(self._home, "users"):
            known, token = self._read(), secrets.token_urlsafe(32)
            self._check(name)
            if name.startswith(GROUP):
                raise BadInput(name, "has no token", fix="give one to a user")
            user = known[name].model_copy(update={"token": _digest(token)})
            write_users(self._path, {**known, name: user})
        return token

    def remove(self, name: str) -> None:
        """Remove a user; their sessions end, the runs they started continue.

        Raises:
            BadInput: there is no such user.
        """
        with lock(self._home, "users"):
            self._check(name)
            left = {other: user for other, user in self._read().items() if other != name}
            write_users(self._path, left)

    def _check(self, name: str) -> None:
        if name not in self._read():
            raise BadInput(f"user {name!r}", "unknown", fix=nearest(name, list(self._read())))

    def _read(self) -> dict[str, User]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._cached = "", {}
            return {}
        except OSError as error:
            raise BadInput(self._path, f"cannot be read ({error.strerror})") from error
        version = f"{found.st_mtime_ns}.{found.st_ctime_ns}.{found.st_ino}.{found.st_size}"
        cached = self._cached
        if cached[0] != version:
            self._cached = cached = version, read_users(self._path)
        return cached[1]


def home_token(home: Home) -> str:
    """Return the token of the home, made the first time; who can read it owns the home."""
    path = home.dagster / "servers" / _TOKEN
    if not path.is_file():
        with lock(home, "users"):
            if not path.is_file():
                write_secret(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _person(name: str, user: User, by: By) -> Person:
    """Return a user with the version that sessions are bound to."""
    password = user.password.salt + user.password.hash if user.password else ""
    version = _digest(f"{user.role}:{user.tasks}:{password}")
    return Person(name, ROLES[user.role], by, version, _limit(user))


def _limit(user: User) -> frozenset[str] | None:
    return None if user.tasks is None else frozenset(user.tasks)


def _checked_tasks(role: str, tasks: Collection[str]) -> tuple[str, ...]:
    """Return the tasks of a user, each once.

    Raises:
        BadInput: the role does not depend on tasks, or there is no such task.
    """
    if ROLES[role] not in {Permission.OPERATE, Permission.PROMOTE}:
        why = f"do not limit the role {role}"
        raise BadInput("tasks", why, fix="give --role operator or --role promoter")
    known = list(list_tasks())
    if not tasks:
        raise BadInput("tasks", "name none", expected="a,b", fix=f"known: {', '.join(known)}")
    for task in tasks:
        if task not in known:
            raise BadInput(f"task {task!r}", "unknown", fix=nearest(task, known))
    return tuple(sorted(set(tasks)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hashed(password: str, salt: bytes) -> Password:
    found = hashlib.scrypt(password.encode(), salt=salt, maxmem=_MEMORY, dklen=32, **_COST)
    return Password(salt=salt.hex(), hash=found.hex())
