"""Repeated cosine decays after a warm-up (SGDR, Loshchilov and Hutter, 2017, eq. 5)."""

from typing import Literal

from kinemill.task.bounds import Layers, LearningRateOrZero, Steps
from kinemill.task.plugins import SCHEDULES
from kinemill.train.schedules._parts import Warmed, half_cosine


@SCHEDULES.register("warm_restarts")
class WarmRestarts(Warmed):
    """Cosine decays that restart at the top rate (SGDR); against poor local minima."""

    type: Literal["warm_restarts"] = "warm_restarts"
    period: Steps = 500
    """steps of the first cosine"""
    t_mult: Layers = 2
    """ratio of the length of each cosine to the one before"""
    min_lr: LearningRateOrZero = 1e-5
    """lowest learning rate"""

    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate `step` steps after the warm-up."""
        del steps
        length = self.period
        if self.t_mult == 1:
            step %= length
        while step >= length:
            step = step - length
            length = length * self.t_mult
        return half_cosine(step / length, top, min(self.min_lr, top))
