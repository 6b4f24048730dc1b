"""Metrics of a pipeline run, from its training folder, until that is deleted; MLflow keeps them."""

from collections.abc import Hashable
from dataclasses import dataclass

from kinemill.store.home import Home
from kinemill.store.versioned_cache import file_version
from kinemill.tracking.jsonl import FILE, Point, Reader, read_points, read_tail
from kinemill.tracking.run_links import TrainingLink, noted_training, total_steps

LOSS = "train/loss"
_TAIL = 16 << 10  # bytes that usually hold the last loss


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        step: the last step with a value.
        total: number of steps.
        loss: the last loss.
    """

    step: int | None = None
    total: int | None = None
    loss: float | None = None


def read_progress(home: Home, run: str) -> Progress:
    """Return the progress of a run, without reading all its metrics."""
    link = noted_training(home, run)
    if link is None:
        return Progress()
    path = home.root / link.folder / FILE
    points = read_tail(path, _TAIL)
    if not any(LOSS in point for point in points):
        points = read_points(path)
    step = points[-1]["step"] if points else None
    loss = next((point[LOSS] for point in reversed(points) if LOSS in point), None)
    return Progress(step, total_steps(home, link), loss)


def progress_version(home: Home, run: str) -> Hashable:
    """Return a value that changes with the progress of a run."""
    link = noted_training(home, run)
    return link and (link, total_steps(home, link), file_version(home.root / link.folder / FILE))


class RunMetrics:
    """The metrics of a run so far.

    Args:
        home: home of the run.
        run: Dagster id of the run.
    """

    def __init__(self, home: Home, run: str) -> None:
        self._home = home
        self._run = run
        self._link: TrainingLink | None = None
        self._reader: Reader | None = None

    def new(self) -> list[Point]:
        """Return the points since the last call; a step can have several points."""
        if self._reader is None:
            self._link = noted_training(self._home, self._run)
            if self._link is None:
                return []
            self._reader = Reader(self._home.root / self._link.folder / FILE)
        return list(self._reader.new())

    @property
    def total(self) -> int | None:
        """Number of steps of the training."""
        return total_steps(self._home, self._link) if self._link else None
