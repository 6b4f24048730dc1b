"""Copies in processes of this machine, for environments with slow steps."""

from collections.abc import Callable
from typing import Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("processes")
class Processes(Runner):
    """One process per core, each with a share of the copies; for environments with slow steps."""

    type: Literal["processes"] = "processes"

    def open(self, make: Callable[[], object], native: object, copies: int) -> object:
        """Return the vectorized environment."""
        from kinemill.policies.rl.subproc_vec_env import SubprocessCopies, shares
        from kinemill.policies.rl.vec_env import CopiesEnv

        del native
        sizes = shares(copies, self.workers)
        return CopiesEnv([SubprocessCopies(make, size) for size in sizes], sizes)
