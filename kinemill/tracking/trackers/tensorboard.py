"""TensorBoard event files in the training's folder; view them by `tensorboard --logdir runs`.

TensorBoard writes in a separate thread, so training does not wait for the disk.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from kinemill.task.trackers import TRACKERS, Track, Training

FOLDER = "tensorboard"
FLUSH_SECONDS = 5  # largest loss of a killed training


@TRACKERS.register("tensorboard")
class TensorBoard(Track):
    """Write metrics for TensorBoard, in addition to MLflow; it has no settings."""

    type: Literal["tensorboard"] = "tensorboard"

    def open(self, training: Training) -> "Events":
        """Open a new event file; files of earlier attempts are kept."""
        return Events(training.folder / FOLDER)


class Events:
    """A tracker that writes scalars and texts to event files."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), flush_secs=FLUSH_SECONDS)
        self._began = False

    def log_params(self, params: Mapping[str, object]) -> None:
        """Write parameters as a table."""
        rows = [f"| {name} | {value} |" for name, value in params.items()]
        self._writer.add_text("parameters", "\n".join(["| key | value |", "|---|---|", *rows]))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write one scalar for each metric."""
        if not self._began:
            # Hides points of an earlier attempt that this one repeats.
            events = importlib.import_module("tensorboard.compat.proto.event_pb2")
            start = events.SessionLog(status=events.SessionLog.START)
            self._writer.file_writer.add_event(events.Event(session_log=start), step)
            self._began = True
        for name, value in metrics.items():
            self._writer.add_scalar(name, float(value), step)

    def log_text(self, name: str, text: str) -> None:
        """Write an unformatted text to TensorBoard's page of texts."""
        self._writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()))

    def flush(self) -> None:
        """Flush the writer's queue to the file."""
        self._writer.flush()

    def close(self, ended_well: bool) -> None:
        """Flush and close the file."""
        del ended_well
        self._writer.close()
