"""Copies in processes of their own: each place does what it is asked, and ends with its parent."""

import multiprocessing
import os
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from kinemill.errors import BadInput, ProcessLost, TrainingFailed
from kinemill.process import exit_with_parent, without_ctrl_c
from kinemill.rl.sync_vec_env import Copies, answer

_LONGEST = 5.0  # s that a process is given to end by itself


class Place:
    """Some copies in another process.

    It is started anew (`spawn`), since threads of torch do not survive a fork.

    Args:
        make: makes one copy from what a task file says.
        count: how many.

    Raises:
        BadInput: the environment is an object that was handed in.
    """

    def __init__(self, make: Callable[[], Any], count: int) -> None:
        if not isinstance(make, partial):
            found = "cannot be handed objects; another process knows files alone"
            raise BadInput("learn.runner: processes", found, fix="learn.runner: in_process")
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        given = (theirs, make, count, os.getpid())
        self._process = context.Process(target=_serve, args=given, daemon=True)
        with without_ctrl_c():
            self._process.start()
        theirs.close()

    def begin(self, name: str, *given: Any) -> None:
        """Ask for something.

        Raises:
            ProcessLost: the process has ended.
        """
        try:
            self._pipe.send((name, given))
        except OSError as error:
            raise self._lost() from error

    def result(self) -> Any:
        """Wait for what came of it.

        Raises:
            TrainingFailed: the environment raised an error.
            ProcessLost: the process has ended.
        """
        try:
            fine, found = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if not fine:
            raise TrainingFailed("an environment in a process of learn.runner", f"raised\n{found}")
        return found

    def _lost(self) -> ProcessLost:
        where = f"process {self._process.pid} of learn.runner"
        fix = "a rerun goes on from the last checkpoint"
        return ProcessLost(where, "has ended, with the copies in it", fix=fix)

    def end(self) -> None:
        """Let the process end."""
        self._pipe.close()
        self._process.join(_LONGEST)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: Any, make: Callable[[], Any], count: int, parent: int) -> None:
    """Do what is asked for, until the pipe is closed."""
    exit_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, if an environment wants it
    copies: Any = None
    while True:
        try:
            name, given = pipe.recv()
        except EOFError:
            break
        try:
            copies = copies or Copies(make, count)
            pipe.send((True, answer(copies, name, given)))
        except Exception:  # noqa: BLE001 - told to the process that asked, which raises it
            pipe.send((False, traceback.format_exc()))
    if copies is not None:
        copies.close()


def shares(copies: int, workers: int | None) -> list[int]:
    """Return how many copies each of some workers has; by default one worker a core."""
    count = min(copies, workers or os.cpu_count() or 1)
    return [copies // count + (k < copies % count) for k in range(count)]
