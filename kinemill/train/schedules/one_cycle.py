"""One cycle (Smith and Topin, 2019): up along half a cosine, then down along another."""

from typing import Literal

from pydantic import Field

from kinemill.task.plugins import SCHEDULES, Schedule
from kinemill.train.schedules._parts import half_cosine


@SCHEDULES.register("one_cycle")
class OneCycle(Schedule):
    """Settings of one cycle over all steps; its maximum is the optimizer's rate."""

    type: Literal["one_cycle"] = "one_cycle"
    pct_start: float = Field(default=0.3, gt=0.0, lt=1.0)
    """fraction of the steps before the peak"""
    start: float = Field(default=1 / 25, gt=0.0, le=1.0)
    """first rate over the maximum"""
    end: float = Field(default=4e-6, ge=0.0, le=1.0)
    """last rate over the maximum"""

    def rate(self, step: int, top: float, steps: int) -> float:
        """Return the learning rate at `step` of `steps`; `top` is the highest rate."""
        turn = self.pct_start * steps - 1.0
        last = max(1.0, steps - 1.0)
        if step <= turn:
            return half_cosine(step / turn, self.start * top, top) if turn else top
        done = (step - max(0.0, turn)) / max(1.0, last - max(0.0, turn))
        return half_cosine(min(1.0, done), top, self.end * top)
