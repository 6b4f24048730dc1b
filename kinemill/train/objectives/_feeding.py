"""What a rollout of training is fed with: how long it is, its own output or the truth, noise."""

from functools import cached_property
from typing import Any

from pydantic import Field, PositiveInt

from kinemill.spec.plugins import Settings


class Growth(Settings):
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


class Sampling(Settings):
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


class Chance:
    """Random tensors that follow from a seed and the training step alone, on any device.

    Args:
        seed: of the training.
        step: of the training.
        device: where the tensors are wanted.
    """

    def __init__(self, seed: int, step: int, device: Any) -> None:
        self._key, self._device = (seed * 7_368_787 + step) % 2**63, device

    @cached_property
    def _generator(self) -> Any:
        import torch

        return torch.Generator().manual_seed(self._key)

    def below(self, probability: float, *shape: int) -> Any:
        """Return a bool tensor, true with a probability."""
        import torch

        drawn = torch.rand(*shape, generator=self._generator)
        return (drawn < probability).to(self._device)

    def normal(self, *shape: int) -> Any:
        """Return a tensor of the standard normal distribution."""
        import torch

        return torch.randn(*shape, generator=self._generator).to(self._device)
