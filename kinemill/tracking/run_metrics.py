"""Metrics of a pipeline run, from its training folder, or without it from MLflow.

The folder has each value immediately; MLflow has it after 5 s, permanently.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kinemill.store.home import Home
from kinemill.tracking.database import open_tracking
from kinemill.tracking.jsonl import FILE, Point, Reader
from kinemill.tracking.run_links import DAGSTER_RUN, TrainingLink, noted_training, total_steps

LOSS = "train/loss"
_OF_REGISTRATION = "test/"  # metrics of the registration, in the same MLflow run


@dataclass
class RunMetrics:
    """The metrics of a run so far.

    Attributes:
        run: Dagster id of the run.
        points: points so far, in the order of logging.
    """

    home: Home
    run: str
    task: str
    points: list[Point] = field(default_factory=list[Point])
    _link: TrainingLink | None = None
    _reader: Reader | None = None

    @classmethod
    def of(cls, home: Home, run: str, task: str) -> "RunMetrics":
        """Read all metrics of a run."""
        metrics = cls(home, run, task)
        list(metrics.new())
        return metrics

    def new(self) -> Iterator[Point]:
        """Yield the points since the last call; a step can have several points."""
        if self._link is None:
            self._link = noted_training(self.home, self.run)
        points = self._from_folder() if self._link else None
        for point in self._from_mlflow() if points is None else points:
            self.points.append(point)
            yield point

    @property
    def step(self) -> int | None:
        """The last step with a value."""
        return self.points[-1]["step"] if self.points else None

    @property
    def total(self) -> int | None:
        """Number of steps of the training."""
        return total_steps(self.home, self._link) if self._link else None

    @property
    def loss(self) -> float | None:
        """The last loss of the training."""
        return next((p[LOSS] for p in reversed(self.points) if LOSS in p), None)

    def _from_folder(self) -> list[Point] | None:
        """Return new points of the training folder; None if it has no metrics."""
        if self._link is None:
            return None
        path = self.home.root / self._link.folder / FILE
        if self._reader is None:
            self._reader = Reader(path)
        return list(self._reader.new()) if path.is_file() else None

    def _from_mlflow(self) -> list[Point]:
        """Return new points of MLflow."""
        if not self.home.has_registry:
            return []
        client = open_tracking(self.home).client
        last = self.step if self.step is not None else -1
        return [point for point in _points(client, self.task, self.run) if point["step"] > last]


def _points(client: Any, task: str, run: str) -> list[Point]:
    """Return the points of the MLflow run of a Dagster run."""
    experiment = client.get_experiment_by_name(task)
    if experiment is None:
        return []
    name = f"tags.`{DAGSTER_RUN}` = '{run}'"
    runs = client.search_runs([experiment.experiment_id], name, max_results=1)
    if not runs:
        return []
    by_step = dict[int, Point]()
    for metric in runs[0].data.metrics:
        if metric.startswith(_OF_REGISTRATION):
            continue
        for value in client.get_metric_history(runs[0].info.run_id, metric):
            time = value.timestamp / 1000
            point = by_step.setdefault(value.step, {"step": value.step, "time": time})
            point[metric] = value.value if math.isfinite(value.value) else None
    return [by_step[step] for step in sorted(by_step)]
