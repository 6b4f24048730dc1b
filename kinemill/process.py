"""Processes that start and end quickly, and end with the one that started them.

`python -m kinemill.process PARENT_PID COMMAND...` becomes COMMAND, which is asked to end (SIGTERM)
when process PARENT_PID does. Linux alone can do that for a command that is not ours.
"""

import atexit
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 1.0  # s, where the kernel does not tell
_COLLECT = (50_000, 20, 20)  # new objects between looks for unreachable cycles; Python has 700, 10


def surroundings() -> dict[str, str]:
    """Return this environment, with this kinemill on the path and one thread for arithmetic."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run_python(
    arguments: Sequence[str], patience: float
) -> subprocess.CompletedProcess[str] | None:
    """Run Python in these surroundings to its end; None if that has not come after `patience` s.

    Args:
        arguments: of the command, such as `-c` and code; folders are not searched for modules.
        patience: s that it may take.
    """
    command = [sys.executable, "-P", *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
            env=surroundings(),
        )
    except subprocess.TimeoutExpired:
        return None


def tune_process() -> None:
    """Have this process spend less on looking for unreachable cycles, while it imports and ends.

    torch, MLflow and Dagster are two million objects that stay: going through them again and again
    is a third of the time that their import takes, and going through them once more at the end
    another two seconds.
    """
    gc.set_threshold(*_COLLECT)
    atexit.register(gc.freeze)


@contextmanager
def without_ctrl_c() -> Generator[None]:
    """Start processes within that Ctrl-C in a terminal does not reach; this one ends them.

    They inherit the signals that this thread blocks. A Ctrl-C meanwhile takes effect at the end.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # started later, it would unblock the signal for this thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def process_of(pid: int, said_at: float, apart: float = 60.0) -> Any:
    """Return psutil's process `pid` if it is the one that ran at `said_at`, or None.

    A process that started later has only the number of the one that was meant; a zombie has ended.

    Args:
        pid: its number.
        said_at: when somebody said that it runs, or when it started; s since the epoch.
        apart: seconds that it may seem to have started later than that: clocks are set now and
            then, and taking a process for dead wrongly would be worse.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        young = process.create_time() > said_at + apart
        return None if young or process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def exit_with_parent(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """End this process, by the signal `how`, as soon as process `parent` ends, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)
    else:
        follow(parent)
    if os.getppid() != parent:  # it ended before we asked to be told
        os._exit(1)


def follow(parent: int) -> None:
    """End this process within a second of its parent, whichever thread of that started it."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # who started it may have been deaf to it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    exit_with_parent(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])
