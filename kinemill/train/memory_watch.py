"""Memory watch of a training: metrics of host and GPU, and a warning before the limit.

The names are those of MLflow's system metrics, so that its pages show them under "System metrics".
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from kinemill.store import publish_json
from kinemill.store.machine import Memory, host_memory
from kinemill.task.protocols import ForwardingTracker, Progress, Tracker
from kinemill.tracking.memory_warning import FILE, MemoryWarning
from kinemill.train.memory import gpu_memory

LIMIT = 0.9  # share in use above which a training warns
EVERY = 2.0  # s between two samples
LOGGED = 10.0  # s between two points of the metrics
_MEGABYTE = 1e6


def system_metrics(memories: Sequence[Memory]) -> dict[str, float]:
    """Return the memory in use by MLflow's names, MB and %; `memories[0]` is the host's."""
    metrics = dict[str, float]()
    for index, memory in enumerate(memories):
        name = "system_memory" if index == 0 else f"gpu_{index - 1}_memory"
        metrics[f"system/{name}_usage_megabytes"] = round(memory.used / _MEGABYTE, 1)
        metrics[f"system/{name}_usage_percentage"] = round(100.0 * memory.share, 1)
    return metrics


def memories_of(device: torch.device) -> list[Memory]:
    """Return the memory of the host, then of the GPU if the training uses one."""
    return [host_memory(), *([gpu_memory(device)] if device.type == "cuda" else [])]


class MemoryWatch(ForwardingTracker):
    """A Tracker that adds the memory in use, and warns once if the share in use exceeds `LIMIT`.

    Args:
        folder: folder of the training; the warning is a file in it, for the alert sensor.
        listeners: tracker and progress.
        look: function that returns the memory in use, of the host, then of the GPU.
        clock: returns the time, s.
    """

    def __init__(
        self,
        folder: Path,
        listeners: tuple[Tracker, Progress],
        look: Callable[[], list[Memory]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(listeners[0])
        self._folder, self._look, self._clock = folder, look, clock
        self._progress = listeners[1]
        self._is_reported, self._logged_at = False, -LOGGED

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Forward metrics, with the memory in use every 10 s."""
        now = self._clock()
        if now - self._logged_at >= LOGGED:
            self._logged_at = now
            metrics = {**metrics, **system_metrics(self.check())}
        super().log_metrics(metrics, step)

    def check(self) -> list[Memory]:
        """Return the memory in use, of the host, then of the GPU.

        The first time that a share reaches `LIMIT`, write the warning file and a message.
        """
        memories = self._look()
        fullest = max(memories, key=lambda one: one.share)
        if fullest.share >= LIMIT and not self._is_reported:
            self._is_reported = True
            warning = MemoryWarning(str(fullest), fullest.share, time.time())
            publish_json(self._folder / FILE, asdict(warning))
            self._progress.log_message(f"warning: {warning.text}")
        return memories


@dataclass(frozen=True)
class _Sampler:
    """Body of the thread that samples the memory during a training."""

    watch: MemoryWatch
    is_over: threading.Event

    def run(self) -> None:
        while not self.is_over.wait(EVERY):
            self.watch.check()


@contextmanager
def watch_memory(
    folder: Path, listeners: tuple[Tracker, Progress], device: torch.device
) -> Generator[tuple[Tracker, Progress]]:
    """Watch the memory of a training, every 2 s.

    Args:
        folder: folder of the training.
        listeners: tracker and progress.
        device: device of the training.

    Yields:
        The listeners, with a tracker that adds the memory in use.
    """
    (folder / FILE).unlink(missing_ok=True)
    watch, is_over = MemoryWatch(folder, listeners, lambda: memories_of(device)), threading.Event()
    thread = threading.Thread(target=_Sampler(watch, is_over).run, name="memory", daemon=True)
    thread.start()
    try:
        yield watch, listeners[1]
    finally:
        is_over.set()
        thread.join()
