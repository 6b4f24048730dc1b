"""Task files: channels, units and the settings of every stage, with errors that name the line."""

from kinemill.task.bounds import (
    Count,
    Layers,
    Pixels,
    PositiveQuantity,
    Ratio,
    RatioOrZero,
    RowCount,
    Seconds,
    Steps,
    Width,
)
from kinemill.task.channels import Channel, Source, rotations
from kinemill.task.compute import Compute
from kinemill.task.document import Task
from kinemill.task.environment import KINDS, WRAPPERS, Environment, Wrapper
from kinemill.task.learn import Learn
from kinemill.task.loader import list_tasks, load_task, make_task, remember_task, task_name
from kinemill.task.overrides import parse_overrides
from kinemill.task.own_code import OwnCode
from kinemill.task.plugins import (
    AUGMENTATIONS,
    CHECKS,
    ENCODINGS,
    MODELS,
    OBJECTIVES,
    READERS,
    Model,
    Plugin,
    Settings,
)
from kinemill.task.portfolio import Candidate, TaskFacts
from kinemill.task.promote import Promote
from kinemill.task.protocols import NullReporter, Progress, TorchModule, WarmStart
from kinemill.task.reinforcement import ALGORITHMS
from kinemill.task.settings import Problems, unknown_channels
from kinemill.task.stages import Dataset, Ingest
from kinemill.task.units import in_unit
from kinemill.task.verify import Verify

__all__ = [
    "ALGORITHMS",
    "AUGMENTATIONS",
    "CHECKS",
    "ENCODINGS",
    "KINDS",
    "MODELS",
    "OBJECTIVES",
    "READERS",
    "WRAPPERS",
    "Candidate",
    "Channel",
    "Compute",
    "Count",
    "Dataset",
    "Environment",
    "Ingest",
    "Layers",
    "Learn",
    "Model",
    "NullReporter",
    "OwnCode",
    "Pixels",
    "Plugin",
    "PositiveQuantity",
    "Problems",
    "Progress",
    "Promote",
    "Ratio",
    "RatioOrZero",
    "RowCount",
    "Seconds",
    "Settings",
    "Source",
    "Steps",
    "Task",
    "TaskFacts",
    "TorchModule",
    "Verify",
    "WarmStart",
    "Width",
    "Wrapper",
    "in_unit",
    "list_tasks",
    "load_task",
    "make_task",
    "parse_overrides",
    "remember_task",
    "rotations",
    "task_name",
    "unknown_channels",
]
