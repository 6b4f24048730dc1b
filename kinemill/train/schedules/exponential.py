"""Linear warm-up, then exponential decay down to `min_lr`."""

from typing import Literal

from pydantic import Field

from kinemill.task.bounds import LearningRate
from kinemill.task.plugins import SCHEDULES
from kinemill.train.schedules._parts import Decaying


@SCHEDULES.register("exponential")
class Exponential(Decaying):
    """Settings of exponential decay: η = top (min_lr / top)^(share of the decay that is over)."""

    type: Literal["exponential"] = "exponential"
    min_lr: LearningRate = Field(default=1e-5, description="lowest learning rate")

    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate `step` steps after the warm-up."""
        low = min(self.min_lr, top)
        return top * (low / top) ** self.done(step, steps)
