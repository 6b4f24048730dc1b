"""Processes of runs: identification, waiting and termination."""

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

_POLL = 1.0  # s
_ANCESTORS = 2  # ancestors of a run's process: the code server, and the daemon that started it


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def living(family: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that are alive."""
    processes: list[psutil.Process] = []
    for process in family:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def wait_for(family: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end; return those that are alive after the time limit.

    They are polled, because they can be other processes than children.
    """
    deadline = time.monotonic() + seconds
    alive = living(family)
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = living(alive)
    return alive


def send(process: psutil.Process, what: signal.Signals) -> None:
    """Send a signal to a process that can have ended in the meantime."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(what)


def end_with_ancestors() -> None:
    """Exit silently soon after the parent or its parent has ended.

    PR_SET_PDEATHSIG does not suffice: it fires when the forking thread ends, and threads of a
    server are short-lived. Children that use it end with this process.
    """
    ancestors = psutil.Process().parents()[:_ANCESTORS]
    threading.Thread(target=_watch, args=(ancestors,), daemon=True, name="ancestors").start()


def _watch(ancestors: list[psutil.Process]) -> None:
    while len(living(ancestors)) == len(ancestors):
        time.sleep(_POLL)
    os._exit(1)
