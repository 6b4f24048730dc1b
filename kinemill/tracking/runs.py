"""Runs in MLflow: started by one process, written by another, and ended when their process dies.

What happens when MLflow cannot be written (locked, disk full): training goes on, the numbers stay
in memory, a warning is logged, and the next flush tries again. What is still unsent at `close` is
kept in `runs/unsent/<run id>.json`, which `end_orphans` sends later; only when that file cannot be
written either is an error raised. A killed process loses at most `FLUSH_SECONDS` of metrics in
MLflow; the training's own `history.json` has them all.
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
from kinemill.store import publish_json
from kinemill.store.home import Home
from kinemill.tracking.database import open_tracking

FLUSH_COUNT = 500  # log_batch takes at most 1000
FLUSH_SECONDS = 5.0
RETRY_SECONDS = 30.0  # a locked database costs 5 s a try
KEY, OWNER, NONFINITE = "kinemill.key", "kinemill.owner", "kinemill.nonfinite"

_BAD_CHARACTERS = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in a name
_log = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]


def start_run(
    home: Home,
    task: str,
    key: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    name: str | None = None,
) -> str:
    """Start a run in the task's experiment and return its id; this process owns it.

    Args:
        home: where the database lives.
        task: name of the task, also of the experiment.
        key: digest of what the run computes; runs of the same key are attempts at the same thing.
        params: settings, nested or flat.
        tags: further tags.
        name: that people see; default: the task's, and the beginning of the key.
    """
    tracking = open_tracking(home)
    run = tracking.client.create_run(
        tracking.experiment(task),
        tags={"kinemill.task": task, KEY: key, OWNER: _owner(), **(tags or {})},
        run_name=name or f"{task}-{key[:8]}",
    )
    if params:
        MlflowTracker(home, run.info.run_id).log_params(params)
    return run.info.run_id


def reopen_run(home: Home, run_id: str) -> bool:
    """Let a run go on that had ended, in this process; return whether there is such a run."""
    from mlflow.exceptions import MlflowException

    client = open_tracking(home).client
    try:
        client.get_run(run_id)
    except MlflowException:
        return False  # MLflow's database was made anew since
    client.set_tag(run_id, OWNER, _owner())
    client.update_run(run_id, status="RUNNING")
    return True


class MlflowTracker:
    """A `Tracker` that writes to a started run, from the process that trains.

    Non-finite numbers are not sent (MLflow turns an infinity into 1.8e308); the tag
    `kinemill.nonfinite` tells for each metric how often, and first at which step with what value.

    Args:
        home: where the database lives.
        run_id: a run that `start_run` started; this process becomes its owner.
    """

    def __init__(self, home: Home, run_id: str) -> None:
        self.home, self.run_id = home, run_id
        self._client = open_tracking(home).client
        self._metrics: list[tuple[str, float, int, int]] = []  # name, value, ms, step
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {OWNER: _owner()}
        self._texts: dict[str, str] = {}
        self._earlier: Sequence[Mapping[str, Any]] = ()
        self._nonfinite: dict[str, dict[str, Any]] = {}
        self._written, self._retry_at = time.monotonic(), 0.0
        self._send()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings, once; nested ones under dotted names."""
        self._params.update(_flat(params))
        self._send()

    def tag(self, name: str, value: str) -> None:
        """Record a tag with the next flush; MLflow takes 5000 characters."""
        self._tags[name] = value[:4900]

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics at a step; written by count and by time, in batches."""
        self._repeat(step)
        now = int(time.time() * 1000)
        for name, number in metrics.items():
            key, value = _BAD_CHARACTERS.sub("_", name), float(number)
            if math.isfinite(value):
                self._metrics.append((key, value, now, step))
            else:
                first = {"first_step": step, "value": str(value), "count": 0}
                self._nonfinite.setdefault(key, first)["count"] += 1
                self._tags[NONFINITE] = json.dumps(self._nonfinite)[:4900]
        is_due = time.monotonic() - self._written > FLUSH_SECONDS
        if is_due or len(self._metrics) >= FLUSH_COUNT:
            self.flush()

    def go_on(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Let the run begin with the metrics of an earlier attempt, unless it holds some already.

        Args:
            points: `step`, `time` (s since the epoch) and values by name, as JSON lines hold them;
                those before the first step that is logged count.
        """
        from mlflow.exceptions import MlflowException

        try:
            if points and not self._client.get_run(self.run_id).data.metrics:
                self._earlier = points
        except MlflowException as error:
            _log.warning("MLflow cannot be asked: the run begins here (%s)", error.message)

    def _repeat(self, step: int) -> None:
        for point in self._earlier:
            at = int(point["time"] * 1000)
            for name, value in point.items():
                if name not in {"step", "time"} and value is not None and point["step"] < step:
                    key = _BAD_CHARACTERS.sub("_", name)
                    self._metrics.append((key, value, at, point["step"]))
        self._earlier = ()

    def log_text(self, name: str, text: str) -> None:
        """Record a text, the file `<name>.txt` of the run, with the next flush."""
        self._texts[_BAD_CHARACTERS.sub("_", name)] = text

    def flush(self) -> None:
        """Write what is buffered; what cannot be written now is kept and tried again later."""
        if time.monotonic() >= self._retry_at:
            self._send()

    def close(self) -> None:
        """Write what is buffered, to a file beside the runs if MLflow cannot be written.

        Raises:
            KinemillError: neither can be written.
        """
        if not self._send() and not self._send():
            self._keep(None)

    def end(self, status: Status = "FINISHED") -> None:
        """Write what is buffered and end the run."""
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

    def _unsent(self) -> dict[str, Any]:
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
                f"{len(self._metrics)} metrics could be written neither to MLflow nor here",
                fix=f"make room or lift the lock ({error})",
            ) from error
        _log.warning("what MLflow did not take is in %s and is sent with the next run", path)


def unsent_folder(home: Home) -> Path:
    """Return where what MLflow did not take waits."""
    return home.runs / "unsent"


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        key = _BAD_CHARACTERS.sub("_", f"{prefix}{name}")
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{key}."))  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[key] = str(value)
    return flat


def write(client: Any, run_id: str, unsent: Mapping[str, Any]) -> None:
    """Send what is unsent of a run, in batches of the size that MLflow takes."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(*item) for item in unsent["params"].items()]
    metrics = [Metric(*item) for item in unsent["metrics"]]
    tags = [RunTag(*item) for item in unsent["tags"].items()]
    for first in range(0, len(params), 100):  # what one batch may hold
        client.log_batch(run_id, params=params[first : first + 100])
    for first in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[first : first + 1000])
    if tags:
        client.log_batch(run_id, tags=tags)
    for name, text in unsent.get("texts", {}).items():
        client.log_text(run_id, text, f"{name}.txt")


def _owner() -> str:
    import psutil

    return f"{platform.node()}:{os.getpid()}:{psutil.Process().create_time():.0f}"
