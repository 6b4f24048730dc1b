"""Pulls: robot, version and time of each installation.

`pulls/<task>.jsonl` of the home has one line per installation, appended and never changed. A robot
that pulls from a server reports to it over REST; see `pipelines/rest/models.py`.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from kinemill.errors import CorruptArtifact, Unreachable
from kinemill.register import tags
from kinemill.register.alias_switch import notes_of
from kinemill.register.consistency import is_registered
from kinemill.register.versions import bundle_folder, find_version
from kinemill.runtime.canary import WHICH, which_of
from kinemill.runtime.download import pull, watch
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.runtime.registry_client import ServerSource, Source, VersionRef
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.store.locks import current_user, now

_LONGEST = 100  # characters of a robot's name
__all__ = ["OfHome", "ServerSource", "Source", "VersionRef", "pull", "watch"]


@dataclass(frozen=True)
class Pull:
    """One installation of a version on a robot.

    Attributes:
        at: time, ISO 8601 in UTC.
        version: number of the installed version.
        user: user who pulled.
    """

    at: str
    robot: str
    version: int
    user: str


def record_pull(home: Home, task: str, robot: str, version: int, user: str) -> None:
    """Append a pull, unless the robot's last one is of the same version.

    Raises:
        OSError: The home cannot be written.
    """
    robot = valid_text(robot)[:_LONGEST]
    last = deployed(home, task).get(robot)
    if last and last.version == version:
        return
    pull = Pull(now(), robot, version, user)
    path = _path(home, task)
    home.make()
    path.parent.mkdir(exist_ok=True)
    # One write of a short line: lines of other processes do not mix with it.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{json.dumps(asdict(pull))}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pulls_of(home: Home, task: str) -> list[Pull]:
    """Return the pulls of a task's versions, oldest first.

    Raises:
        CorruptArtifact: A line of the list is damaged.
    """
    path = _path(home, task)
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")  # without the last line, which may be incomplete
    pulls = list[Pull]()
    for number, line in enumerate(lines, 1):
        try:
            pulls.append(Pull(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise CorruptArtifact(
                f"{path}:{number}",
                f"is not a record of a pull ({error})",
                expected="one JSON object per line",
                fix="correct the line, or move the file away; robots are recorded at the next pull",
            ) from error
    return pulls


def deployed(home: Home, task: str) -> dict[str, Pull]:
    """Return the last pull of every robot, by its name.

    Raises:
        CorruptArtifact: The list is damaged.
    """
    return {pull.robot: pull for pull in pulls_of(home, task)}


def _path(home: Home, task: str) -> Path:
    return home.root / "pulls" / f"{task}.jsonl"


@dataclass(frozen=True)
class OfHome:
    """Source in the registry of a home or of a shared database.

    `which` is `@alias` or `:number`. `@canary` is the canary version if the robot is in its share,
    else the champion.
    """

    home: Home
    task: str
    which: str
    robot: str = ""

    def resolve(self) -> VersionRef:
        """Look the alias up in the database."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if not is_registered(self.home, self.task):
                raise Unreachable(self.home.mlflow_db, "is missing: no registry, or not mounted")
            which = self.which
            if which == WHICH:
                notes = notes_of(self.home, self.task)
                which = which_of(self.task, self.robot, notes)
            version = find_version(self.home, self.task, which)
        except SQLAlchemyError as error:
            raise Unreachable(
                self.task, f"the registry does not respond: {str(error).splitlines()[0]}"
            ) from error
        return VersionRef(version.number, version.tags[tags.SUMS], version.provisional)

    def copy(self, ref: VersionRef, folder: Path) -> None:
        """Copy the bundle, from the store or from MLflow's copy."""
        version = find_version(self.home, self.task, f":{ref.version}")
        source = bundle_folder(self.home, version)
        for name in (SUMS, *read_sums(source)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)

    def report(self, ref: VersionRef) -> None:
        """Record the installation in the home."""
        record_pull(self.home, self.task, self.robot or "unknown", ref.version, current_user())
