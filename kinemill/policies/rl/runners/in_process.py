"""All copies in this process, stepped in turn; suitable for a debugger."""

from collections.abc import Callable
from typing import Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("in_process")
class InProcess(Runner):
    """Copies in this process; the fastest runner if a step is shorter than a message."""

    type: Literal["in_process"] = "in_process"

    def open(self, make: Callable[[], object], native: object, copies: int) -> object:
        """Return the vectorized environment."""
        del native
        from kinemill.policies.rl.sync_vec_env import Copies
        from kinemill.policies.rl.vec_env import CopiesEnv, LocalWorker

        return CopiesEnv([LocalWorker(Copies(make, copies))], [copies])
