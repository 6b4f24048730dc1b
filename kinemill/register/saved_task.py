"""The task of a version with its overrides, for later evaluations.

The task file may have changed since, and `--set` may have overridden it. So the whole task is
stored in `store/registry/TASK/tasks/` under its digest, which the version has as a tag.
"""

from collections.abc import Mapping
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.register import tags
from kinemill.register.audit_log import has_file, publish
from kinemill.register.versions import Version
from kinemill.store import Format, Home, Json, digest, read_json
from kinemill.task import Task, load_task
from kinemill.task.loader import recorded_task

FORMAT = Format("recorded task", 1)
_RESTORE = "restore it from a backup: kinemill admin restore"


def task_content(task: Task) -> Json:
    """Return all keys of a task as JSON, for storage and digests."""
    return task.model_dump(mode="json", by_alias=True)


def save_task(home: Home, task: Task) -> None:
    """Write a task to the store."""
    content = task_content(task)
    publish(home, _file(home, task.name, digest(content)), FORMAT.stamp(content))


def task_of(
    home: Home, task: Task, version: Version, overrides: Mapping[str, object] | None = None
) -> Task:
    """Return the task that a version was made with; for versions of other clients `task`.

    `overrides`, values by dotted key, replace values of the recorded task.

    Raises:
        CorruptArtifact: The recorded task is damaged.
        TaskError: An override is invalid, or a file that the task names is missing.
    """
    content = _content(home, task.name, version)
    if content is None:
        return load_task(task.path, overrides) if task.path and overrides else task
    if content == task_content(task) and not overrides:
        return task
    return recorded_task(content, task.path, overrides or {}, f"task of {version.name}")


def _content(home: Home, task: str, version: Version) -> Json | None:
    """Return the content of the recorded task of a version; None without a record."""
    recorded = version.tags.get(tags.TASK, "")
    path = _file(home, task, recorded)
    if not recorded.isalnum() or not has_file(home, path):
        return None
    content = FORMAT.open(path, read_json(path))
    if digest(content) != recorded:
        problem = "is not the task that the version was made with"
        raise CorruptArtifact(path, problem, fix=_RESTORE)
    return content


def reading_task(recorded: Task, task: Task) -> Task:
    """Return the recorded task of a version, with channels of the current task file if needed.

    A policy that was trained in an environment only has no channels. If the task file declares
    channels now, they are used to read logs.
    """
    if recorded.channels or not task.channels:
        return recorded
    parts = {name: getattr(task, name) for name in ("channels", "ingest", "validation")}
    return recorded.model_copy(update=parts)


def _file(home: Home, task: str, recorded: str) -> Path:
    return home.audit_logs / task / "tasks" / f"{recorded}.json"
