"""The task that a version was made with, overrides included: what it is evaluated with later.

The task file may have changed since, or the version was made with `--set`. So the whole task is
kept with the version, in `store/registry/TASK/tasks/`, and checked against the digest in its tags.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import CorruptArtifact
from kinemill.register import tags
from kinemill.register.ledger import is_there, ledger_folder, publish
from kinemill.register.versions import Version
from kinemill.store import Json, digest, read_json
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.loader import recorded_task

FORMAT = Format("recorded task", 1)


def task_content(task: Task) -> Json:
    """Return all keys of a task, as they are kept and as its digest is taken."""
    return task.model_dump(mode="json", by_alias=True)


def save_task(home: Home, task: Task, number: int) -> None:
    """Write the task that a version was made with to the store."""
    publish(home, _file(home, task.name, number), FORMAT.stamp(task_content(task)))


def task_of(
    home: Home, task: Task, version: Version, overrides: Mapping[str, Any] | None = None
) -> Task:
    """Return the task that a version was made with; of a version of other clients the one given.

    Args:
        home: where the store lives.
        task: as the task file has it now.
        version: of the task.
        overrides: dotted key to value, on top of the recorded task.

    Raises:
        CorruptArtifact: the recorded task is damaged.
        TaskError: an override does not fit, or a file that the task names is gone.
    """
    path = _file(home, task.name, version.number)
    if not is_there(home, path):
        return load_task(task.path, overrides) if task.path and overrides else task
    content = FORMAT.open(path, read_json(path))
    if digest(content) != version.tags.get(tags.TASK):
        fix = "restore it from a backup: kinemill restore"
        raise CorruptArtifact(path, "is not the task that the version was made with", fix=fix)
    if content == task_content(task) and not overrides:
        return task
    return recorded_task(content, task.path, overrides or {}, f"task of {version.name}")


def reading_task(recorded: Task, task: Task) -> Task:
    """Return the recorded task of a version, able to read logs if the task file of today is.

    A policy that learned in its environment alone was made without channels. When the task file
    declares some since, they say how logs are read.
    """
    if recorded.channels or not task.channels:
        return recorded
    parts = {name: getattr(task, name) for name in ("channels", "ingest", "validation")}
    return recorded.model_copy(update=parts)


def _file(home: Home, task: str, number: int) -> Path:
    return ledger_folder(home, task) / "tasks" / f"{number:06d}.json"
