"""All copies computed at once by the environment itself, as arrays."""

from collections.abc import Callable
from typing import Any, Literal

from kinemill.errors import BadInput
from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("native")
class Native(Runner):
    """The quickest where an environment has it: Gymnasium's cart-pole, a learned simulator."""

    type: Literal["native"] = "native"

    def open(self, make: Callable[[], Any], native: Any, copies: int) -> Any:
        """Return them as one.

        Raises:
            BadInput: the environment has nothing of the kind, or a wrapper wants one at a time.
        """
        from kinemill.rl.vec_env import CopiesEnv, Here

        del make
        if native is None:
            where = "learn.runner: native"
            found = "nothing computes many copies of this environment, with its wrappers, at once"
            raise BadInput(where, found, expected="in_process or processes")
        return CopiesEnv([Here(native(copies))], [copies])
