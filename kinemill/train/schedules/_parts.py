"""Shared parts of schedules."""

import math
from abc import abstractmethod

from kinemill.task.bounds import StepsOrZero
from kinemill.task.plugins import Schedule


class Warmed(Schedule):
    """A schedule that starts with a linear warm-up."""

    warmup_steps: StepsOrZero = 200
    """steps of linear warm-up"""

    def rate(self, step: int, top: float, steps: int) -> float:
        """Return the learning rate at `step` of `steps`; `top` is the highest rate."""
        if step < self.warmup_steps:
            return top * (step + 1) / self.warmup_steps
        return self.after(step - self.warmup_steps, top, steps - self.warmup_steps)

    @abstractmethod
    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate `step` steps after the warm-up, of the `steps` that follow it."""


def half_cosine(done: float, top: float, low: float) -> float:
    """Return the value of half a cosine from `top` to `low` at share `done` (0 to 1)."""
    return low + 0.5 * (top - low) * (1.0 + math.cos(math.pi * done))
