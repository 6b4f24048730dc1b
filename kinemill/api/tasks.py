"""Tasks from a file, a mapping, or keyword objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from kinemill.api.training import resolve_task
from kinemill.task import Channel, Dataset, Ingest, Learn, Plugin, Promote, Task, Verify, loader
from kinemill.task.control import Control
from kinemill.task.environment import Environment
from kinemill.task.export import Export
from kinemill.task.search import Tune

Part = Mapping[str, object]


class TaskParts(TypedDict, total=False):
    """The keys of a task file; each part is a settings object or a mapping of its keys."""

    task: str
    description: str
    dt: float
    channels: Mapping[str, Channel | Part]
    ingest: Ingest | Part
    validate: Part
    dataset: Dataset | Part
    augment: Sequence[Plugin | Part]
    learn: Learn | Part
    export: Export | Part
    verify: Verify | Part
    promote: Promote | Part
    environment: Environment | Part
    control: Control | Part
    tune: Tune | Part


def load_task(
    source: str | Path | Mapping[str, object],
    overrides: Mapping[str, object] | None = None,
    presets: Sequence[str] = (),
) -> Task:
    """Load and validate a task.

    Args:
        source: name of a task, path of its file, a mapping with the keys of a task file, or
            `gym:ID` of an environment, whose task is drafted.
        overrides: dotted key to value, such as `{"learn.model.type": "mlp"}`.
        presets: such as `["model=small"]`, before the overrides.

    Raises:
        TaskError: The task has problems; each is listed with its key and the nearest valid name.
        BadInput: The task or a preset does not exist.
    """
    return resolve_task(source, overrides, presets)


def make_task(**parts: Unpack[TaskParts]) -> Task:
    """Return a validated task from settings objects or mappings.

    Example:
        make_task(
            task="rod",
            dt=0.02,
            channels={
                "angle": Channel(role="state", kind="angle", unit="rad"),
                "torque": Channel(role="action", unit="N*m", limits=(-2, 2)),
            },
            learn={"type": "dynamics", "history": 4},
        )

    Raises:
        TaskError: The task has problems; each is listed with its key and the nearest valid name.
    """
    return loader.make_task(parts)
