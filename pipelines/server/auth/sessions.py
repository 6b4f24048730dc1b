"""Session cookies: they replace the password for half a day and end when their user changes."""

import hashlib
import hmac
import secrets
import time
from urllib.parse import urlsplit

from kinemill_dagster.pipelines.server.auth.calls import Call
from kinemill_dagster.pipelines.server.auth.users import Identity, Users

_LIFETIME = 12 * 3600  # s


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
