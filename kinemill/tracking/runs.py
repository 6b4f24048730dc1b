"""MLflow runs: one process starts a run, another writes it; dead processes end their runs.

MLflow's asynchronous logging sends the metrics every 5 s and drops a batch that it cannot write:
on a SQLite database that is locked for 60 of 90 s it lost 45 % of the metrics, without a server
for 60 of 120 s 46 %. Therefore the end of a run copies missing metrics from `metrics.jsonl` in the
training's folder, and `end_orphans` does so for a run whose process was killed.
"""

import json
import logging
import math
import os
import platform
import re
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from kinemill.store import Home, Json
from kinemill.store.locks import current_user
from kinemill.store.provenance import git_commit
from kinemill.tracking.database import open_tracking, prepare_mlflow
from kinemill.tracking.jsonl import FILE, Point, read_points

PATIENCE = 120.0  # s for which the end of a finished run waits for MLflow
RETRY = 5.0  # s between two attempts to end a run
DIGEST = 32  # characters of a dataset digest; MLflow takes at most 36
KEY = "kinemill.key"
TASK = "kinemill.task"
OWNER = "kinemill.owner"
NONFINITE = "kinemill.nonfinite"

_BAD_CHARACTERS = re.compile(r"[^\w\-. :/]")  # characters that MLflow does not allow in names
_log = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]


def start_run(
    home: Home,
    task: str,
    key: str,
    *,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    name: str | None = None,
) -> str:
    """Start a run in the task's experiment and return its id. This process owns the run.

    Args:
        home: where the database lives.
        task: name of the task, also of the experiment.
        key: digest of the result; runs with equal keys are attempts at the same result.
        params: settings, nested or flat.
        tags: further tags.
        name: displayed name; default: the task's name and the start of the key.
    """
    tracking = open_tracking(home)
    run = tracking.client.create_run(
        tracking.experiment(task),
        tags={**source_tags(task), TASK: task, KEY: key, OWNER: _owner(), **(tags or {})},
        run_name=name or f"{task}-{key[:8]}",
    )
    if params:
        tracking.client.log_batch(run.info.run_id, params=_params(params))
    return run.info.run_id


def source_tags(task: str) -> dict[str, str]:
    """Return the tags by which MLflow shows user, source and commit of a run or version."""
    commit = git_commit()
    return {
        "mlflow.user": current_user(),
        "mlflow.source.name": f"kinemill run {task}",
        "mlflow.source.type": "LOCAL",
        **({"mlflow.source.git.commit": commit} if commit else {}),
    }


def reopen_run(home: Home, run_id: str) -> bool:
    """Reopen an ended run in this process; return False if it does not exist."""
    from mlflow.exceptions import MlflowException

    client = open_tracking(home).client
    try:
        client.get_run(run_id)
    except MlflowException:
        return False  # MLflow's database was recreated
    client.set_tag(run_id, OWNER, _owner())
    client.update_run(run_id, status="RUNNING")
    return True


class MlflowTracker:
    """A `Tracker` that writes to a started run by MLflow's asynchronous logging.

    No method raises an error if MLflow does not respond. Non-finite numbers are not sent (MLflow
    stores infinity as 1.8e308). The tag `kinemill.nonfinite` holds their number, first step and
    first value for each metric.

    Args:
        home: where the database lives.
        run_id: run of `start_run`; this process becomes its owner.
        folder: folder of the training; its `metrics.jsonl` has the metrics that MLflow lacks.
    """

    def __init__(self, home: Home, run_id: str, folder: Path | None = None) -> None:
        self.run_id = run_id
        self.folder = folder
        self._tracking = open_tracking(home)
        self._client = self._tracking.client
        self._operations: list[Any] = []  # `RunOperations` of MLflow
        self._params: dict[str, object] = {}
        self._tags: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._nonfinite: dict[str, Json] = {}
        self._points: list[Point] = []
        self._client.set_tag(run_id, OWNER, _owner(), synchronous=False)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters; nested ones have dotted names."""
        self._params.update(params)
        self._log(params=_params(params))

    def tag(self, name: str, value: str) -> None:
        """Set a tag at the end of the run; MLflow allows 5000 characters."""
        self._tags[name] = value[:4900]

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics of a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = list[Metric]()
        for name, number in metrics.items():
            key = _BAD_CHARACTERS.sub("_", name)
            value = float(number)
            if math.isfinite(value):
                finite.append(Metric(key, value, now, step))
            else:
                first = {"first_step": step, "value": str(value), "count": 0}
                self._nonfinite.setdefault(key, first)["count"] += 1
        values = {metric.key: metric.value for metric in finite}
        self._points.append({"step": step, "time": now / 1000, **values})
        self._log(metrics=finite)

    def log_text(self, name: str, text: str) -> None:
        """Log a text as file `<name>.txt`; a failed one at the end."""
        from mlflow.exceptions import MlflowException

        is_first_failure = not self._texts
        self._texts[_BAD_CHARACTERS.sub("_", name)] = text
        if is_first_failure:  # each attempt blocks the training until MLflow's client gives up
            try:
                self._send_texts()
            except (MlflowException, OSError) as error:  # OSError: of the artifacts' folder
                _log.warning("file %s is sent at the end of the run: %s", name, _first_line(error))

    def flush(self) -> None:
        """Do nothing: MLflow's queue writes every 5 s."""

    def end(self, status: Status = "FINISHED") -> None:
        """Write what MLflow lacks and end the run; wait `PATIENCE` for MLflow if it is FINISHED."""
        from mlflow.exceptions import MlflowException

        deadline = time.monotonic() + (PATIENCE if status == "FINISHED" else 0.0)
        while True:
            try:
                self._end(status)
            except (MlflowException, OSError) as error:
                if time.monotonic() < deadline:
                    time.sleep(RETRY)
                    continue
                _log.warning(
                    "run %s could not be ended in MLflow, which lacks its last metrics: %s",
                    self.run_id,
                    _first_line(error),
                )
            return

    def _end(self, status: Status) -> None:
        import mlflow
        from mlflow.entities import RunTag

        with self._tracking.as_default():
            mlflow.flush_async_logging()
        points = read_points(self.folder / FILE) if self.folder else []
        first = self._points[0]["step"] if self._points else 0
        is_resumed = bool(points) and points[0]["step"] < first
        if self._has_lost() or is_resumed:
            self._client.log_batch(self.run_id, params=_params(self._params))
            # The folder of a training on another machine can be out of reach.
            log_missing(self._client, self.run_id, points or self._points)
        if self._nonfinite:
            self.tag(
                NONFINITE,
                "; ".join(
                    f"{metric}: {entry['count']} from step {entry['first_step']} ({entry['value']})"
                    for metric, entry in self._nonfinite.items()
                ),
            )
        tags = [RunTag(name, value) for name, value in self._tags.items()]
        self._client.log_batch(self.run_id, tags=tags)
        self._send_texts()
        self._client.set_terminated(self.run_id, status)

    def _log(self, **batch: Sequence[object]) -> None:
        operation = self._client.log_batch(self.run_id, **batch, synchronous=False)
        if operation is not None:  # the batch is empty
            self._operations.append(operation)

    def _has_lost(self) -> bool:
        """Return whether MLflow dropped a batch; the queue is flushed."""
        from mlflow.exceptions import MlflowException

        for operation in self._operations:
            try:
                operation.wait()
            except MlflowException:
                return True
        return False

    def _send_texts(self) -> None:
        for name, text in list(self._texts.items()):
            self._client.log_text(self.run_id, text, f"{name}.txt")
            del self._texts[name]


def log_missing(client: Any, run_id: str, points: Sequence[Point]) -> None:
    """Log the metrics of a training that its run lacks.

    Args:
        client: an `MlflowClient`.
        run_id: the run.
        points: `step`, `time` (s since the epoch) and values by name, see `jsonl`.
    """
    from mlflow.entities import Metric

    missing = list[Metric]()
    for name in {name for point in points for name in point} - {"step", "time"}:
        key = _BAD_CHARACTERS.sub("_", name)
        logged = {metric.step for metric in client.get_metric_history(run_id, key)}
        missing += [
            Metric(key, point[name], int(point["time"] * 1000), point["step"])
            for point in points
            if point.get(name) is not None and point["step"] not in logged
        ]
    client.log_batch(run_id, metrics=missing)


@contextmanager
def system_metrics(home: Home, run_id: str) -> Generator[None]:
    """Log MLflow's system metrics, unless MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING is false."""
    prepare_mlflow()
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    setting = MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    if setting.is_set() and not setting.get():
        yield
        return
    # `mlflow.start_run(log_system_metrics=True)` would change the active run of this process.
    monitor = SystemMetricsMonitor(run_id, tracking_uri=open_tracking(home).uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _params(params: Mapping[str, object]) -> list[object]:
    from mlflow.entities import Param

    return [Param(name, value) for name, value in _flat(params).items()]


def _flat(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        key = _BAD_CHARACTERS.sub("_", f"{prefix}{name}")
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{key}."))  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[key] = str(value)
    return flat


def _owner() -> str:
    import psutil

    return f"{platform.node()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def log_dataset(client: Any, run_id: str | None, name: str, digest: str, summary: Json) -> None:
    """Log the training dataset of a run. Repeated calls have no effect.

    Args:
        client: an `MlflowClient`.
        run_id: the run.
        name: name of the dataset, equal to that of the task.
        digest: digest of the dataset version; MLflow stores a prefix.
        summary: summary with `episodes` and `rows` by split, and `statistics` by channel.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    counts = {
        f"{split} {what}": count
        for what in ("episodes", "rows")
        for split, count in summary.get(what, {}).items()
    }
    columns = [
        {"name": channel, "type": "float", "required": True}
        for channel in summary.get("statistics", {})
    ]
    dataset = Dataset(
        name=name,
        digest=digest[:DIGEST],
        source_type="kinemill",
        source=json.dumps({"dataset": digest}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(counts),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])
