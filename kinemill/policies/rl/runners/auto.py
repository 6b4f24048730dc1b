"""Fastest runner in this process: vectorized if the environment supports it, else sequential."""

from collections.abc import Callable
from typing import Literal

from kinemill.task.reinforcement import RUNNERS, Runner


@RUNNERS.register("auto")
class Auto(Runner):
    """`native` if the environment has a vectorized form, else `in_process`."""

    type: Literal["auto"] = "auto"

    def open(self, make: Callable[[], object], native: object, copies: int) -> object:
        """Return the vectorized environment."""
        runner = "native" if native is not None else "in_process"
        return RUNNERS[runner].model_validate({"type": runner}).open(make, native, copies)
