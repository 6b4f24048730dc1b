"""Teacher forcing, curriculum of the horizon, and noise: what training rollouts are fed."""

from functools import cached_property
from typing import Any

from pydantic import Field, PositiveInt

from kinemill.task.plugins import Settings


class HorizonSchedule(Settings):
    """A horizon that is short at first: long rollouts of an untrained model teach little."""

    first: PositiveInt = Field(default=1, description="horizon at the first training step")
    steps: PositiveInt = Field(
        default=1000, description="training steps until it is `learn.horizon`; it grows evenly"
    )

    def at(self, step: int, horizon: int) -> int:
        """Return over how many of `horizon` steps rollouts go at a training step."""
        if step >= self.steps:
            return horizon
        first = min(self.first, horizon)
        return first + (horizon - first) * step // self.steps


class TeacherForcing(Settings):
    """Scheduled sampling: early rollouts go on from the truth, later ones from themselves.

    Bengio et al. 2015, section 2.4, linear decay; a coin is tossed for each step of each rollout.
    """

    first: float = Field(default=1.0, ge=0.0, le=1.0, description="probability of truth at first")
    last: float = Field(default=0.0, ge=0.0, le=1.0, description="probability of truth at last")
    steps: PositiveInt = Field(
        default=2000, description="training steps from `first` to `last`; it changes evenly"
    )

    def at(self, step: int) -> float:
        """Return the probability that a step goes on from the truth."""
        return self.first + (self.last - self.first) * min(1.0, step / self.steps)


class KeyedNoise:
    """Random tensors that follow from a seed and the training step alone, on any device.

    Args:
        seed: of the training.
        step: of the training.
        device: where the tensors are wanted.
        part: where only a part of a batch is looked at: members, and first window and number of
            windows of the whole batch; numbers are drawn for all of it.
    """

    def __init__(
        self, seed: int, step: int, device: Any, part: tuple[int, tuple[int, int]] | None = None
    ) -> None:
        self._key, self._device, self._part = (seed * 7_368_787 + step) % 2**63, device, part

    @cached_property
    def _generator(self) -> Any:
        import torch

        return torch.Generator().manual_seed(self._key)

    def below(self, probability: float, *shape: int) -> Any:
        """Return a bool tensor, true with a probability."""
        import torch

        return (self._drawn(torch.rand, shape) < probability).to(self._device)

    def uniform(self, *shape: int) -> Any:
        """Return a tensor, evenly distributed over [0, 1)."""
        import torch

        return self._drawn(torch.rand, shape).to(self._device)

    def normal(self, *shape: int) -> Any:
        """Return a tensor of the standard normal distribution."""
        import torch

        return self._drawn(torch.randn, shape).to(self._device)

    def _drawn(self, draw: Any, shape: tuple[int, ...]) -> Any:
        """Draw numbers (M B, ...) for the windows of all members, one member after the other."""
        if self._part is None:
            return draw(*shape, generator=self._generator)
        members, (first, whole) = self._part
        rows = draw(members, whole, *shape[1:], generator=self._generator)
        return rows[:, first : first + shape[0] // members].flatten(0, 1)
