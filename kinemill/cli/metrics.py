"""Metrics of a run: from its training folder, or from MLflow if there is no such folder.

The folder has each value immediately; MLflow has it 5 s later, and permanently.
"""

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field

from kinemill.cli.dagster_client import NoServer, fetch, mlflow_url
from kinemill.errors import KinemillError
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.tracking.jsonl import FILE, Point, Reader, as_series
from kinemill.tracking.run_links import DAGSTER_RUN, TrainingLink, noted_training

LOSS = "train/loss"
_OF_REGISTRATION = "test/"  # metrics of the registration, in the same MLflow run
_MOST = 25000  # largest page of values of MLflow


@dataclass
class Numbers:
    """The metrics of a training so far.

    Attributes:
        run: id in Dagster.
        task: name of its task.
        points: read so far, in the order of logging.
    """

    run: str
    task: str
    points: list[Point] = field(default_factory=list[Point])
    _link: TrainingLink | None = None
    _reader: Reader | None = None

    @classmethod
    def of(cls, run: str, task: str) -> "Numbers":
        """Read all metrics of a run."""
        numbers = cls(run, task)
        list(numbers.new())
        return numbers

    def new(self) -> Iterator[Point]:
        """Yield the points since the last call; one step may come in several points."""
        if self._link is None:
            self._link = noted_training(Home.resolve(), self.run)
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
        return self._link.steps if self._link else None

    @property
    def loss(self) -> float | None:
        """The last loss of the training."""
        return next((p[LOSS] for p in reversed(self.points) if LOSS in p), None)

    def document(self) -> Json:
        """Return the document of `kinemill runs metrics`."""
        return as_series(self.points)

    def _from_folder(self) -> list[Point] | None:
        """Return new points of the training folder; None if it has no metrics."""
        if self._link is None:
            return None
        path = Home.resolve().root / self._link.folder / FILE
        if self._reader is None:
            self._reader = Reader(path)
        return list(self._reader.new()) if path.is_file() else None

    def _from_mlflow(self) -> list[Point]:
        """Return new points of MLflow; none if it does not respond."""
        url = mlflow_url(Home.resolve())
        if url is None:
            return []
        try:
            points = _points(url, self.task, self.run)
        except (NoServer, KinemillError):
            return []  # only Dagster is required
        last = self.step if self.step is not None else -1
        return [point for point in points if point["step"] > last]


def _points(url: str, task: str, run: str) -> list[Point]:
    """Return the points of the MLflow run of a Dagster run."""
    api = f"{url}/api/2.0/mlflow"
    name = urllib.parse.quote(task)
    experiment = fetch(f"{api}/experiments/get-by-name?experiment_name={name}")
    query = {
        "experiment_ids": [experiment["experiment"]["experiment_id"]],
        "filter": f"tags.`{DAGSTER_RUN}` = '{run}'",
        "max_results": 1,
    }
    runs = fetch(f"{api}/runs/search", query).get("runs", [])
    if not runs:
        return []
    mlflow_run, by_step = runs[0], dict[int, Point]()
    for metric in mlflow_run["data"].get("metrics", []):
        if metric["key"].startswith(_OF_REGISTRATION):
            continue
        for value in _history(api, mlflow_run["info"]["run_id"], metric["key"]):
            step, time = int(value.get("step", 0)), value["timestamp"] / 1000
            point = by_step.setdefault(step, {"step": step, "time": time})
            point[metric["key"]] = value["value"]
    return [by_step[step] for step in sorted(by_step)]


def _history(api: str, run: str, metric: str) -> Iterator[Json]:
    page = ""
    while True:
        query = {"run_id": run, "metric_key": metric, "max_results": _MOST, "page_token": page}
        parameters = {name: value for name, value in query.items() if value != ""}
        values = fetch(f"{api}/metrics/get-history?{urllib.parse.urlencode(parameters)}")
        yield from values.get("metrics", [])
        page = values.get("next_page_token", "")
        if not page:
            return
