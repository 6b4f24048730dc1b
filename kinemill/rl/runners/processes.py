"""Copies in processes of this machine: for environments that compute longer than they are sent."""

from collections.abc import Callable
from typing import Any, Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("processes")
class Processes(Runner):
    """Each has its share of the copies."""

    type: Literal["processes"] = "processes"

    def open(self, make: Callable[[], Any], native: Any, copies: int) -> Any:
        """Return them as one."""
        from kinemill.rl.subproc_vec_env import Place, shares
        from kinemill.rl.vec_env import CopiesEnv

        del native
        sizes = shares(copies, self.workers)
        return CopiesEnv([Place(make, size) for size in sizes], sizes)
