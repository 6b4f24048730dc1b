"""Start Python processes quickly, and end child processes with their parent.

`python -m kinemill.process PARENT_PID COMMAND...` executes COMMAND, which receives SIGTERM when
process PARENT_PID ends. Only Linux supports this for arbitrary commands.
"""

import atexit
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_PR_SET_PDEATHSIG = 1
_PATIENCE = 2.0  # s between SIGTERM and SIGKILL; no checkpoint is lost
_LOOK_EVERY = 1.0  # s, where the kernel cannot notify
# thresholds of Python's garbage collector; its defaults are 700, 10, 10
_COLLECT = (50_000, 20, 20)


def surroundings() -> dict[str, str]:
    """Return the environment variables, with this kinemill on the path and one numeric thread."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run_python(
    arguments: Sequence[str], patience: float
) -> subprocess.CompletedProcess[str] | None:
    """Run Python in these surroundings; return None if it exceeds `patience` s.

    `patience` is in s; the working folder is not on the path.
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
    """Reduce the time that garbage collection takes during imports and at exit.

    torch, MLflow and Dagster create two million permanent objects. Scanning them repeatedly takes
    a third of the import time, and once more at exit 2 s.
    """
    gc.set_threshold(*_COLLECT)
    atexit.register(gc.freeze)


@contextmanager
def deferred_imports(*names: str) -> Generator[None]:
    """Defer modules that are imported in this block until one of their attributes is used.

    For packages that import at their top what few of their users need. Not `LazyLoader`: its
    modules stay in `sys.modules`, where `inspect` uses an attribute of each.
    """
    proxies = {name: _proxy_of(name) for name in names if name not in sys.modules}
    sys.modules.update(proxies)
    try:
        yield
    finally:
        for name, proxy in proxies.items():
            if sys.modules.get(name) is proxy:
                del sys.modules[name]


def _proxy_of(name: str) -> ModuleType:
    proxy = ModuleType(name)

    def load(attribute: str) -> object:
        if sys.modules.get(name) is proxy:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    vars(proxy)["__getattr__"] = load
    return proxy


@contextmanager
def without_ctrl_c() -> Generator[None]:
    """Shield processes that start in this block from Ctrl-C; this process ends them.

    They inherit this thread's blocked signals. A Ctrl-C in the block takes effect at its end.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # started later, it would unblock the signal for this thread
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def process_of(pid: int, seen_at: float, tolerance: float = 60.0) -> Any:
    """Return psutil's process `pid` if it is the one that ran at `seen_at`, or None.

    A process that started later only reuses the pid; a zombie counts as ended.

    Args:
        pid: the process id.
        seen_at: when it was seen running, or when it started; s since the epoch.
        tolerance: tolerance in s for a later start: clocks can be adjusted, and treating a live
            process as dead is the worse error.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        young = process.create_time() > seen_at + tolerance
        return None if young or process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def exit_with_parent(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """End this process, by the signal `how`, as soon as process `parent` ends, even by SIGKILL."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)
    else:
        follow(parent)
    if os.getppid() != parent:  # it ended before the notification was registered
        os._exit(1)


def follow(parent: int) -> None:
    """End this process within a second of its parent, whichever of its threads started it."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def end(child: "subprocess.Popen[bytes]", patience: float = _PATIENCE) -> None:
    """Terminate a child; kill it after `patience` s."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent may have ignored SIGTERM
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    exit_with_parent(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])
