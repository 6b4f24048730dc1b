"""MLflow runs: one process starts a run, another writes it; dead processes end their runs.

If MLflow cannot be written (locked, disk full), training continues. Metrics stay in memory, a
warning is logged, and the next flush tries again. `close` writes unsent metrics to
`runs/unsent/<run id>.json`, and `end_orphans` sends them later. An error is raised only if that
file cannot be written. A killed process loses at most `FLUSH_SECONDS` of metrics in MLflow; the
training's `history.json` has all of them.
"""

import json
import logging
import math
import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kinemill.errors import KinemillError
from kinemill.store import Home, Json, publish_json
from kinemill.store.locks import current_user
from kinemill.store.provenance import git_commit
from kinemill.task.protocols import DRAWING
from kinemill.tracking.database import open_tracking
from kinemill.tracking.jsonl import Point

FLUSH_COUNT = 500  # log_batch accepts at most 1000
FLUSH_SECONDS = 5.0
RETRY_SECONDS = 30.0  # each attempt on a locked database takes 5 s
DIGEST = 32  # characters of a dataset digest; MLflow takes at most 36
KEY, OWNER, NONFINITE = "kinemill.key", "kinemill.owner", "kinemill.nonfinite"

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
        tags={
            **source_tags(task),
            "kinemill.task": task,
            KEY: key,
            OWNER: _owner(),
            **(tags or {}),
        },
        run_name=name or f"{task}-{key[:8]}",
    )
    if params:
        MlflowTracker(home, run.info.run_id).log_params(params)
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
    """A `Tracker` that writes to a started run, in the process of the training.

    Non-finite numbers are not sent (MLflow stores infinity as 1.8e308). The tag
    `kinemill.nonfinite` holds their number, first step and first value for each metric.

    Args:
        home: where the database lives.
        run_id: run of `start_run`; this process becomes its owner.
    """

    def __init__(self, home: Home, run_id: str) -> None:
        self.home, self.run_id = home, run_id
        self._client = open_tracking(home).client
        self._metrics: list[tuple[str, float, int, int]] = []  # name, value, ms, step
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {OWNER: _owner()}
        self._texts: dict[str, str] = {}
        self._earlier: Sequence[Point] = ()
        self._nonfinite: dict[str, dict[str, Any]] = {}
        self._written, self._retry_at = time.monotonic(), 0.0
        self._send()

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters; nested ones have dotted names."""
        self._params.update(_flat(params))
        self._send()

    def tag(self, name: str, value: str) -> None:
        """Set a tag with the next flush; MLflow allows 5000 characters."""
        self._tags[name] = value[:4900]

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Buffer metrics of a step; flush them by count and time."""
        self._repeat(step)
        now = int(time.time() * 1000)
        for name, number in metrics.items():
            key, value = _BAD_CHARACTERS.sub("_", name), float(number)
            if math.isfinite(value):
                self._metrics.append((key, value, now, step))
            else:
                first = {"first_step": step, "value": str(value), "count": 0}
                self._nonfinite.setdefault(key, first)["count"] += 1
                self._tags[NONFINITE] = "; ".join(
                    f"{metric}: {entry['count']} from step {entry['first_step']} ({entry['value']})"
                    for metric, entry in self._nonfinite.items()
                )[:4900]
        is_due = time.monotonic() - self._written > FLUSH_SECONDS
        if is_due or len(self._metrics) >= FLUSH_COUNT:
            self.flush()

    def go_on(self, points: Sequence[Point]) -> None:
        """Copy the metrics of an earlier attempt, unless the run has metrics.

        Args:
            points: `step`, `time` (s since the epoch) and values by name, see `jsonl`; only points
                before the first logged step are used.
        """
        from mlflow.exceptions import MlflowException

        try:
            if points and not self._client.get_run(self.run_id).data.metrics:
                self._earlier = points
        except MlflowException as error:
            _log.warning(
                "MLflow does not respond, so earlier metrics are not copied (%s)", error.message
            )

    def _repeat(self, step: int) -> None:
        for point in self._earlier:
            at = int(point["time"] * 1000)
            for name, value in point.items():
                if name not in {"step", "time"} and value is not None and point["step"] < step:
                    key = _BAD_CHARACTERS.sub("_", name)
                    self._metrics.append((key, value, at, point["step"]))
        self._earlier = ()

    def log_text(self, name: str, text: str) -> None:
        """Log a text as file `<name>.txt` with the next flush, or a drawing as `<name>`."""
        self._texts[_BAD_CHARACTERS.sub("_", name)] = text

    def flush(self) -> None:
        """Write buffered data; after a failure, keep it and try again later."""
        if time.monotonic() >= self._retry_at:
            self._send()

    def close(self) -> None:
        """Write buffered data, to a file if MLflow cannot be written.

        Raises:
            KinemillError: Neither can be written.
        """
        if not self._send() and not self._send():
            self._keep(None)

    def end(self, status: Status = "FINISHED") -> None:
        """Write buffered data and end the run."""
        from mlflow.exceptions import MlflowException

        self.close()
        try:
            self._client.set_terminated(self.run_id, status)
        except MlflowException as error:
            _log.warning("run %s could not be ended in MLflow: %s", self.run_id, error)
            self._keep(status)

    def _send(self) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            write(self._client, self.run_id, self._unsent())
        except (MlflowException, OSError) as error:  # OSError: of the artifacts' folder
            self._retry_at = time.monotonic() + RETRY_SECONDS
            _log.warning(
                "MLflow cannot be written, %d metrics are kept in memory: %s",
                len(self._metrics),
                str(error).splitlines()[0],
            )
            return False
        self._metrics, self._params, self._tags, self._texts = [], {}, {}, {}
        self._written, self._retry_at = time.monotonic(), 0.0
        return True

    def _unsent(self) -> Json:
        return {
            "metrics": self._metrics,
            "params": self._params,
            "tags": self._tags,
            "texts": self._texts,
        }

    def _keep(self, status: Status | None) -> None:
        path = unsent_folder(self.home) / f"{self.run_id}.json"
        try:
            publish_json(path, {**self._unsent(), "status": status})
        except OSError as error:
            raise KinemillError(
                path,
                f"{len(self._metrics)} metrics can be written neither to MLflow nor to this file",
                fix=f"free disk space or release the lock ({error})",
            ) from error
        _log.warning("unsent metrics are in %s and are sent with the next run", path)


def unsent_folder(home: Home) -> Path:
    """Return the folder of unsent metrics."""
    return home.runs / "unsent"


def _flat(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        key = _BAD_CHARACTERS.sub("_", f"{prefix}{name}")
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{key}."))  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[key] = str(value)
    return flat


def write(client: Any, run_id: str, unsent: Json) -> None:
    """Send unsent data of a run in batches."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(*item) for item in unsent["params"].items()]
    metrics = [Metric(*item) for item in unsent["metrics"]]
    tags = [RunTag(*item) for item in unsent["tags"].items()]
    for first in range(0, len(params), 100):  # limit of MLflow
        client.log_batch(run_id, params=params[first : first + 100])
    for first in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[first : first + 1000])
    if tags:
        client.log_batch(run_id, tags=tags)
    for name, text in unsent["texts"].items():
        client.log_text(run_id, text, name if name.endswith(DRAWING) else f"{name}.txt")


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
        summary: summary with `episodes` and `rows` by split.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    counts = {key: summary[key] for key in ("episodes", "rows") if key in summary}
    dataset = Dataset(
        name=name,
        digest=digest[:DIGEST],
        source_type="kinemill",
        source=json.dumps({"dataset": digest}),
        profile=json.dumps(counts),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])
