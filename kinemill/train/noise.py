"""Reproducible noise: random tensors keyed by seed and training step."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor


class KeyedNoise:
    """Random tensors that depend on seed and training step alone, on any device.

    Args:
        seed: seed of the training.
        step: training step.
        device: device of the returned tensors.
        part: for a part of a batch: number of members, then first window and number of windows of
            the whole batch. Numbers are drawn for the whole batch, so that its parts get the same.
    """

    def __init__(
        self,
        seed: int,
        step: int,
        device: torch.device,
        part: tuple[int, tuple[int, int]] | None = None,
    ) -> None:
        self._key, self._device, self._part = (seed * 7_368_787 + step) % 2**63, device, part

    @cached_property
    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._key)

    def below(self, probability: float, *shape: int) -> Tensor:
        """Return a bool tensor of shape `shape` whose elements are true with `probability`."""
        return self._sent(self._draw(torch.rand, shape) < probability)

    def uniform(self, *shape: int) -> Tensor:
        """Draw a tensor of shape `shape` from the uniform distribution over [0, 1)."""
        return self._sent(self._draw(torch.rand, shape))

    def normal(self, *shape: int) -> Tensor:
        """Draw a tensor of shape `shape` from the standard normal distribution."""
        return self._sent(self._draw(torch.randn, shape))

    def _sent(self, drawn: Tensor) -> Tensor:
        """Return the tensor on the device; from pinned memory, so that no side waits."""
        if self._device.type != "cuda":
            return drawn.to(self._device)
        return drawn.pin_memory().to(self._device, non_blocking=True)

    def _draw(self, sample: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        """Return random numbers (M B, ...) for the windows of all members, member by member."""
        if self._part is None:
            return sample(*shape, generator=self._generator)
        members, (first, whole) = self._part
        rows = sample(members, whole, *shape[1:], generator=self._generator)
        return rows[:, first : first + shape[0] // members].flatten(0, 1)
