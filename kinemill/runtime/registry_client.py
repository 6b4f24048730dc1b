"""Registry client: reads versions from a kinemill server over REST, with plain HTTP."""

import hashlib
import re
import time
import urllib.parse
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from kinemill.bounded_http import Reply, printable, send
from kinemill.errors import BadInput, CorruptArtifact, Unreachable
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.store.json_io import Json

_DOCUMENT_TIME = 30.0  # s
_FILES_TIME = 3600.0  # s for all files of a version
_MOST_SUMS = 2**20  # bytes of `sha256sums`
_MOST_BYTES = 4 * 2**30  # of all files of a version; an ONNX file holds at most 2 GiB
_MOST_VERSIONS = 10**9
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class VersionRef:
    """The version that an alias points to. Folders are named by it, so all fields are checked.

    Attributes:
        version: its number.
        sums: sha256 of its `sha256sums`.
        provisional: checks for which the gate had too little test data, or "".

    Raises:
        CorruptArtifact: A field is not what a registry contains.
    """

    version: int
    sums: str
    provisional: str = ""

    def __post_init__(self) -> None:
        """Check the fields."""
        # A bool is an int.
        if type(self.version) is not int or not 0 < self.version < _MOST_VERSIONS:
            _refuse("version", self.version, "the number of a version")
        if not _SHA256.fullmatch(_text("sums", self.sums)):
            _refuse("sums", self.sums, "64 lowercase hexadecimal digits")
        if self.provisional != printable(_text("provisional", self.provisional)):
            _refuse("provisional", self.provisional, "a short line of text")


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        _refuse(field, value, "text")
    return value


def _refuse(field: str, value: object, expected: str) -> NoReturn:
    raise CorruptArtifact(f"{field} of a version", f"is {value!r:.80}", expected=expected)


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
            Unreachable: The server does not respond, or responds with an error or invalid fields.
        """
        path = f"{urllib.parse.quote(self.which.removeprefix(':'), safe='@')}/resolve"
        with self._send(path, _DOCUMENT_TIME) as reply:
            document = reply.document()
        try:
            if not isinstance(document, dict):
                raise CorruptArtifact("the response", "is not an object")
            fields: Json = {"version": None, "sums": None, "provisional": None}
            fields |= document
            ref = VersionRef(fields["version"], fields["sums"], fields["provisional"])
            if self.which.startswith(":") and self.which != f":{ref.version}":
                _refuse("version", ref.version, f"{self.which.removeprefix(':')}, as requested")
        except CorruptArtifact as error:
            raise Unreachable(self.url, f"sent an invalid response: {error}") from error
        return ref

    def copy(self, ref: VersionRef, folder: Path) -> None:
        """Download all files listed in `sha256sums`.

        Raises:
            BadInput: The server does not have the version or one of its files.
            CorruptArtifact: The list is invalid, or is not the one that `ref` names.
            Unreachable: The server does not respond, or responds with an error.
        """
        end = time.monotonic() + _FILES_TIME
        self._download(ref, SUMS, folder / SUMS, end, _MOST_SUMS)
        if hashlib.sha256((folder / SUMS).read_bytes()).hexdigest() != ref.sums:
            raise CorruptArtifact(f"{self.url} {SUMS}", "differs from what was registered")
        remaining = _MOST_BYTES
        for name in read_sums(folder):
            remaining -= self._download(ref, name, folder / name, end, remaining)

    def _download(self, ref: VersionRef, name: str, to: Path, end: float, most: int) -> int:
        """Download a file of at most `most` bytes until the time `end`; return its size."""
        path = f"{ref.version}/files/{urllib.parse.quote(name)}"
        seconds = max(end - time.monotonic(), 1.0)
        with self._send(path, seconds) as reply, to.open("xb") as file:
            return sum(file.write(chunk) for chunk in reply.chunks(most))

    @contextmanager
    def _send(self, path: str, seconds: float) -> Generator[Reply]:
        """Send a request below the address of the task's versions; yield the response."""
        if not self.url.startswith(("http://", "https://")):
            expected = "http:// or https://"
            raise BadInput(self.url, "is not the address of a server", expected=expected)
        address = f"{self.url.rstrip('/')}/api/v1/models/{urllib.parse.quote(self.task)}/{path}"
        with send(address, token=self.token, seconds=seconds) as reply:
            if reply.status in {400, 404}:
                message = reply.message() or "it is not a kinemill server, or has no such version"
                raise BadInput(f"{self.task}{self.which}", f"{self.url} responded: {message}")
            if reply.status != 200:
                raise Unreachable(self.url, f"responded with {reply.status}")
            yield reply


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
