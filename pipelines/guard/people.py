"""Who may use the web pages: users with a role, a password and tokens; the home's own token.

They are in `users.json` of the home (or the file that `KINEMILL_USERS` names, such as a mounted
secret), which its owner alone can read: of passwords the scrypt hash, of tokens, which are random,
the sha256. Whom a proxy logs in has neither, just a role, by name or as one of a group. There are
no users to begin with, and no default password.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.locks import lock
from kinemill.registry import nearest
from pipelines.guard.needs import Need

By = Literal["password", "token", "session", "proxy", "page"]
ROLES = {"viewer": Need.LOOK, "operator": Need.OPERATE, "admin": Need.ADMINISTER}
SHORTEST = 12  # characters of a password
VARIABLE = "KINEMILL_USERS"
GROUP = "group:"  # what the name of a group begins with, where users are named
_FILE, _TOKEN = "users.json", "token"
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")  # fits into a header, a tag and a cookie
_ELSEWHERE = re.compile(r"[A-Za-z0-9][\w.@+|:/-]{0,127}", re.ASCII)  # of an identity provider
# 2^15 blocks of 1 kB: 32 MB and about 0.1 s for each guess, as OWASP asks of scrypt with p = 3.
_COST = {"n": 1 << 15, "r": 8, "p": 3}
_MEMORY = 64 << 20


@dataclass(frozen=True)
class Person:
    """Who asks.

    Attributes:
        name: for the record.
        may: what they may do.
        by: how that is known: `password`, `token`, `session`, `proxy`, or `page`, one of our own in
            a browser of this machine.
    """

    name: str
    may: Need
    by: By = "page"


class Users:
    """The users of a home, read anew whenever their file changes.

    Args:
        home: whose `users.json` it is, unless `KINEMILL_USERS` names another one.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._path = Path(os.environ.get(VARIABLE) or home.root / _FILE)
        self._seen: tuple[int, int] | None = None
        self._known: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._read())

    @property
    def version(self) -> str:
        """What changes whenever a user, a role or a password does."""
        self._read()
        return str(self._seen)

    def roles(self) -> dict[str, str]:
        """Return the role of each user, by name."""
        return {name: user["role"] for name, user in sorted(self._read().items())}

    def person(self, name: str, by: By) -> Person | None:
        """Return a user, if there is one of this name."""
        user = self._read().get(name)
        return Person(name, ROLES[user["role"]], by) if user else None

    def by_proxy(self, name: str, groups: Iterable[str]) -> Person | None:
        """Return whom a proxy logged in: a user of its own, else one of the groups' highest role.

        Somebody who has a password here is somebody else, whatever they are called over there.
        """
        known = self._read()
        own = known.get(name)
        odd = name.startswith(GROUP) or not _ELSEWHERE.fullmatch(name)
        if odd or (own and own["password"]):
            return None
        if own:
            return self.person(name, "proxy")
        roles = [ROLES[known[GROUP + one]["role"]] for one in groups if GROUP + one in known]
        return Person(name, max(roles), "proxy") if roles else None

    def by_password(self, name: str, password: str) -> Person | None:
        """Return the user whose password this is; a wrong name takes as long to tell."""
        user = self._read().get(name)
        kept = (user and user["password"]) or {"salt": "", "hash": ""}
        found = _hashed(password, bytes.fromhex(kept["salt"]))
        same = hmac.compare_digest(found["hash"], kept["hash"])
        return self.person(name, "password") if user and same else None

    def by_token(self, token: str) -> Person | None:
        """Return the user whose token this is."""
        digest = _digest(token)
        for name, user in self._read().items():
            if hmac.compare_digest(user["token"] or "", digest):
                return self.person(name, "token")
        return None

    def put(self, name: str, role: str, password: str) -> None:
        """Add a user, or give one another role and password; their token ends.

        Raises:
            BadInput: of the name, the role or the password.
        """
        if not _NAME.fullmatch(name):
            raise BadInput("user", repr(name), expected="a-z, 0-9, _ . -, a letter first")
        if len(password) < SHORTEST:
            raise BadInput("password", "is short", expected=f"at least {SHORTEST} characters")
        self._put(name, role, _hashed(password, secrets.token_bytes(16)))

    def put_proxied(self, name: str, role: str) -> None:
        """Give somebody whom a proxy logs in, or a `group:NAME`, a role; they have no password.

        Raises:
            BadInput: of the name or the role.
        """
        if not _ELSEWHERE.fullmatch(name.removeprefix(GROUP)):
            raise BadInput("user", repr(name), expected="a name as the proxy says it, 128 at most")
        self._put(name, role, None)

    def _put(self, name: str, role: str, password: dict[str, str] | None) -> None:
        if role not in ROLES:
            raise BadInput(f"role {role!r}", "unknown", fix=nearest(role, list(ROLES)))
        with lock(self._home, "users"):
            user = {"role": role, "password": password, "token": None}
            self._write({**self._read(), name: user})

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
            self._write({**known, name: {**known[name], "token": _digest(token)}})
        return token

    def remove(self, name: str) -> None:
        """Remove a user; what they started goes on.

        Raises:
            BadInput: there is no such user.
        """
        with lock(self._home, "users"):
            self._check(name)
            self._write({other: user for other, user in self._read().items() if other != name})

    def _check(self, name: str) -> None:
        if name not in self._read():
            raise BadInput(f"user {name!r}", "unknown", fix=nearest(name, list(self._read())))

    def _read(self) -> dict[str, Any]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._known = None, {}
            return {}
        if (found.st_mtime_ns, found.st_ino) != self._seen:
            try:
                self._known = json.loads(self._path.read_bytes())["users"]
            except (ValueError, KeyError, TypeError) as error:
                raise BadInput(self._path, f"cannot be read ({error})") from error
            self._seen = (found.st_mtime_ns, found.st_ino)
        return self._known

    def _write(self, users: dict[str, Any]) -> None:
        text = json.dumps({"format": 1, "users": users}, indent=1)
        try:
            write_secret(self._path, text)
        except OSError as error:
            raise BadInput(self._path, f"cannot be written ({error.strerror})") from error
        self._seen = None


def home_token(home: Home) -> str:
    """Return the token of the home, made the first time; who can read it owns the home."""
    path = home.dagster / "servers" / _TOKEN
    if not path.is_file():
        with lock(home, "users"):
            if not path.is_file():
                write_secret(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def write_secret(path: Path, text: str) -> None:
    """Put a text in its place, readable by its owner alone from the first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _hashed(password: str, salt: bytes) -> dict[str, str]:
    found = hashlib.scrypt(password.encode(), salt=salt, maxmem=_MEMORY, dklen=32, **_COST)
    return {"salt": salt.hex(), "hash": found.hex()}
