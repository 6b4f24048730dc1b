"""Progress of a command in this process, as lines on stderr."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from kinemill.cli.output import notify
from kinemill.task.protocols import Progress
from kinemill.tracking.throughput import Pace, Throttle, clock

T = TypeVar("T")


class StderrProgress:
    """A Progress that prints messages, and a line of progress each 10 s or 10 % of the work."""

    def __init__(self) -> None:
        self._throttle, self._pace = Throttle(), Pace()

    def log_message(self, message: str) -> None:
        """Print a message, such as the holder of a lock."""
        notify(message)

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Print progress with rate and time left, if a line is due."""
        self._pace.note(done)
        if self._throttle.is_due(stage, done, total):
            notify(
                f"{stage} {done}/{total}  {', '.join(filter(None, (self._remaining(total), note)))}"
            )

    def _remaining(self, total: int) -> str:
        rate, remaining = self._pace.rate, self._pace.time_left(total)
        if rate is None or remaining is None:
            return ""
        return f"{rate:.3g}/s" + (f", {clock(remaining)} left" if remaining else "")


def counted(items: Iterable[T], total: int, stage: str, progress: Progress) -> Iterator[T]:
    """Yield items, and report each one as done when the next is requested."""
    for done, item in enumerate(items, 1):
        yield item
        progress.advance(stage, done, total)
