"""Linear warm-up, then half a cosine (Loshchilov and Hutter, 2017, eq. 5, without restarts)."""

from typing import Literal

from kinemill.task.bounds import LearningRateOrZero, Steps
from kinemill.task.plugins import SCHEDULES
from kinemill.train.schedules._parts import Warmed, half_cosine


@SCHEDULES.register("cosine_warmup")
class CosineWarmup(Warmed):
    """Linear warm-up, then a cosine decay; for Transformers and long trainings."""

    type: Literal["cosine_warmup"] = "cosine_warmup"
    decay_steps: Steps | None = None
    """steps from the warm-up to the lowest rate; default: all"""
    min_lr: LearningRateOrZero = 1e-5
    """lowest learning rate"""

    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate `step` steps after the warm-up."""
        done = min(1.0, step / max(1, self.decay_steps or steps))
        return half_cosine(done, top, min(self.min_lr, top))
