"""Environments with a vectorized form: arrays over all copies in one call."""

from collections.abc import Callable
from typing import Any, Literal

from kinemill.errors import BadInput
from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("native")
class Native(Runner):
    """Vectorized environment: `type: mujoco` and learned simulators; the fastest."""

    type: Literal["native"] = "native"

    def open(self, make: Callable[[], object], native: Any, copies: int) -> object:
        """Return the vectorized environment.

        Raises:
            BadInput: The environment has no vectorized form, or a wrapper does not support one.
        """
        from kinemill.policies.rl.vec_env import CopiesEnv, LocalWorker

        del make
        if native is None:
            where = "learn.runner: native"
            problem = "this environment, with its wrappers, has no vectorized form"
            raise BadInput(where, problem, expected="in_process or processes")
        return CopiesEnv([LocalWorker(native(copies))], [copies])
