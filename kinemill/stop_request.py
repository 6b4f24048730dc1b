"""A request to stop a training after its current step; the checkpoint of that step is written.

It needs no torch, so that a process can heed SIGTERM while it imports torch.
"""

import signal
import threading

from kinemill.interrupts import Interrupted

_REQUESTED = threading.Event()


def stop_on_sigterm() -> None:
    """Make SIGTERM such a request, in a process that only trains."""
    signal.signal(signal.SIGTERM, lambda *_: _REQUESTED.set())


def is_stop_requested() -> bool:
    """Return whether the training must stop."""
    return _REQUESTED.is_set()


def check_stop() -> None:
    """End a training whose checkpoint was written.

    Raises:
        Interrupted: It must stop.
    """
    if is_stop_requested():
        raise Interrupted("a rerun resumes from the checkpoint of the last step")
