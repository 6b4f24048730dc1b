"""Authentication and origin checks: host names, origins, passwords and tokens."""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.calls import Call, Refused
from kinemill_dagster.pipelines.server.auth.credentials import Credentials
from kinemill_dagster.pipelines.server.auth.permissions import Decision, Permission, Site
from kinemill_dagster.pipelines.server.auth.proxy import Proxy
from kinemill_dagster.pipelines.server.auth.request import SAFE
from kinemill_dagster.pipelines.server.auth.users import ROLES, Identity, Users

_LIFETIME = 12 * 3600  # s
_log = logging.getLogger("kinemill.guard")
HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_MAX_CHARACTERS = 80
ROLE_OF = {permission: role for role, permission in ROLES.items()}


@dataclass
class Rules:
    """The rules of one server.

    Attributes:
        site: the served routes.
        users: who may log in.
        owner: identity of local browsers if login is not required.
        token: token of the home, with the owner's rights.
        origins: origins of its pages behind a proxy with TLS.
        proxy: the trusted proxy, if any.
        login: require a password or token.
        read_only: reject all changes.
    """

    site: Site
    users: Users
    owner: str
    token: str
    hosts: frozenset[str] = HERE
    origins: frozenset[str] = frozenset()
    proxy: Proxy | None = None
    login: bool = False
    read_only: bool = False

    def __post_init__(self) -> None:
        """Create the sessions and the counter of attempts."""
        self.sessions = Sessions(self.users)
        self.credentials = Credentials(self.users, self.owner, self.token)

    def check_page(self, call: Call) -> bool:
        """Check the Host and Origin headers; return whether the page is one of our own.

        Raises:
            Refused: Another host name (as after DNS rebinding), or a page of another site.
        """
        host = call.one("host") or ""
        if _name(host) not in self.hosts:
            raise Refused(403, f"this server is not {host or 'without a name'!r}")
        origin = call.one("origin")
        site = call.one("sec-fetch-site")
        if origin is not None and origin not in {f"{call.scheme}://{host}", *self.origins}:
            raise Refused(403, f"pages of {origin} may not use this server")
        if site in {"cross-site", "same-site"} and not _is_link(call):
            raise Refused(403, "pages of other sites may only link here")
        if call.websocket and origin is None and "authorization" not in call.headers:
            raise Refused(403, "a websocket needs an Origin header or a token")
        return origin is not None or site == "same-origin"

    async def who(self, call: Call, *, is_our_page: bool) -> Identity:
        """Return the identity of the user.

        Raises:
            Refused: The password or token is wrong or missing, the user of the proxy has no role,
                or the file of users is damaged.
        """
        try:
            if self.proxy and (named := self.proxy.who(call)):
                return self._named(*named)
            if identity := self.sessions.find(call):
                return identity
            if (header := call.one("authorization")) is not None:
                return await self.credentials.check(call.peer, header)
        except BadInput as error:
            _log.error("%s", error)
            raise Refused(503, "the file of users is damaged; the server's log names it") from error
        if self.login:
            raise Refused(401, "log in, or send a token")
        return Identity(self.owner, Permission.ADMINISTER if is_our_page else Permission.LOOK)

    def is_current(
        self, call: Call, identity: Identity, *, is_our_page: bool
    ) -> Callable[[], Awaitable[bool]]:
        """Return a check that the user still has the rights with which a call was accepted."""
        version = self.users.version

        async def check() -> bool:
            nonlocal version
            try:
                if version == self.users.version:
                    return True
                version = self.users.version
                return await self.who(call, is_our_page=is_our_page) == identity
            except (BadInput, Refused):
                return False

        return check

    def check_may(self, identity: Identity, decision: Decision) -> None:
        """Check that a user has the permission of a request.

        Raises:
            Refused: The user does not have it, or the route is closed.
        """
        permission = decision.permission
        if permission is Permission.NEVER:
            raise Refused(403, "this part of the server is closed")
        if self.read_only and permission is not Permission.LOOK:
            raise Refused(403, "these pages are read-only")
        if permission > identity.may:
            needs = f"needs the role {ROLE_OF[permission]}"
            if identity.by == "page":
                fix = "send a token: set KINEMILL_TOKEN, for MLflow MLFLOW_TRACKING_TOKEN"
                raise Refused(403, f"this {needs}; {fix}")
            raise Refused(403, f"{identity.name} may not do this; it {needs}")
        if permission is Permission.LOOK or identity.tasks is None:
            return
        forbidden = None if decision.tasks is None else decision.tasks - identity.tasks
        if forbidden is None or forbidden:
            what = ", ".join(sorted(forbidden or ())) or "anything that belongs to no single task"
            raise Refused(403, f"{identity.name} may not change {what}")

    def _named(self, name: str, groups: list[str]) -> Identity:
        """Return the identity of the user that the proxy names."""
        if identity := self.users.by_proxy(name, groups):
            return identity
        text = repr(name[:_MAX_CHARACTERS])
        raise Refused(403, f"{text} has no role here: kinemill admin users add NAME --proxied")


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_link(call: Call) -> bool:
    """Return whether the request is a link to a page, which changes nothing."""
    modes = (call.one("sec-fetch-mode"), call.one("sec-fetch-dest"))
    return call.method in SAFE and not call.websocket and modes == ("navigate", "document")


class Sessions:
    """The sessions of one server, signed with a key that ends with its process.

    The signature covers the user's version: another password or role, or the user's removal, ends
    every session on every server with the next request.
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)

    def issue(self, call: Call, identity: Identity) -> str:
        """Return the value of `Set-Cookie` for a user whose password was just checked."""
        text = f"{identity.name}.{int(time.time()) + _LIFETIME}"
        secure = "; Secure" if call.scheme == "https" else ""
        value = f"{text}.{self._signature(text, identity)}"
        return f"{_cookie(call)}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"

    def find(self, call: Call) -> Identity | None:
        """Return the user whose valid session a request carries."""
        prefix = f"{_cookie(call)}="
        for part in ";".join(call.headers.get("cookie", [])).split(";"):
            if not part.strip().startswith(prefix):
                continue
            text, _, signature = part.strip().removeprefix(prefix).rpartition(".")
            name, _, until = text.rpartition(".")
            identity = self._users.identity(name, "session")
            if identity is None:
                continue
            right = self._signature(text, identity)
            if hmac.compare_digest(signature.encode(), right.encode()) and int(until) > time.time():
                return identity
        return None

    def _signature(self, text: str, identity: Identity) -> str:
        signed = f"{text}.{identity.version}".encode()
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()


def _cookie(call: Call) -> str:
    """Return the name of the cookie, with the port: browsers share cookies between ports."""
    port = urlsplit(f"//{call.one('host') or ''}").port
    return f"kinemill-{port or 'web'}"
