"""Who may ask at all, and from which page: the names of the server, origins, passwords, tokens."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from kinemill.errors import BadInput
from pipelines.auth.calls import Call, Refused
from pipelines.auth.credentials import Credentials
from pipelines.auth.permissions import Decision, Permission, Site
from pipelines.auth.proxy import Proxy
from pipelines.auth.request import SAFE
from pipelines.auth.sessions import Sessions
from pipelines.auth.users import ROLES, Person, Users

_log = logging.getLogger("kinemill.guard")
HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_SHOWN = 80
ROLE_OF = {need: role for role, need in ROLES.items()}


@dataclass
class Rules:
    """What holds for one server.

    Attributes:
        site: what this server serves.
        users: who may log in.
        owner: who the browsers of this machine are, while nobody has to log in.
        token: of the home; whoever has it owns the home.
        hosts: names that the server is asked by.
        origins: of our own pages where something before the server speaks TLS for it.
        proxy: that says who asks.
        login: demand a password or a token of everybody.
        read_only: nobody changes anything.
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
        """Start without sessions and without wrong attempts."""
        self.sessions = Sessions(self.users)
        self.credentials = Credentials(self.users, self.owner, self.token)

    def check_page(self, call: Call) -> bool:
        """Check the server's name and the page that asks; return whether it is one of our own.

        Raises:
            Refused: another name (as after DNS rebinding), or a page of somebody else's.
        """
        host = call.one("host") or ""
        if _name(host) not in self.hosts:
            raise Refused(403, f"this server is not {host or 'without a name'!r}")
        origin, site = call.one("origin"), call.one("sec-fetch-site")
        if origin is not None and origin not in {f"{call.scheme}://{host}", *self.origins}:
            raise Refused(403, f"a page of {origin} may not ask this server")
        if site in {"cross-site", "same-site"} and not _is_link(call):
            raise Refused(403, "a page of another site may link here and no more")
        if call.websocket and origin is None and "authorization" not in call.headers:
            raise Refused(403, "a websocket says which page opens it, or brings a token")
        return origin is not None or site == "same-origin"

    async def who(self, call: Call, *, own_page: bool) -> Person:
        """Return who asks.

        Raises:
            Refused: the password or token is wrong, or there is none and there has to be one; or
                whoever the proxy names has no role; or the file of users is damaged.
        """
        try:
            if self.proxy and (said := self.proxy.who(call)):
                return self._named(*said)
            if person := self.sessions.find(call):
                return person
            if (given := call.one("authorization")) is not None:
                return await self.credentials.check(call.peer, given)
        except BadInput as error:
            _log.error("%s", error)
            raise Refused(503, "the file of users is damaged; the server's log names it") from error
        if self.login:
            raise Refused(401, "log in, or bring a token")
        return Person(self.owner, Permission.ADMINISTER if own_page else Permission.LOOK)

    def is_current(
        self, call: Call, person: Person, *, own_page: bool
    ) -> Callable[[], Awaitable[bool]]:
        """Return a check that somebody still has the rights with which a call was accepted."""
        version = self.users.version

        async def check() -> bool:
            nonlocal version
            try:
                if version == self.users.version:
                    return True
                version = self.users.version
                return await self.who(call, own_page=own_page) == person
            except (BadInput, Refused):
                return False

        return check

    def check_may(self, person: Person, decision: Decision) -> None:
        """Check that somebody may do what a request asks for.

        Raises:
            Refused: they may not, or nobody may.
        """
        need = decision.need
        if need is Permission.NOBODY:
            raise Refused(403, "this part of the server is closed")
        if self.read_only and need is not Permission.LOOK:
            raise Refused(403, "these pages are read-only")
        if need > person.may:
            why = f"{person.name} may not do this; it takes the role {ROLE_OF[need]}"
            raise Refused(403, why if self.login else "bring a token: set KINEMILL_TOKEN")
        if need is Permission.LOOK or person.tasks is None:
            return
        others = None if decision.tasks is None else decision.tasks - person.tasks
        if others is None or others:
            what = ", ".join(sorted(others or ())) or "what belongs to no single task"
            raise Refused(403, f"{person.name} may not change {what}")

    def _named(self, name: str, groups: list[str]) -> Person:
        """Return who the proxy says it is."""
        if person := self.users.by_proxy(name, groups):
            return person
        shown = repr(name[:_SHOWN])
        raise Refused(403, f"{shown} has no role here: kinemill users add NAME --proxied")


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_link(call: Call) -> bool:
    """Tell whether somebody followed a link to a page, which changes nothing."""
    modes = (call.one("sec-fetch-mode"), call.one("sec-fetch-dest"))
    return call.method in SAFE and not call.websocket and modes == ("navigate", "document")
