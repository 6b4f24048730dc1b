"""Client of a kinemill server over REST, `/api/v1`; imports no Dagster.

The address of the server is `KINEMILL_URL`, or the one that `kinemill ui` of this home has saved.
The bearer token is `KINEMILL_TOKEN`, or for servers of this home the token of the home.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any

from kinemill.errors import BadInput, CorruptArtifact, KinemillError, Unreachable
from kinemill.failures import check_databases
from kinemill.store import Home, Json
from kinemill.store.locks import lock

SERVED, TOKEN = "addresses.json", "token"  # in the folder of the servers' logs
_HOW = "start it: kinemill ui (make ui), or set KINEMILL_URL to a running server"
_SECONDS = 60.0
_HERE = {"127.0.0.1", "localhost", "::1"}
_REFUSED = {401, 403}


class NoServer(BadInput):
    """No server responds; start one or set its address."""


class Server:
    """A kinemill server.

    Args:
        url: address of its web pages, such as `http://127.0.0.1:3000`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str, **query: object) -> Json:
        """Return the document at a path, such as `runs`."""
        parameters = urllib.parse.urlencode(query)
        with self._open(f"{path}?{parameters}" if query else path) as response:
            return _document(self.url, response)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Json:
        """Send a body to a path, and return the document of the response."""
        with self._open(path, body or {}) as response:
            return _document(self.url, response)

    def events(self, path: str) -> Iterator[tuple[str, Json]]:
        """Yield the server-sent events at a path, name and data, up to the event `end`.

        Raises:
            NoServer: The server closed the stream before `end`.
        """
        name, why = "", "it stopped"
        with self._open(path) as response:
            try:
                for line in response:
                    text = line.decode().rstrip("\r\n")
                    if text.startswith("event: "):
                        name = text.removeprefix("event: ")
                    elif text.startswith("data: "):
                        yield name, json.loads(text.removeprefix("data: "))
                        if name == "end":
                            return
            except (OSError, HTTPException) as error:
                why = str(error)
        raise NoServer(self.url, f"ended the stream of {path} early ({why})", fix=_HOW)

    def page(self, run: str) -> str:
        """Return the address of a run's page."""
        return f"{self.url}/runs/{run}"

    def _open(self, path: str, body: Mapping[str, object] | None = None) -> HTTPResponse:
        """Send a request.

        Raises:
            NoServer: No server responds.
            BadInput: The server refuses the request.
            KinemillError: The server fails, or is not a kinemill server.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, headers)
        if token := os.environ.get("KINEMILL_TOKEN") or _own_token(self.url):
            # Redirects must not pass the token to other servers.
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            return _opener(self.url).open(request, timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            raise _refusal(self.url, error) from error
        except (urllib.error.URLError, OSError) as error:
            why = getattr(error, "reason", error)
            raise NoServer(self.url, f"does not respond ({why})", fix=_HOW) from error


def find_server() -> Server:
    """Return the server that commands use.

    Raises:
        NoServer: No address is known.
        CorruptArtifact: A database of the Dagster server of this home is damaged.
    """
    if url := os.environ.get("KINEMILL_URL"):
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise BadInput("KINEMILL_URL", repr(url), expected="http://HOST:PORT")
        return Server(url)
    home = Home.resolve()
    _check_databases(home)
    if url := _written(home).get("Dagster"):
        return Server(url)
    raise NoServer(home.root, "no server is running for this home", fix=_HOW)


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


def _document(url: str, response: HTTPResponse) -> Json:
    try:
        return json.load(response)
    except ValueError as error:
        raise KinemillError(url, "is no kinemill server", fix=_HOW) from error


def _own_token(url: str) -> str | None:
    """Return the token of the home if the server belongs to the home."""
    home, address = Home.find(), urllib.parse.urlsplit(url)
    if not any(
        address.netloc == urllib.parse.urlsplit(one).netloc for one in _written(home).values()
    ):
        return None
    try:
        return (home.dagster / "servers" / TOKEN).read_text(encoding="ascii")
    except (FileNotFoundError, PermissionError):
        return None  # the server reports the missing token


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return the opener for an address; a loopback address uses no proxy."""
    here = urllib.parse.urlsplit(url).hostname in _HERE
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))


def _refusal(url: str, error: urllib.error.HTTPError) -> KinemillError:
    """Return the error for a response with a code of 400 or more."""
    try:
        reply: Any = json.loads(error.read())
        message = str(reply["message"])
    except (ValueError, LookupError, TypeError):
        return KinemillError(url, f"is not a kinemill server: it responds {error.code}", fix=_HOW)
    if error.code in _REFUSED:
        fix = (
            "set KINEMILL_TOKEN to a valid token: kinemill admin users token NAME prints a new one"
        )
        return BadInput(url, f"refuses ({error.code}): {message}", fix=fix)
    if error.code < 500:
        return BadInput(url, message)
    return Unreachable(url, message) if error.code == 503 else KinemillError(url, message)
