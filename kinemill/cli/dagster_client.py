"""Client of a running Dagster server, over GraphQL; imports no Dagster.

Its address is `KINEMILL_URL`, else the one that `kinemill ui` of this home has saved. The bearer
token is `KINEMILL_TOKEN`, else, for the servers of this home, the token of the home.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from kinemill.errors import BadInput, CorruptArtifact, KinemillError
from kinemill.failures import check_databases, damaged_databases
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.store.locks import lock

SERVED, TOKEN = "addresses.json", "token"  # next to the servers' logs
_HOW = "start it: kinemill ui (make ui), or set KINEMILL_URL to one that runs"
_SECONDS = 60.0
_DAMAGED = ("malformed", "file is not a database", "no such table", "no such column")
_HERE = {"127.0.0.1", "localhost", "::1"}
_REFUSED, _CAUGHT = {401, 403}, 500  # 500 with a response: an error that Dagster caught


class NoServer(BadInput):
    """No Dagster server responds; start one or set its address."""


class Server:
    """Dagster at an address.

    Args:
        url: of its web pages, such as `http://127.0.0.1:3000`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, query: str, **variables: object) -> Json:
        """Send a GraphQL query; return the `data` of the response.

        Raises:
            NoServer: no server responds.
            KinemillError: the server refuses the query or is no Dagster.
        """
        response = fetch(f"{self.url}/graphql", {"query": query, "variables": variables})
        if response.get("errors") or not isinstance(response.get("data"), dict):
            said: Any = (response.get("errors") or ["no data"])[0]
            message = str(said.get("message") if isinstance(said, dict) else said)
            raise self.failure(message, "does not answer as Dagster does: ")
        return response["data"]

    def failure(self, message: str, prefix: str = "") -> KinemillError:
        """Return the error for a failure in Dagster: its first line, or the damaged database.

        Args:
            message: of Dagster, on several lines if it quotes a library.
            prefix: text for a response that is not from Dagster.
        """
        if any(text in message for text in _DAMAGED):
            for damage in damaged_databases(Home.find()) if self.url == _own_url() else ():
                return damage
            fix = "docs/runs.md says which file of its home to restore or to move"
            return KinemillError(self.url, "a database of this server is damaged", fix=fix)
        line = next(iter(message.strip().splitlines()), "")
        fix = "KINEMILL_URL is the address of Dagster's pages" if prefix else None
        return KinemillError(self.url, f"{prefix}{line}", fix=fix)

    def page(self, run: str) -> str:
        """Return the address of a run's page."""
        return f"{self.url}/runs/{run}"


def find_server() -> Server:
    """Return the Dagster server that commands use.

    Raises:
        NoServer: none is known.
        CorruptArtifact: a database of the Dagster server of this home is damaged.
    """
    if url := os.environ.get("KINEMILL_URL"):
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise BadInput("KINEMILL_URL", repr(url), expected="http://HOST:PORT")
        return Server(url)
    home = Home.resolve()
    _check_databases(home)
    if url := _written(home).get("Dagster"):
        return Server(url)
    raise NoServer(home.root, "no Dagster server is running for this home", fix=_HOW)


def _check_databases(home: Home) -> None:
    """Check Dagster's databases under their lock; one that is being created may look damaged."""
    try:
        check_databases(home)
    except CorruptArtifact:
        with lock(home, "dagster"):
            check_databases(home)


def _own_url() -> str | None:
    """Return the address of the Dagster server of this home, or None."""
    return _written(Home.find()).get("Dagster")


def mlflow_url(home: Home) -> str | None:
    """Return the address of MLflow's pages, or None."""
    return os.environ.get("KINEMILL_MLFLOW_URL") or _written(home).get("MLflow")


def _written(home: Home) -> dict[str, str]:
    try:
        return json.loads((home.dagster / "servers" / SERVED).read_text())
    except FileNotFoundError:
        return {}


def fetch(url: str, body: Mapping[str, object] | None = None) -> Json:
    """Return the JSON response of an address, by POST with a `body`, else by GET.

    Raises:
        NoServer: no server responds.
        KinemillError: the server refuses, or the response is no JSON.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    if token := os.environ.get("KINEMILL_TOKEN") or _own_token(url):
        # Redirects must not pass the token to other servers.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with _opener(url).open(request, timeout=_SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        said = error.read()
        if error.code == _CAUGHT and (message := _graphql(said)):
            return message
        raise _refusal(url, error.code, said.decode(errors="replace")) from error
    except (urllib.error.URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise NoServer(url, f"does not answer ({why})", fix=_HOW) from error
    except ValueError as error:
        raise KinemillError(url, "answers, but not as Dagster does", fix=_HOW) from error


def _own_token(url: str) -> str | None:
    """Return the token of the home, for a server that the home has saved."""
    home, address = Home.find(), urllib.parse.urlsplit(url)
    if not any(
        address.netloc == urllib.parse.urlsplit(one).netloc for one in _written(home).values()
    ):
        return None
    try:
        return (home.dagster / "servers" / TOKEN).read_text(encoding="ascii")
    except (FileNotFoundError, PermissionError):
        return None  # the server reports what it requires


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return the opener of an address; addresses of this machine never use a proxy."""
    here = urllib.parse.urlsplit(url).hostname in _HERE
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))


def _graphql(said: bytes) -> Json | None:
    """Return the response to a GraphQL query, or None if it is something else."""
    try:
        document = json.loads(said)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("data") else None


def _refusal(url: str, code: int, said: str) -> KinemillError:
    try:
        message = json.loads(said)["errors"][0]["message"]
    except (ValueError, LookupError, TypeError):
        message, said = "", (said.strip().splitlines() or [""])[0]
    if code in _REFUSED:
        why = f"refuses ({code})" + (f": {message}" if message else "")
        fix = "set KINEMILL_TOKEN to a token it takes: kinemill admin users token NAME makes one"
        return BadInput(url, why, fix=fix)
    return KinemillError(url, f"answers {code} {message or said}".strip())
