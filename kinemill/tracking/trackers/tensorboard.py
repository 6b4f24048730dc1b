"""TensorBoard event files in the training's folder; view them by `tensorboard --logdir runs`.

TensorBoard writes in a separate thread, so training does not wait for the disk.
"""

import importlib
import time
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
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._session = _messages("event", "Event", "SessionLog")
        (self._summary,) = _messages("summary", "Summary")
        self._writer = EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)
        self._began = False

    def log_params(self, params: Mapping[str, object]) -> None:
        """Write parameters as a table."""
        rows = [f"| {name} | {value} |" for name, value in params.items()]
        self._text("parameters", "\n".join(["| key | value |", "|---|---|", *rows]))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write one scalar for each metric."""
        if not self._began:
            # Hides points of an earlier attempt that this one repeats.
            start = self._session(status=self._session.START)
            self._writer.add_event(self._event(wall_time=time.time(), step=step, session_log=start))
            self._began = True
        values = [
            self._summary.Value(tag=name, simple_value=float(value))
            for name, value in metrics.items()
        ]
        self._write(self._summary(value=values), step)

    def log_text(self, name: str, text: str) -> None:
        """Write an unformatted text to TensorBoard's page of texts."""
        self._text(name, "\n".join(f"    {line}" for line in text.splitlines()))

    def flush(self) -> None:
        """Flush the writer's queue to the file."""
        self._writer.flush()

    def close(self, ended_well: bool) -> None:
        """Flush and close the file."""
        del ended_well
        self._writer.close()

    def _text(self, name: str, markdown: str) -> None:
        from tensorboard.plugins.text.metadata import create_summary_metadata

        (tensor,) = _messages("tensor", "TensorProto")
        (shape,) = _messages("tensor_shape", "TensorShapeProto")
        single = shape(dim=[shape.Dim(size=1)])
        value = self._summary.Value(
            tag=f"{name}/text_summary",
            metadata=create_summary_metadata("", ""),
            tensor=tensor(dtype="DT_STRING", string_val=[markdown.encode()], tensor_shape=single),
        )
        self._write(self._summary(value=[value]), 0)

    def _write(self, summary: object, step: int) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))


def _messages(file: str, *names: str) -> tuple[Any, ...]:
    """Return TensorBoard's protobuf classes, created at import."""
    module = importlib.import_module(f"tensorboard.compat.proto.{file}_pb2")
    return tuple(getattr(module, name) for name in names)
