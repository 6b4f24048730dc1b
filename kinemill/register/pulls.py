"""Pulls: robot, version and time of each installation.

`pulls/<task>.jsonl` of the home has one line per installation, appended and never changed. A robot
that pulls from a server reports to it over REST; see `pipelines/rest/models.py`.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text

_LONGEST = 100  # characters of a robot's name


@dataclass(frozen=True)
class Pull:
    """One installation of a version on a robot.

    Attributes:
        at: time, ISO 8601 in UTC.
        robot: name of the robot.
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
    pull = Pull(datetime.now(UTC).isoformat(timespec="seconds"), robot, version, user)
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
