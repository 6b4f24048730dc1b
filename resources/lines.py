"""Progress of a stage as lines of a run's log, in Dagster's process and in that of a training."""

import time
from typing import Any


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
