"""Progress view of a run: a live table on a terminal, else one line per stage."""

import io
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TextIO

import dagster as dg
from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from kinemill.interrupts import SIGNALS
from kinemill.task import Task
from kinemill.tracking.statistics import is_statistics, text_for
from kinemill.tracking.throughput import Pace, Throttle, clock, duration
from kinemill_dagster.assets import stages_of

_COUNTED = re.compile(r"\w+ (?P<done>\d+)/(?P<total>\d+) ")
_PACED = re.compile(r"\d steps/s")
_TIME_LEFT = re.compile(r", [\d:]+ left$|\btakes about \d")  # of a candidate, of a training
_WAITING = "waiting for "  # prefix of messages about a lock's holder
_WIDTH = 20  # columns of a bar
_PIPES = "[pipes] "  # start of Dagster's message on a training process that a signal ended
_MARKS = {"waiting": "·", "done": "✓", "failed": "✗", "stopped": "■"}
_STYLES = {"waiting": "dim", "running": "bold", "done": "green", "failed": "red", "stopped": "dim"}


class Stages:
    """State of each stage: status, start time, and last message.

    Args:
        assets: assets of the stages, in order.
    """

    def __init__(self, assets: Sequence[str]) -> None:
        self.states = dict.fromkeys(assets, "waiting")
        self.began: dict[str, float] = {}
        self.took: dict[str, float] = {}
        self.notes = dict.fromkeys(assets, "")

    def bar(self, asset: str) -> RenderableType:
        """Draw the progress bar of a stage that reports `model 50/500 ...`; else nothing."""
        text = _COUNTED.match(self.notes[asset]) if self.states[asset] == "running" else None
        if text is None:
            return ""
        return ProgressBar(int(text["total"]), int(text["done"]), width=_WIDTH)

    def listen(self, event: dg.EventLogEntry) -> str | None:
        """Handle one event; return the asset whose stage just ended, if any."""
        asset = (event.step_key or "").partition("__")[2]
        if asset not in self.states:
            return None
        if event.dagster_event is None:
            is_note = not event.user_message.startswith(_PIPES)
            if is_note and not is_statistics(event.user_message):
                self.notes[asset] = event.user_message.strip().splitlines()[0]
            return None
        kind = event.dagster_event.event_type
        if kind == dg.DagsterEventType.STEP_START:
            self.states[asset], self.began[asset] = "running", time.monotonic()
        if kind in _ENDS:
            self.states[asset] = _end(kind)
            self.took[asset] = time.monotonic() - self.began.get(asset, time.monotonic())
            return asset
        if _waits(event.dagster_event):
            self.notes[asset] = "waits for another training to end"
        if kind == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self.notes[asset] = _result(event.dagster_event)
        return None


_ENDS = {dg.DagsterEventType.STEP_SUCCESS: "done", dg.DagsterEventType.STEP_FAILURE: "failed"}


def _end(kind: dg.DagsterEventType) -> str:
    """Return how a stage ended; Dagster reports one that a signal stopped as failed."""
    stopped = kind == dg.DagsterEventType.STEP_FAILURE and SIGNALS.received is not None
    return "stopped" if stopped else _ENDS[kind]


def _waits(event: dg.DagsterEvent) -> bool:
    """Return whether a stage waits for a slot in a pool."""
    is_engine = event.event_type == dg.DagsterEventType.ENGINE_EVENT
    return is_engine and "pool" in event.engine_event_data.metadata


def _result(event: dg.DagsterEvent) -> str:
    """Format the numbers that a stage reported."""
    metadata = event.step_materialization_data.materialization.metadata
    numbers = [
        f"{name} {value.value:.3g}"
        if isinstance(value, dg.FloatMetadataValue)
        else f"{name} {value.value}"
        for name, value in metadata.items()
        if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue)
    ]
    is_cached = metadata["cached"].value if "cached" in metadata else False
    return ", ".join([*(["cached"] if is_cached else []), *numbers[:4]])


class LiveView:
    """A table on a terminal, redrawn as events come."""

    def __init__(self, console: Console, assets: Sequence[str]) -> None:
        self.stages = Stages(assets)
        # Output of a step goes to its file, not above the table.
        self.live = Live(
            console=console,
            get_renderable=self.draw,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def listen(self, event: dg.EventLogEntry) -> None:
        """Handle one event."""
        self.stages.listen(event)
        if event.dagster_event is None and is_statistics(event.user_message):
            line, *rows = event.user_message.splitlines()
            self.live.console.print(Text(line, style="bold"), *map(Text, rows), sep="\n")

    def draw(self) -> Table:
        """Draw the current state of the stages."""
        table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        for asset, state in self.stages.states.items():
            mark = Spinner("dots") if state == "running" else Text(_MARKS[state])
            style = _STYLES[state]
            table.add_row(
                mark,
                Text(asset, style=style),
                Text(self._seconds(asset), style="dim"),
                self.stages.bar(asset),
                Text(self.stages.notes[asset], style="dim", overflow="ellipsis", no_wrap=True),
            )
        return table

    def _seconds(self, asset: str) -> str:
        took = self.stages.took.get(asset)
        if took is None and asset in self.stages.began:
            took = time.monotonic() - self.stages.began[asset]
        return "" if took is None else duration(took)


class LineView:
    """Plain lines for logs and pipes: one per finished stage, and progress every 10 s or 10 %."""

    def __init__(self, console: Console, assets: Sequence[str]) -> None:
        self.stages = Stages(assets)
        self.console = console
        self._throttle, self._pace = Throttle(), Pace()

    def listen(self, event: dg.EventLogEntry) -> None:
        """Handle one event."""
        ended = self.stages.listen(event)
        if ended:
            took = self.stages.took[ended]
            state = self.stages.states[ended]
            self._print(f"{ended:<17}{state:<7}{duration(took):>11}  {self.stages.notes[ended]}")
        elif event.dagster_event is not None and _waits(event.dagster_event):
            asset = (event.step_key or "").partition("__")[2]
            self._print(f"{asset:<17}{self.stages.notes.get(asset, '')}")
        elif event.dagster_event is None and is_statistics(event.user_message):
            self._print(text_for(event.user_message, is_terminal=False))
        elif event.dagster_event is None:
            self._progress((event.step_key or "").partition("__")[2])

    def _progress(self, asset: str) -> None:
        """Print a message of a stage if it is due progress or a wait for a lock."""
        note = self.stages.notes.get(asset, "")
        if counted := _COUNTED.match(note):
            done = int(counted["done"])
            total = int(counted["total"])
            self._pace.note(done)
            if self._throttle.is_due(asset, done, total):
                paced = self._paced(note[counted.end() :], total)
                self._print(f"{asset:<17}{done}/{total}  {paced}")
        elif note.startswith(_WAITING) or _TIME_LEFT.search(note):
            self._print(f"{asset:<17}{note}")

    def _paced(self, note: str, total: int) -> str:
        """Return a note with pace and time left, unless the stage reports its own pace."""
        rate = self._pace.rate
        seconds = self._pace.time_left(total)
        if rate is None or seconds is None or _PACED.search(note):
            return note
        rest = f"{clock(seconds)} left; " if seconds else ""
        return f"{rate:.3g}/s, {rest}{note}"

    def _print(self, line: str) -> None:
        self.console.print(line.rstrip("; "), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def view(task: Task) -> Generator[Callable[[dg.EventLogEntry], None]]:
    """Show the stages of a task on stderr, live on a terminal; yield the listener of events."""
    with _open_stderr() as stream:
        console = Console(file=stream)
        assets = list(stages_of(task).values())
        if not stream.isatty():
            yield LineView(console, assets).listen
            return
        live = LiveView(console, assets)
        with live.live:
            yield live.listen


@contextmanager
def _open_stderr() -> Generator[TextIO]:
    """Open a copy of stderr, which Dagster redirects to a file to capture the output of steps."""
    try:
        copy = os.dup(sys.stderr.fileno())
    except io.UnsupportedOperation:  # a test replaced it by a buffer
        yield sys.stderr
        return
    with os.fdopen(copy, "w", encoding=sys.stderr.encoding) as stream:
        yield stream
