"""All copies in this process, one after the other; a debugger can follow them."""

from collections.abc import Callable
from typing import Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("in_process")
class InProcess(Runner):
    """The fastest runner where a step takes less time than a message to a process."""

    type: Literal["in_process"] = "in_process"

    def open(self, make: Callable[[], object], native: object, copies: int) -> object:
        """Return the vectorized environment."""
        del native
        from kinemill.rl.sync_vec_env import Copies
        from kinemill.rl.vec_env import CopiesEnv, LocalWorker

        return CopiesEnv([LocalWorker(Copies(make, copies))], [copies])
