"""What a task may say: channels, units, and the settings of every stage, with helpful errors."""

from kinemill.spec.channels import Channel, Source, rotations
from kinemill.spec.compute import TARGETS, Compute
from kinemill.spec.learn import Learn
from kinemill.spec.load import list_tasks, load_task, remember_task, task_name, task_path
from kinemill.spec.overrides import parse_overrides
from kinemill.spec.parts import Dataset, Ingest
from kinemill.spec.plugins import (
    AUGMENTATIONS,
    CHECKS,
    ENCODINGS,
    MODELS,
    OBJECTIVES,
    READERS,
    Plugin,
    Settings,
    pick,
    unknown_channels,
)
from kinemill.spec.promoting import Promote
from kinemill.spec.task import Task
from kinemill.spec.verifying import Verify

__all__ = [
    "AUGMENTATIONS",
    "CHECKS",
    "ENCODINGS",
    "MODELS",
    "OBJECTIVES",
    "READERS",
    "TARGETS",
    "Channel",
    "Compute",
    "Dataset",
    "Ingest",
    "Learn",
    "Plugin",
    "Promote",
    "Settings",
    "Source",
    "Task",
    "Verify",
    "list_tasks",
    "load_task",
    "parse_overrides",
    "pick",
    "remember_task",
    "rotations",
    "task_name",
    "task_path",
    "unknown_channels",
]
