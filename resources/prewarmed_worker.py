"""A training process that is started in advance, while the data are prepared.

Imports take about five seconds, most of the overhead of a run. A prewarmed process has finished
them when the job arrives; an unused one ends with the run. `python -m
kinemill_dagster.resources.prewarmed_worker PARENT_PID LIBRARY...` waits for one line on stdin, the
job, and exits at the end of stdin.
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kinemill.process import exit_with_parent, tune_process
from kinemill.store.project import project_root

# Imports of every training; torch imports the last one in its first step.
_LIBRARIES = ("kinemill.train.loop", "mlflow.tracking", "kinemill.train.curves", "torch._dynamo")

Process = subprocess.Popen[bytes]


class PrewarmedWorker:
    """At most one process that waits for a job; it ends with this one.

    Args:
        libraries: modules to import in advance.
    """

    def __init__(self, *libraries: str) -> None:
        self._libraries = libraries
        self._waiting: Process | None = None

    def prepare(self) -> None:
        """Start a process unless one is waiting; the calling thread must outlive it."""
        if self._waiting is None or self._waiting.poll() is not None:
            self._waiting = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "kinemill_dagster.resources.prewarmed_worker",
                    str(os.getpid()),
                    *self._libraries,
                ],
                cwd=project_root(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def take(self, module: list[str], environment: Mapping[str, str], log: Path) -> Process | None:
        """Run a module in the waiting process; return None without one."""
        process, self._waiting = self._waiting, None
        if process is None or process.stdin is None:
            return None
        order = {"module": module, "environment": dict(environment), "log": str(log)}
        try:
            with process.stdin as stdin:
                stdin.write(f"{json.dumps(order)}\n".encode())
        except BrokenPipeError:
            process.wait()
            return None
        return process

    def release(self) -> None:
        """End the waiting process, if any."""
        process, self._waiting = self._waiting, None
        if process is not None and process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.kill()
            process.wait()


PREWARMED_WORKER = PrewarmedWorker(*_LIBRARIES)


def main() -> None:
    """Import the libraries of a training, wait for a job, and run it."""
    exit_with_parent(int(sys.argv[1]))
    tune_process()
    for library in sys.argv[2:]:
        importlib.import_module(library)
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    os.environ.clear()
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    module, *sys.argv[1:] = order["module"]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
