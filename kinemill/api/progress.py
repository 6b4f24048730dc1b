"""Progress of a call: lines on stderr, a live display in a notebook, or a callback.

A notebook shows one display for each call: a bar, the latest metrics, and the curves of a training.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeVar

from kinemill.task.protocols import NullReporter, Progress
from kinemill.tracking.statistics import text_for
from kinemill.tracking.throughput import Pace, Throttle, clock

T = TypeVar("T")
_REDRAW_SECONDS = 1.0  # between updates of a notebook display: a figure takes 0.2 s


@dataclass(frozen=True)
class Update:
    """Argument of a progress callback.

    Attributes:
        stage: name of the stage, such as `train`; empty with a message.
        done: number of finished parts of the stage.
        total: number of parts.
        note: remark on the last part.
        message: a message without progress, or "".
        metrics: values of a training step by name, such as `train/loss`.
        step: training step of the metrics; None without metrics.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    note: str = ""
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    step: int | None = None


ShowProgress = bool | Callable[[Update], object]


class Reporter(NullReporter):
    """A Progress and a Tracker that passes messages, progress and metrics to a callback.

    It ignores settings and texts: the caller has the task, and the texts are files of the training.

    Args:
        show: callback of each report.
    """

    def __init__(self, show: Callable[[Update], object]) -> None:
        self._show = show

    def log_message(self, message: str) -> None:
        """Report a message."""
        self._show(Update(message=message))

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` parts of a stage are finished."""
        self._show(Update(stage, done, total, note))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Report metrics of a training step."""
        self._show(Update(metrics=dict(metrics), step=step))


def reporter(show: ShowProgress) -> Reporter:
    """Return a reporter to a callback, a notebook, stderr, or nowhere.

    Args:
        show: True: a live display in a notebook, else lines on stderr; False: nothing; or a
            callback.
    """
    if callable(show):
        return Reporter(show)
    if not show:
        return Reporter(bool)  # the null reporter
    return Reporter(NotebookDisplay().show if in_notebook() else _Lines().show)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


class _Lines:
    """Reporter of lines on stderr; the notes of a training include its metrics."""

    def __init__(self) -> None:
        self._progress = StderrProgress()

    def show(self, update: Update) -> None:
        """Print one report, if a line is due."""
        if update.message:
            self._progress.log_message(text_for(update.message, is_terminal=sys.stderr.isatty()))
        elif update.stage:
            self._progress.advance(update.stage, update.done, update.total, update.note)


class NotebookDisplay:
    """Live display of a notebook: bar, message, metrics and curves."""

    def __init__(self) -> None:
        self._latest = Update()
        self._message = ""
        self._drawn_at = 0.0
        self._history: dict[str, list[tuple[int, float]]] = {}
        self._handle: Any = None

    def show(self, update: Update) -> None:
        """Show a report, at most once a second; always at the end of a stage."""
        if update.message:
            self._message = update.message
        elif update.step is None:
            self._latest = update
        for name, value in update.metrics.items():
            self._history.setdefault(name, []).append((update.step or 0, value))
        is_end = update.total > 0 and update.done >= update.total
        if is_end or time.monotonic() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        self._drawn_at, content = time.monotonic(), HTML(self.html())
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)

    def html(self) -> str:
        """Return the HTML of the display: a bar, the message, and the curves so far."""
        now = self._latest
        parts = list[str]()
        if now.total:
            bar = f'<progress value="{now.done}" max="{now.total}" style="width:20em"></progress>'
            note = f" {escape(now.note)}" if now.note else ""
            parts.append(f"<div>{escape(now.stage)} {bar} {now.done}/{now.total}{note}</div>")
        if self._message:
            parts.append(f"<div><small>{escape(self._message)}</small></div>")
        if self._history:
            from kinemill.api.html import image
            from kinemill.train.curves import draw_curves

            parts.append(image(draw_curves(self._history)))
        return "".join(parts)


class StderrProgress:
    """A Progress that prints messages, and a line per 10 s or 10 % of the work."""

    def __init__(self) -> None:
        self._throttle, self._pace = Throttle(), Pace()

    def log_message(self, message: str) -> None:
        """Print a message, such as the holder of a lock."""
        sys.stderr.write(f"{message}\n")

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Print progress with rate and remaining time, if a line is due."""
        self._pace.note(done)
        if self._throttle.is_due(stage, done, total):
            text = ", ".join(filter(None, (self._remaining(total), note)))
            self.log_message(f"{stage} {done}/{total}  {text}")

    def _remaining(self, total: int) -> str:
        rate = self._pace.rate
        remaining = self._pace.time_left(total)
        if rate is None or remaining is None:
            return ""
        return f"{rate:.3g}/s" + (f", {clock(remaining)} left" if remaining else "")


def counted(items: Iterable[T], total: int, stage: str, progress: Progress) -> Iterator[T]:
    """Yield items, and report each as finished when the next one is requested."""
    for done, item in enumerate(items, 1):
        yield item
        progress.advance(stage, done, total)
