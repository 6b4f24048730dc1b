"""Memory watch of a training: a warning before the limit of host or GPU."""

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch

from kinemill.store import publish_json
from kinemill.store.machine import Memory, host_memory
from kinemill.task.protocols import Progress
from kinemill.tracking.memory_warning import FILE, MemoryWarning
from kinemill.train.memory import gpu_memory

LIMIT = 0.9  # share in use above which a training warns
INTERVAL = 2.0  # s between two samples


def memories_of(device: torch.device) -> list[Memory]:
    """Return the memory of the host, then of the GPU if the training uses one."""
    return [host_memory(), *([gpu_memory(device)] if device.type == "cuda" else [])]


def warn_if_full(folder: Path, progress: Progress, memories: Sequence[Memory]) -> bool:
    """Report the fullest memory if its share in use reaches `LIMIT`; return whether it does.

    Args:
        folder: folder of the training; the warning is a file in it, for the alert sensor.
        progress: receives the message.
        memories: memory in use.
    """
    fullest = max(memories, key=lambda memory: memory.share)
    if fullest.share < LIMIT:
        return False
    warning = MemoryWarning(str(fullest), fullest.share, time.time())
    publish_json(folder / FILE, asdict(warning))
    progress.log_message(f"warning: {warning.text}")
    return True


@contextmanager
def watch_memory(folder: Path, progress: Progress, device: torch.device) -> Generator[None]:
    """Sample the memory every 2 s in the context, and report the first sample above `LIMIT`."""
    (folder / FILE).unlink(missing_ok=True)
    is_over = threading.Event()

    def watch() -> None:
        while not warn_if_full(folder, progress, memories_of(device)):
            if is_over.wait(INTERVAL):
                return

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
