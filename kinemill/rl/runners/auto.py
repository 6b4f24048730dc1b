"""The runner that is quickest for an environment: vectorized where it can be, else in process."""

from collections.abc import Callable
from typing import Any, Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("auto")
class Auto(Runner):
    """Native if the environment computes many rows at once, else in this process."""

    type: Literal["auto"] = "auto"

    def open(self, make: Callable[[], Any], native: Any, copies: int) -> Any:
        """Return them as one."""
        chosen = "native" if native is not None else "in_process"
        return RUNNERS[chosen].model_validate({"type": chosen}).open(make, native, copies)
