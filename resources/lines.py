"""Progress of a stage as lines of a run's log, in Dagster's process and in that of a training."""

import json
import time
from collections.abc import Mapping
from typing import Any

from dagster_pipes import PipesContext


class Lines:
    """Progress as log lines; `advance` writes at most one per second, and the last one.

    Args:
        context: context of an asset, an op, or Dagster Pipes.
    """

    def __init__(self, context: Any) -> None:
        self._log = context.log
        self._last = time.monotonic()

    def log_message(self, message: str) -> None:
        """Write one line."""
        self._log.info(message)

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Write the progress of the stage, at most once a second."""
        if done == total or time.monotonic() - self._last >= 1.0:
            self._last = time.monotonic()
            self._log.info(f"{stage} {done}/{total} {note}")


class MessageTracker:
    """A tracker that sends its records to the run's process, which writes them to MLflow.

    The import and the threads of MLflow stay out of the training.

    Args:
        pipes: context of Dagster Pipes.
    """

    def __init__(self, pipes: PipesContext) -> None:
        self._pipes = pipes

    def log_params(self, params: Mapping[str, object]) -> None:
        """Send parameters."""
        self._send("log_params", json.loads(json.dumps(params, default=str)))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send the metrics of a step."""
        self._send("log_metrics", {name: float(value) for name, value in metrics.items()}, step)

    def log_text(self, name: str, text: str) -> None:
        """Send a text."""
        self._send("log_text", name, text)

    def flush(self) -> None:
        """Do nothing: a message is sent when it is written."""

    def _send(self, record: str, *values: object) -> None:
        self._pipes.report_custom_message({"record": record, "values": values})
