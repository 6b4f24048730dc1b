"""Client of a kinemill server over REST, `/api/v1`; imports no Dagster.

The address of the server is `KINEMILL_URL`, or the one that `kinemill ui` of this home has saved.
The bearer token is `KINEMILL_TOKEN`, or for servers of this home the token of the home.
"""

import json
import os
import urllib.parse
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from kinemill.bounded_http import Reply, printable, send
from kinemill.errors import BadInput, CorruptArtifact, KinemillError, Unreachable
from kinemill.failures import check_databases
from kinemill.store import Home
from kinemill.store.locks import lock

SERVED = "addresses.json"
TOKEN = "token"  # in the folder of the servers' logs
_HOW = "start it: kinemill ui (make ui), or set KINEMILL_URL to a running server"
_SECONDS = 60.0
_REFUSED = {401, 403}


Document = TypeVar("Document", bound=BaseModel)


class Server:
    """A kinemill server.

    Args:
        url: address of its web pages, such as `http://127.0.0.1:3000`.

    Every method raises:
        BadInput: The server refuses the request.
        Unreachable: No server responds, it is not a kinemill server, or it fails.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str, kind: type[Document], **query: object) -> Document:
        """Return the document at a path, such as `runs`."""
        parameters = urllib.parse.urlencode(query)
        with self._open(f"{path}?{parameters}" if query else path) as reply:
            return self._checked(reply.document(), kind)

    def post(
        self, path: str, kind: type[Document], body: Mapping[str, object] | None = None
    ) -> Document:
        """Send a body to a path, and return the document of the response."""
        with self._open(path, body or {}) as reply:
            return self._checked(reply.document(), kind)

    def events(
        self, path: str, kinds: Mapping[str, type[Document]]
    ) -> Iterator[tuple[str, Document]]:
        """Yield the server-sent events of some kinds at a path, up to the event `end`."""
        name = ""
        with self._open(path, is_stream=True) as reply:
            for line in reply.lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name in kinds:
                    yield name, self._event(line.removeprefix("data: "), kinds[name])
                    if name == "end":
                        return
            raise Unreachable(self.url, f"ended the stream of {path} early")

    def page(self, run: str) -> str:
        """Return the address of a run's page."""
        return f"{self.url}/runs/{run}"

    def _event(self, text: str, kind: type[Document]) -> Document:
        try:
            return self._checked(json.loads(text), kind)
        except (ValueError, RecursionError) as error:
            raise Unreachable(self.url, "sent an event that is not JSON") from error

    def _checked(self, document: object, kind: type[Document]) -> Document:
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            problem = f"is not a kinemill server: in its response {at or 'all'}: {first['msg']}"
            raise Unreachable(self.url, printable(problem)) from error

    @contextmanager
    def _open(
        self, path: str, body: Mapping[str, object] | None = None, *, is_stream: bool = False
    ) -> Generator[Reply]:
        """Send a request; yield the response."""
        url = f"{self.url}/api/v1/{urllib.parse.quote(path, safe='/?=&%')}"
        token = os.environ.get("KINEMILL_TOKEN") or _home_token(self.url)
        data = None if body is None else json.dumps(body).encode()
        seconds = None if is_stream else _SECONDS
        try:
            with send(url, data, token=token, seconds=seconds) as reply:
                if reply.status not in {200, 201, 204}:
                    raise _refusal(self.url, reply)
                yield reply
        except Unreachable as error:
            if error.fix or error.where != url:
                raise
            raise Unreachable(self.url, error.problem, fix=_HOW) from error


def find_server() -> Server:
    """Return the server that commands use.

    Raises:
        BadInput: No address is known.
        CorruptArtifact: A database of the Dagster server of this home is damaged.
    """
    if url := os.environ.get("KINEMILL_URL"):
        if not _is_address(url):
            raise BadInput("KINEMILL_URL", repr(url), expected="http://HOST:PORT")
        return Server(url)
    home = Home.resolve()
    _check_databases(home)
    if url := _written(home).get("Dagster"):
        return Server(url)
    raise BadInput(home.root, "no server is running for this home", fix=_HOW)


def _is_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _check_databases(home: Home) -> None:
    """Check Dagster's databases under their lock: a new one can look damaged."""
    try:
        check_databases(home)
    except CorruptArtifact:
        with lock(home, "dagster"):
            check_databases(home)


def _written(home: Home) -> dict[str, str]:
    try:
        return json.loads((home.dagster / "servers" / SERVED).read_text())
    except FileNotFoundError:
        return {}


def _home_token(url: str) -> str | None:
    """Return the token of the home if the server belongs to the home."""
    home = Home.find()
    address = urllib.parse.urlsplit(url)
    if not any(
        address.netloc == urllib.parse.urlsplit(written_url).netloc
        for written_url in _written(home).values()
    ):
        return None
    try:
        return (home.dagster / "servers" / TOKEN).read_text(encoding="ascii")
    except (FileNotFoundError, PermissionError):
        return None  # the server reports the missing token


def _refusal(url: str, reply: Reply) -> KinemillError:
    """Return the error for a response with an error code."""
    message = reply.message()
    if not message:
        return Unreachable(url, f"is not a kinemill server: it responds {reply.status}", fix=_HOW)
    if reply.status in _REFUSED:
        fix = (
            "set KINEMILL_TOKEN to a valid token: kinemill admin users token NAME prints a new one"
        )
        return BadInput(url, f"refuses ({reply.status}): {message}", fix=fix)
    if reply.status < 500:
        return BadInput(url, message)
    return Unreachable(url, message) if reply.status == 503 else KinemillError(url, message)
