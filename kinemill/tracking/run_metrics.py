"""Metrics of a pipeline run, from its training folder, or without it from MLflow.

The folder has each value immediately; MLflow has it after 5 s, permanently.
"""

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kinemill.store.home import Home
from kinemill.store.versioned_cache import database_version, file_version
from kinemill.tracking.database import open_tracking
from kinemill.tracking.jsonl import FILE, Point, Reader, read_points, read_tail
from kinemill.tracking.run_links import DAGSTER_RUN, TrainingLink, noted_training, total_steps

LOSS = "train/loss"
# Metrics in the same MLflow run, without steps of the training.
_WITHOUT_STEPS = ("test/", "system/")
_TAIL = 16 << 10  # bytes that usually hold the last loss


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        step: the last step with a value.
        total: number of steps.
        loss: the last loss.
    """

    step: int | None = None
    total: int | None = None
    loss: float | None = None


def read_progress(home: Home, run: str, task: str) -> Progress:
    """Return the progress of a run, without reading all its metrics."""
    link = noted_training(home, run)
    path = home.root / link.folder / FILE if link else None
    if path is None or not path.is_file():
        return _progress_in_mlflow(home, run, task, link)
    points = read_tail(path, _TAIL)
    if not any(LOSS in point for point in points):
        points = read_points(path)
    step = points[-1]["step"] if points else None
    loss = next((point[LOSS] for point in reversed(points) if LOSS in point), None)
    return Progress(step, total_steps(home, link) if link else None, loss)


def progress_version(home: Home, run: str, *, is_active: bool) -> Hashable:
    """Return a value that changes with the progress of a run; None if it is unknown."""
    link = noted_training(home, run)
    total = total_steps(home, link) if link else None
    if link and (metrics := file_version(home.root / link.folder / FILE)):
        return link, total, metrics
    if not is_active:  # MLflow has its metrics
        return link, total
    database = database_version(home.mlflow_db, "mlflow")
    return database and (link, total, database)


def _progress_in_mlflow(home: Home, run: str, task: str, link: TrainingLink | None) -> Progress:
    total = total_steps(home, link) if link else None
    mlflow_run = _mlflow_run(open_tracking(home).client, task, run) if home.has_registry else None
    if mlflow_run is None:
        return Progress(total=total)
    # `data.metrics` has no steps.
    latest = {
        metric.key: metric
        for metric in mlflow_run.data.to_proto().metrics
        if not metric.key.startswith(_WITHOUT_STEPS)
    }
    loss = latest[LOSS].value if LOSS in latest else math.nan
    step = max((metric.step for metric in latest.values()), default=None)
    return Progress(step, total, loss if math.isfinite(loss) else None)


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


def _mlflow_run(client: Any, task: str, run: str) -> Any:
    """Return the MLflow run of a Dagster run, or None."""
    experiment = client.get_experiment_by_name(task)
    if experiment is None:
        return None
    name = f"tags.`{DAGSTER_RUN}` = '{run}'"
    return next(iter(client.search_runs([experiment.experiment_id], name, max_results=1)), None)


def _points(client: Any, task: str, run: str) -> list[Point]:
    """Return the points of the MLflow run of a Dagster run."""
    mlflow_run = _mlflow_run(client, task, run)
    if mlflow_run is None:
        return []
    by_step = dict[int, Point]()
    for metric in mlflow_run.data.metrics:
        if metric.startswith(_WITHOUT_STEPS):
            continue
        for value in client.get_metric_history(mlflow_run.info.run_id, metric):
            time = value.timestamp / 1000
            point = by_step.setdefault(value.step, {"step": value.step, "time": time})
            point[metric] = value.value if math.isfinite(value.value) else None
    return [by_step[step] for step in sorted(by_step)]
