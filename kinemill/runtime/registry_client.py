"""Registry client: reads versions from a kinemill server over REST, with plain HTTP."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kinemill.errors import BadInput, CorruptArtifact, Unreachable
from kinemill.runtime.integrity import SUMS, read_sums

_PATIENCE = 30.0  # s, time limit of a request


@dataclass(frozen=True)
class VersionRef:
    """The version that an alias points to.

    Attributes:
        version: its number.
        sums: sha256 of its `sha256sums`.
        provisional: checks for which the gate had too little test data, or "".
    """

    version: int
    sums: str
    provisional: str = ""


class Source(Protocol):
    """A registry to pull from."""

    def resolve(self) -> VersionRef:
        """Return the current version.

        Raises:
            BadInput: The version does not exist.
            Unreachable: The registry does not respond.
        """
        ...

    def copy(self, ref: VersionRef, folder: Path) -> None:
        """Copy its files into an empty folder.

        Raises:
            CorruptArtifact: The list of files is invalid.
            Unreachable: The registry does not respond.
        """
        ...


@dataclass(frozen=True)
class ServerSource:
    """Registry of a kinemill server, with an optional token.

    Attributes:
        url: address of its web pages, such as `http://host:3000`.
        task: name of the task.
        which: `@alias` or `:number`.
        token: bearer token of a user, if the server requires one.
    """

    url: str
    task: str
    which: str
    token: str | None = None

    def resolve(self) -> VersionRef:
        """Request the version that `which` points to.

        Raises:
            BadInput: The version does not exist, or `url` is not an HTTP address.
            Unreachable: The server does not respond, or responds with an error.
        """
        version = json.loads(self._send(f"{self.which.removeprefix(':')}/resolve"))
        return VersionRef(int(version["version"]), version["sums"], version["provisional"])

    def copy(self, ref: VersionRef, folder: Path) -> None:
        """Download all files listed in `sha256sums`.

        Raises:
            BadInput: The server does not have the version or one of its files.
            CorruptArtifact: The list is invalid, or names a file outside of the folder.
            Unreachable: The server does not respond, or responds with an error.
        """
        (folder / SUMS).write_bytes(self._file(ref, SUMS))
        for name in read_sums(folder):
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                problem = f"names {name}, which is outside of the folder"
                raise CorruptArtifact(f"{self.url} {SUMS}", problem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._file(ref, name))

    def _file(self, ref: VersionRef, name: str) -> bytes:
        return self._send(f"{ref.version}/files/{urllib.parse.quote(name)}")

    def _send(self, path: str) -> bytes:
        """Send a request below the address of the task's versions; return the response."""
        if not self.url.startswith(("http://", "https://")):
            expected = "http:// or https://"
            raise BadInput(self.url, "is not the address of a server", expected=expected)
        address = f"{self.url.rstrip('/')}/api/v1/models/{urllib.parse.quote(self.task)}/{path}"
        request = urllib.request.Request(address)
        if self.token:  # not sent along with redirects
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            if error.code in {400, 404}:
                raise BadInput(f"{self.task}{self.which}", _message(self.url, error)) from error
            raise Unreachable(self.url, f"responded with {error.code} {error.reason}") from error
        except OSError as error:
            raise Unreachable(self.url, f"does not respond: {error}") from error


def _message(url: str, error: urllib.error.HTTPError) -> str:
    """Return the message of an error response."""
    try:
        return f"{url} responded: {json.loads(error.read())['message']}"
    except (ValueError, LookupError, TypeError):
        return f"{url} is not a kinemill server, or has no such version"


def address_parts(model: str) -> tuple[str, str]:
    """Split `TASK@champion` or `TASK:3` into task and `@alias` or `:number`; default: champion.

    Raises:
        BadInput: The name is invalid.
    """
    task, mark, which = model.partition("@" if "@" in model else ":")
    if not task or (mark and not which):
        raise BadInput(model, "is not a version", expected="TASK@champion or TASK:3")
    return task, f"{mark}{which}" or "@champion"


def from_server(url: str, model: str, token: str | None) -> ServerSource:
    """Return the source for `TASK@champion` on a server.

    Raises:
        BadInput: The name is invalid.
    """
    task, which = address_parts(model)
    return ServerSource(url, task, which, token)
