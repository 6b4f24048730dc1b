"""Constant learning rate after a warm-up."""

from typing import Literal

from kinemill.task.plugins import SCHEDULES
from kinemill.train.schedules._parts import Warmed


@SCHEDULES.register("constant")
class Constant(Warmed):
    """A constant rate; the default."""

    type: Literal["constant"] = "constant"

    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate after the warm-up."""
        del step, steps
        return top
