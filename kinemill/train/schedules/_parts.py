"""Shared parts of schedules."""

import math
from abc import abstractmethod

from pydantic import Field

from kinemill.task.bounds import LearningRateOrZero, Steps, StepsOrZero
from kinemill.task.plugins import Schedule


class Warmed(Schedule):
    """A schedule that starts with a linear warm-up."""

    warmup_steps: StepsOrZero = Field(default=200, description="steps of linear warm-up")

    def rate(self, step: int, top: float, steps: int) -> float:
        """Return the learning rate at `step` of `steps`; `top` is the highest rate."""
        if step < self.warmup_steps:
            return top * (step + 1) / self.warmup_steps
        return self.after(step - self.warmup_steps, top, steps - self.warmup_steps)

    @abstractmethod
    def after(self, step: int, top: float, steps: int) -> float:
        """Return the rate `step` steps after the warm-up, of the `steps` that follow it."""


class Decaying(Warmed):
    """A schedule that falls to `min_lr` after its warm-up."""

    decay_steps: Steps | None = Field(
        default=None, description="steps from the warm-up to the lowest rate; default: all"
    )
    min_lr: LearningRateOrZero = Field(default=1e-5, description="lowest learning rate")

    def done(self, step: int, steps: int) -> float:
        """Return the finished share of the decay, 0 to 1."""
        return min(1.0, step / max(1, self.decay_steps or steps))


def half_cosine(done: float, top: float, low: float) -> float:
    """Return the value of half a cosine from `top` to `low` at share `done` (0 to 1)."""
    return low + 0.5 * (top - low) * (1.0 + math.cos(math.pi * done))
