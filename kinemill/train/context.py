"""Context and result of a training, common to all learn types."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinemill.registry import Links
from kinemill.store import ArtifactRef, Home
from kinemill.task.document import Task
from kinemill.task.learn import Learn
from kinemill.task.protocols import Progress, Tracker, WarmStart
from kinemill.train.summary import LearnFacts

PORTFOLIO = "portfolio"  # folder of candidates next to the checkpoints of a training

Listeners = tuple[Tracker, Progress]


@dataclass(frozen=True)
class TrainingContext:
    """Context of a training.

    Attributes:
        folder: folder of checkpoints, kept for a rerun.
        listeners: tracker and progress.
        device: torch device.
        start: the model of `learn.start_from`, if it is set.
        source: home and dataset, where the references of the dataset may be published.
    """

    folder: Path
    listeners: Listeners
    device: Any
    start: WarmStart | None = None
    source: tuple[Home, ArtifactRef] | None = None

    @property
    def tracker(self) -> Tracker:
        """The tracker of `listeners`."""
        return self.listeners[0]

    @property
    def progress(self) -> Progress:
        """The progress of `listeners`."""
        return self.listeners[1]


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        weights: published tensors by name.
        history: values by name, each with its step: [[step, value], ...].
        step: number of steps.
        best_step: step of the weights.
        best: value of `monitor` at that step.
        monitor: name of the series that selects the best weights.
        facts: further numbers of the artifact's summary.
        files: further files to publish, content by name.
        learn: the trained settings if they differ from the task's: those of the model family that
            a portfolio selected. None: those of the task.
    """

    weights: dict[str, Any]
    history: dict[str, list[list[float | None]]]
    step: int
    best_step: int
    best: float
    monitor: str
    facts: LearnFacts
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    learn: Learn | None = None


# Members select a model for a task without one, and train it: settings, task, data and context.
SELECTIONS: Links[Callable[[Any, Task, Any, TrainingContext], Trained]] = Links(
    "model selection", {"portfolio": "kinemill.selection.portfolio.race"}
)
