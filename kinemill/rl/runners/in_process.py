"""All copies in this process, one after the other: what a debugger can follow."""

from collections.abc import Callable
from typing import Any, Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("in_process")
class InProcess(Runner):
    """The quickest where an environment is."""

    type: Literal["in_process"] = "in_process"

    def open(self, make: Callable[[], Any], native: Any, copies: int) -> Any:
        """Return them as one."""
        del native
        from kinemill.rl.sync_vec_env import Copies
        from kinemill.rl.vec_env import CopiesEnv, Here

        return CopiesEnv([Here(Copies(make, copies))], [copies])
