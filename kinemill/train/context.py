"""What a training is given beside its data, and what comes of it, whichever way it learns."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinemill.store import Json
from kinemill.task.protocols import Progress, Tracker, WarmStart

Listeners = tuple[Tracker, Progress]


@dataclass(frozen=True)
class TrainingContext:
    """Where a training works.

    Attributes:
        folder: kept from one attempt to the next: checkpoints that a rerun goes on from.
        listeners: who records metrics, and who watches.
        device: torch device.
        start: the model that `learn.start_from` stands for, if it is set.
    """

    folder: Path
    listeners: Listeners
    device: Any
    start: WarmStart | None = None


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        weights: tensors by name, those that are published.
        history: values by name, each with its step: [[step, value], ...].
        step: the last one.
        best_step: the one the weights are of.
        best: what `monitor` was then.
        monitor: name of the series that marked the best weights.
        summary: what else belongs into the outcome's summary.
        files: name and content of further files to publish, such as a table of episodes.
    """

    weights: dict[str, Any]
    history: dict[str, Any]
    step: int
    best_step: int
    best: float
    monitor: str
    summary: Json = field(default_factory=dict[str, Any])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
