"""Who may ask at all, and from which page: the names of the server, origins, passwords, tokens."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pipelines.guard.calls import Call, Refused
from pipelines.guard.needs import SAFE, Asked, Need
from pipelines.guard.people import Person, Users
from pipelines.guard.proxy import Proxy

HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_SESSION = 12 * 3600  # s that a browser need not send the password again
_WRONG, _WITHIN = 10, 60.0  # tries from one address, s
_REMEMBERED, _SHOWN = 256, 80


@dataclass
class Rules:
    """What holds for one server.

    Attributes:
        need: what a request to this server needs.
        users: who may log in.
        owner: who the browsers of this machine are, while nobody has to log in.
        token: of the home; whoever has it owns the home.
        hosts: names that the server is asked by.
        origins: of our own pages where something before the server speaks TLS for it.
        proxy: that says who asks.
        login: demand a password or a token of everybody.
        read_only: nobody changes anything.
    """

    need: Callable[[Asked], Need]
    users: Users
    owner: str
    token: str
    hosts: frozenset[str] = HERE
    origins: frozenset[str] = frozenset()
    proxy: Proxy | None = None
    login: bool = False
    read_only: bool = False
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _right: dict[bytes, str] = field(default_factory=dict[bytes, str], repr=False)
    _wrong: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]], repr=False)

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

    def check_type(self, call: Call, person: Person) -> None:
        """Check that a POST is JSON, which no page of another site can send unasked.

        Raises:
            Refused: it is something else, and no token of ours came with it.
        """
        kind = (call.one("content-type") or "").partition(";")[0].strip().lower()
        if call.method == "POST" and kind != "application/json" and person.by != "token":
            raise Refused(415, "POST takes application/json")

    def who(self, call: Call, *, own_page: bool) -> Person:
        """Return who asks.

        Raises:
            Refused: the password or token is wrong, or there is none and there has to be one; or
                whoever the proxy names has no role.
        """
        if self.proxy and (said := self.proxy.who(call)):
            return self._named(*said)
        given = call.one("authorization")
        if person := self._of_session(call):
            return person
        if given is not None:
            return self._checked(call, given)
        if self.login:
            raise Refused(401, "log in, or bring a token")
        return Person(self.owner, Need.ADMINISTER if own_page else Need.LOOK)

    def check_may(self, person: Person, need: Need) -> None:
        """Check that somebody may do what a request asks for.

        Raises:
            Refused: they may not, or nobody may.
        """
        if need is Need.NOBODY:
            raise Refused(403, "this part of the server is closed")
        if self.read_only and need is not Need.LOOK:
            raise Refused(403, "these pages are read-only")
        if need > person.may:
            wanted = "operator" if need is Need.OPERATE else "admin"
            why = f"{person.name} may not do this; it takes the role {wanted}"
            raise Refused(403, why if self.login else "bring a token: set KINEMILL_TOKEN")

    def session(self, person: Person) -> str:
        """Return what a browser brings back instead of the password, for half a day."""
        said = f"{person.name}.{int(time.time()) + _SESSION}"
        return f"{said}.{self._signed(said)}"

    @staticmethod
    def cookie(call: Call) -> str:
        """Return the name of the cookie; cookies of one machine are shared between its ports."""
        port = urlsplit(f"//{call.one('host') or ''}").port
        return f"kinemill-{port or 'web'}"

    def _named(self, name: str, groups: list[str]) -> Person:
        """Return who the proxy says it is."""
        if person := self.users.by_proxy(name, groups):
            return person
        shown = repr(name[:_SHOWN])
        raise Refused(403, f"{shown} has no role here: kinemill users add NAME --proxied")

    def _of_session(self, call: Call) -> Person | None:
        prefix = f"{self.cookie(call)}="
        for part in ";".join(call.headers.get("cookie", [])).split(";"):
            if not part.strip().startswith(prefix):
                continue
            said, _, signature = part.strip().removeprefix(prefix).rpartition(".")
            name, _, until = said.rpartition(".")
            right = hmac.compare_digest(signature.encode(), self._signed(said).encode())
            if right and int(until) > time.time():
                return self.users.person(name, "session")
        return None

    def _signed(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def _checked(self, call: Call, given: str) -> Person:
        """Return whose password or token this is; too many wrong ones from an address wait."""
        tries, now = self._wrong.get(call.peer, deque()), time.monotonic()
        while tries and now - tries[0] > _WITHIN:
            tries.popleft()
        if len(tries) >= _WRONG:
            raise Refused(429, f"{_WRONG} wrong passwords or tokens; wait a minute")
        if person := self._known(given):
            return person
        if len(self._wrong) > _REMEMBERED:
            self._wrong.clear()
        self._wrong[call.peer] = tries
        tries.append(now)
        raise Refused(401, "this password or token is wrong")

    def _known(self, given: str) -> Person | None:
        kind, _, value = given.partition(" ")
        if kind.lower() == "bearer":
            if hmac.compare_digest(value.strip().encode(), self.token.encode()):
                return Person(self.owner, Need.ADMINISTER, "token")
            return self.users.by_token(value.strip())
        return self._by_password(value) if kind.lower() == "basic" else None

    def _by_password(self, value: str) -> Person | None:
        """Return the user of a Basic login; what was right once is not hashed again."""
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        digest = hmac.digest(self._key, f"{self.users.version}:{value}".encode(), "sha256")
        if self._right.get(digest) == name:
            return self.users.person(name, "password")
        person = self.users.by_password(name, password)
        if person is not None:
            if len(self._right) > _REMEMBERED:
                self._right.clear()
            self._right[digest] = name
        return person


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
