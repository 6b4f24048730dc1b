"""Copies of an environment in worker processes that end with their parent."""

import multiprocessing
import os
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection

from kinemill.errors import BadInput, ProcessLost, TrainingFailed
from kinemill.policies.rl.sync_vec_env import Copies, call
from kinemill.process import exit_with_parent, without_ctrl_c

_JOIN_TIMEOUT = 5.0  # s until a process that does not end is killed


class SubprocessCopies:
    """Copies in another process; a `kinemill.policies.rl.vec_env.Worker`.

    The process is spawned: a fork after torch has started threads can deadlock.

    Args:
        make: factory of one copy, from the settings of a task file.
        count: number of copies.

    Raises:
        BadInput: The environment is a Python object, which another process cannot load.
    """

    def __init__(self, make: Callable[[], object], count: int) -> None:
        if not isinstance(make, partial):
            problem = "an environment given as a Python object cannot run in another process"
            raise BadInput("learn.runner: processes", problem, fix="learn.runner: in_process")
        context = multiprocessing.get_context("spawn")
        self._pipe, far_end = context.Pipe()
        args = (far_end, make, count, os.getpid())
        self._process = context.Process(target=_serve, args=args, daemon=True)
        with without_ctrl_c():
            self._process.start()
        # While this process holds the far end open, the death of the child raises no EOFError.
        far_end.close()

    def begin(self, name: str, *args: object) -> None:
        """Send the call of a method of `Copies`.

        Raises:
            ProcessLost: The process has ended.
        """
        try:
            self._pipe.send((name, args))
        except OSError as error:
            raise self._lost() from error

    def result(self) -> object:
        """Wait for the result of the call.

        Raises:
            TrainingFailed: The environment raised an error.
            ProcessLost: The process has ended.
        """
        try:
            succeeded, result = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if not succeeded:
            raise TrainingFailed("an environment in a process of learn.runner", f"raised\n{result}")
        return result

    def _lost(self) -> ProcessLost:
        where = f"process {self._process.pid} of learn.runner"
        fix = "run again: the training resumes from the last checkpoint"
        return ProcessLost(where, "has ended, with its copies of the environment", fix=fix)

    def end(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(_JOIN_TIMEOUT)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: Connection, make: Callable[[], object], count: int, parent: int) -> None:
    """Execute calls until the pipe is closed."""
    exit_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = "1"  # set before an environment imports torch
    copies: Copies | None = None
    while True:
        try:
            name, args = pipe.recv()
        except EOFError:
            break
        try:
            copies = copies or Copies(make, count)
            pipe.send((True, call(copies, name, args)))
        except Exception:  # noqa: BLE001 - the parent raises it
            pipe.send((False, traceback.format_exc()))
    if copies is not None:
        copies.close()


def shares(copies: int, workers: int | None) -> list[int]:
    """Return the number of copies of each worker; by default one worker per core."""
    count = min(copies, workers or os.cpu_count() or 1)
    return [copies // count + (worker < copies % count) for worker in range(count)]
