"""Teacher forcing, curriculum (horizon schedule) and reproducible noise of training rollouts."""

from functools import cached_property
from typing import Any

from pydantic import Field, PositiveInt

from kinemill.task.plugins import Settings


class HorizonSchedule(Settings):
    """A growing horizon, because long rollouts of an untrained model carry little information."""

    first: PositiveInt = Field(default=1, description="horizon at the first training step")
    steps: PositiveInt = Field(
        default=1000, description="training steps until it is `learn.horizon`; it grows evenly"
    )

    def at(self, step: int, horizon: int) -> int:
        """Return the length of rollouts at a training step, at most `horizon`."""
        if step >= self.steps:
            return horizon
        first = min(self.first, horizon)
        return first + (horizon - first) * step // self.steps


class TeacherForcing(Settings):
    """Scheduled sampling: rollouts continue from the truth with a decreasing probability.

    Bengio et al. 2015, section 2.4, linear decay; a coin is tossed for each step of each rollout.
    """

    first: float = Field(default=1.0, ge=0.0, le=1.0, description="probability of truth at first")
    last: float = Field(default=0.0, ge=0.0, le=1.0, description="probability of truth at last")
    steps: PositiveInt = Field(
        default=2000, description="training steps from `first` to `last`; it changes evenly"
    )

    def at(self, step: int) -> float:
        """Return the probability that a step continues from the truth."""
        return self.first + (self.last - self.first) * min(1.0, step / self.steps)


class KeyedNoise:
    """Random tensors, reproducible from seed and training step alone, on any device.

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
        """Return a bool tensor that is true with a probability."""
        import torch

        return (self._drawn(torch.rand, shape) < probability).to(self._device)

    def uniform(self, *shape: int) -> Any:
        """Return a tensor of the uniform distribution over [0, 1)."""
        import torch

        return self._drawn(torch.rand, shape).to(self._device)

    def normal(self, *shape: int) -> Any:
        """Return a tensor of the standard normal distribution."""
        import torch

        return self._drawn(torch.randn, shape).to(self._device)

    def _drawn(self, draw: Any, shape: tuple[int, ...]) -> Any:
        """Return random numbers (M B, ...) for the windows of all members, member by member."""
        if self._part is None:
            return draw(*shape, generator=self._generator)
        members, (first, whole) = self._part
        rows = draw(members, whole, *shape[1:], generator=self._generator)
        return rows[:, first : first + shape[0] // members].flatten(0, 1)
