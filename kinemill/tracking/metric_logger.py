"""Metric logger of a training: MLflow, the training's folder, and the trackers of its task.

A failure of a tracker other than MLflow is reported once and never ends the training.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from kinemill.task.document import Task
from kinemill.task.protocols import Progress, Tracker
from kinemill.task.trackers import Opened, Training
from kinemill.tracking.jsonl import FILE, JsonLines
from kinemill.tracking.throughput import Paced


@contextmanager
def logged(
    task: Task, folder: Path, listeners: tuple[Tracker, Progress]
) -> Generator[tuple[Tracker, Progress]]:
    """Add the file of metrics, the trackers in `track` and the throughput to the listeners.

    Yields:
        Tracker and progress with the additions.
    """
    tracker, progress = listeners
    training = Training(task.name, folder.name, folder, progress.log_message)
    extra = [Guarded(FILE, lambda: JsonLines(folder / FILE), progress.log_message, lasting=True)]
    extra += [
        Guarded(
            settings.type, lambda settings=settings: settings.open(training), progress.log_message
        )
        for settings in task.track
    ]
    ended_well = False
    try:
        batch = task.learn.batch_size if task.learn.from_logs else None
        yield TrackerGroup(tracker, extra), Paced(progress, batch)
        ended_well = True
    finally:
        for optional in extra:
            optional.close(ended_well)


T = TypeVar("T")


class Guarded:
    """Wrapper of an optional tracker: report the first failure, then disable the tracker.

    Args:
        name: name in the report.
        begin: opens the tracker.
        report: receives the message about a failure.
        lasting: whether to keep the tracker after a failure with a possibly temporary cause.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[], Opened],
        report: Callable[[str], None],
        *,
        lasting: bool = False,
    ) -> None:
        self._name = name
        self._report = report
        self._lasting = lasting
        self._is_reported = False
        self._opened = None
        self._opened = self._try(begin)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters unless disabled."""
        self._do(lambda tracker: tracker.log_params(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics unless disabled."""
        self._do(lambda tracker: tracker.log_metrics(metrics, step))

    def log_text(self, name: str, text: str) -> None:
        """Log a text unless disabled."""
        self._do(lambda tracker: tracker.log_text(name, text))

    def flush(self) -> None:
        """Flush unless disabled."""
        self._do(lambda tracker: tracker.flush())

    def close(self, ended_well: bool) -> None:
        """Close the tracker unless disabled."""
        self._do(lambda tracker: tracker.close(ended_well))

    def _do(self, work: Callable[[Opened], None]) -> None:
        if (tracker := self._opened) is not None:
            self._try(lambda: work(tracker))

    def _try(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a foreign library may raise anything
            is_kept = self._lasting and self._opened is not None
            if not is_kept:
                self._opened = None
            if not self._is_reported:
                self._is_reported = True
                after = "retried with each line" if is_kept else "disabled"
                self._report(f"{self._name} is {after}: {type(error).__name__}: {error}")
            return None


class TrackerGroup:
    """A tracker that forwards to several. The main one is last: its errors end the training.

    Args:
        first: the main tracker; its errors end the training.
        extra: the other trackers.
    """

    def __init__(self, first: Tracker, extra: Sequence[Tracker]) -> None:
        self._all = [*extra, first]

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters to all trackers."""
        for tracker in self._all:
            tracker.log_params(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics to all trackers."""
        for tracker in self._all:
            tracker.log_metrics(metrics, step)

    def log_text(self, name: str, text: str) -> None:
        """Log a text to all trackers."""
        for tracker in self._all:
            tracker.log_text(name, text)

    def flush(self) -> None:
        """Flush all trackers."""
        for tracker in self._all:
            tracker.flush()
