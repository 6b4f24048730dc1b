"""Linear warm-up, then half a cosine (Loshchilov and Hutter, 2017, eq. 5, without restarts)."""

from typing import Literal

from kinemill.task.plugins import SCHEDULES
from kinemill.train.schedules._parts import Decaying, half_cosine


@SCHEDULES.register("cosine_warmup")
class CosineWarmup(Decaying):
    """Linear warm-up, then a cosine decay; for Transformers and long trainings."""

    type: Literal["cosine_warmup"] = "cosine_warmup"

    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate `step` steps after the warm-up."""
        return half_cosine(self.done(step, steps), top, min(self.min_lr, top))
