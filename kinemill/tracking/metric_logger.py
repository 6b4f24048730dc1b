"""What a training says, wherever it is to go: MLflow, its own folder, and what its task lists.

Whatever goes wrong beside MLflow is told once and never ends the training.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kinemill.task.document import Task
from kinemill.task.protocols import Progress, Tracker
from kinemill.task.trackers import Opened, Training
from kinemill.tracking.jsonl import FILE, JsonLines, read_points
from kinemill.tracking.runs import MlflowTracker
from kinemill.tracking.throughput import Paced


@contextmanager
def logged(
    task: Task, folder: Path, listeners: tuple[Tracker, Progress]
) -> Generator[tuple[Tracker, Progress]]:
    """Add to the listeners of a training what its folder keeps, what `track` lists, and its pace.

    Args:
        task: what is trained, and where its numbers go.
        folder: of the training, named by the key of what it makes; it is there.
        listeners: who records metrics, and who watches.

    Yields:
        The same, and all that joined them.
    """
    tracker, progress = listeners
    if isinstance(tracker, MlflowTracker):
        tracker.go_on(read_points(folder / FILE))
    training = Training(task.name, folder.name, folder, progress.say)
    extra = [Guarded(FILE, lambda: JsonLines(folder / FILE), progress.say, lasting=True)]
    extra += [
        Guarded(settings.type, lambda settings=settings: settings.open(training), progress.say)
        for settings in task.track
    ]
    ended_well = False
    try:
        batch = task.learn.batch_size if task.learn.from_logs else None
        yield TrackerGroup(tracker, extra), Paced(progress, batch)
        ended_well = True
    finally:
        for one in extra:
            one.close(ended_well)


class Guarded:
    """A tracker that may break: it is told once, and left out from then on unless it is `lasting`.

    Args:
        name: what to call it.
        begin: opens it.
        say: hears that it broke.
        lasting: it is asked again all the same, since what broke it may pass.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[], Opened],
        report: Callable[[str], None],
        *,
        lasting: bool = False,
    ) -> None:
        self._name, self._report, self._lasting = name, report, lasting
        self._is_reported, self._opened = False, None
        self._opened = self._try(begin)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings, if it still works."""
        self._do(lambda tracker: tracker.log_params(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics, if it still works."""
        self._do(lambda tracker: tracker.log_metrics(metrics, step))

    def log_text(self, name: str, text: str) -> None:
        """Record a text, if it still works."""
        self._do(lambda tracker: tracker.log_text(name, text))

    def flush(self) -> None:
        """Write what is buffered, if it still works."""
        self._do(lambda tracker: tracker.flush())

    def close(self, ended_well: bool) -> None:
        """Close it, if it still works."""
        self._do(lambda tracker: tracker.close(ended_well))

    def _do(self, work: Callable[[Opened], None]) -> None:
        if (tracker := self._opened) is not None:
            self._try(lambda: work(tracker))

    def _try(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a library of others, which may raise anything
            again = self._lasting and self._opened is not None
            if not again:
                self._opened = None
            if not self._is_reported:
                self._is_reported = True
                after = "tried again with each line" if again else "left out from here on"
                self._report(f"{self._name} is {after}: {type(error).__name__}: {error}")
            return None


class TrackerGroup:
    """One tracker that hands on to several; the first comes last, as it may end the training.

    Args:
        first: whose errors are errors of the training.
        beside: the others.
    """

    def __init__(self, first: Tracker, extra: Sequence[Tracker]) -> None:
        self._all = [*extra, first]

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings everywhere."""
        for tracker in self._all:
            tracker.log_params(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics everywhere."""
        for tracker in self._all:
            tracker.log_metrics(metrics, step)

    def log_text(self, name: str, text: str) -> None:
        """Record a text everywhere."""
        for tracker in self._all:
            tracker.log_text(name, text)

    def flush(self) -> None:
        """Write what is buffered everywhere."""
        for tracker in self._all:
            tracker.flush()
