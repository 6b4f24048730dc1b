"""Registry client: reads versions from an MLflow server over plain HTTP."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kinemill.errors import BadInput, CorruptArtifact, Unreachable
from kinemill.runtime.canary import WHICH, which_of
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.runtime.timing import Json

SUMS_TAG = "kinemill.sums"  # tag of a version: sha256 of `sha256sums`
PROVISIONAL_TAG = "kinemill.provisional"  # tag of a version: missing test data, or `no`
ROBOT_HEADER = "X-Kinemill-Robot"  # of a request for the checksums of an installed version
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
        """Copy its files into an empty folder."""
        ...

    def report(self, ref: VersionRef) -> None:
        """Report that the robot installed the version.

        Raises:
            Unreachable: The registry does not respond.
            OSError: The report cannot be written.
        """
        ...


@dataclass(frozen=True)
class ServerSource:
    """Registry of an MLflow server, with an optional token."""

    url: str
    task: str
    which: str
    token: str | None = None
    robot: str = ""

    def resolve(self) -> VersionRef:
        """Resolve the alias with the REST API of MLflow.

        Raises:
            BadInput: There is no such version, or kinemill did not register it.
        """
        name, which = {"name": self.task}, self.which
        if which == WHICH:
            model_tags = self._ask("registered-models/get", **name)["registered_model"].get(
                "tags", []
            )
            which = which_of(
                self.task, self.robot, {one["key"]: one["value"] for one in model_tags}
            )
        if which.startswith("@"):
            response = self._ask("registered-models/alias", **name, alias=which[1:])
        else:
            response = self._ask("model-versions/get", **name, version=which[1:])
        version = response["model_version"]
        tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
        if SUMS_TAG not in tags:
            raise BadInput(f"{self.task}{self.which}", "was not registered by kinemill")
        provisional = tags.get(PROVISIONAL_TAG, "no")
        return VersionRef(
            int(version["version"]), tags[SUMS_TAG], "" if provisional == "no" else provisional
        )

    def copy(self, ref: VersionRef, folder: Path) -> None:
        """Download all files listed in `sha256sums`.

        Raises:
            CorruptArtifact: The list names a file outside of the folder.
        """
        (folder / SUMS).write_bytes(self._file(ref, SUMS))
        for name in read_sums(folder):
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                problem = f"names {name}, which is outside of the folder"
                raise CorruptArtifact(f"{self.url} {SUMS}", problem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._file(ref, name))

    def report(self, ref: VersionRef) -> None:
        """Report the installation; a server that is no kinemill server ignores it."""
        name = urllib.parse.quote(self.robot)  # a header is ASCII
        self._file(ref, SUMS, {ROBOT_HEADER: name})

    def _ask(self, path: str, **query: str) -> Json:
        return json.loads(self._get(f"/api/2.0/mlflow/{path}", query))

    def _file(self, ref: VersionRef, name: str, headers: Mapping[str, str] | None = None) -> bytes:
        query = {"path": f"bundle/{name}", "name": self.task, "version": str(ref.version)}
        return self._get("/model-versions/get-artifact", query, headers)

    def _get(
        self, path: str, query: dict[str, str], headers: Mapping[str, str] | None = None
    ) -> bytes:
        address = f"{self.url.rstrip('/')}{path}?{urllib.parse.urlencode(query)}"
        if not address.startswith(("http://", "https://")):
            raise BadInput(
                self.url, "is not the address of a server", expected="http:// or https://"
            )
        request = urllib.request.Request(address, headers=dict(headers or {}))
        if self.token:  # not sent along with redirects
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            if error.code in {400, 404}:
                where = f"{self.task}{self.which}"
                raise BadInput(where, f"{self.url} knows no such version") from error
            raise Unreachable(self.url, f"responded with {error.code} {error.reason}") from error
        except OSError as error:
            raise Unreachable(self.url, f"does not respond: {error}") from error


def address_parts(model: str) -> tuple[str, str]:
    """Split `TASK@champion` or `TASK:3` into task and `@alias` or `:number`; default: champion.

    Raises:
        BadInput: The name is invalid.
    """
    task, mark, which = model.partition("@" if "@" in model else ":")
    if not task or (mark and not which):
        raise BadInput(model, "names no version", expected="TASK@champion or TASK:3")
    return task, f"{mark}{which}" or "@champion"


def from_server(url: str, model: str, token: str | None, robot: str) -> ServerSource:
    """Return the source for `TASK@champion` on a server.

    Raises:
        BadInput: The name is invalid.
    """
    task, which = address_parts(model)
    return ServerSource(url, task, which, token, robot)
