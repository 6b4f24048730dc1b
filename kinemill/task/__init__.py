"""Task files: channels, units and the settings of every stage, with errors that name the line."""

from kinemill.task.channels import Channel, Source, rotations
from kinemill.task.compute import TARGETS, Compute
from kinemill.task.document import Task
from kinemill.task.learn import Learn
from kinemill.task.loader import list_tasks, load_task, make_task, remember_task, task_name
from kinemill.task.overrides import parse_overrides
from kinemill.task.plugins import (
    AUGMENTATIONS,
    CHECKS,
    ENCODINGS,
    MODELS,
    OBJECTIVES,
    READERS,
    TAGGERS,
    Plugin,
    Settings,
    Tagger,
)
from kinemill.task.promote import Promote
from kinemill.task.settings import unknown_channels
from kinemill.task.stages import Dataset, Ingest
from kinemill.task.verify import Verify

__all__ = [
    "AUGMENTATIONS",
    "CHECKS",
    "ENCODINGS",
    "MODELS",
    "OBJECTIVES",
    "READERS",
    "TAGGERS",
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
    "Tagger",
    "Task",
    "Verify",
    "list_tasks",
    "load_task",
    "make_task",
    "parse_overrides",
    "remember_task",
    "rotations",
    "task_name",
    "unknown_channels",
]
