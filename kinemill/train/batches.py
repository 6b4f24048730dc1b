"""Batches of windows: shuffled epochs, reproducible from seed and step alone.

`Prefetch` loads the data of the next step in a thread while the current step is computed.

Symbols: B windows of a batch, R rows of each window.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

MEMBER_STRIDE = 10_007  # distance of members' seeds; a prime far above seeds that users choose

Part = tuple[int, int]  # of a part of a batch: first window, windows of the whole batch


def member_seed(seed: int, member: int) -> int:
    """Return the seed of an ensemble member; member 0 has the seed of the ensemble."""
    return seed + MEMBER_STRIDE * member


class Batches:
    """Batches by training step; only the order of the current epoch is cached.

    Args:
        windows: number of training windows W.
        size: windows of a batch B, at most W.
        seeds: one for each order.
        weights: (W,) float64, frequency of each window relative to the mean; None: all equal. An
            epoch still has W windows.
    """

    def __init__(
        self, windows: int, size: int, seeds: tuple[int, ...], weights: Tensor | None = None
    ) -> None:
        self.windows, self.size = windows, min(size, windows)
        self.seeds = seeds
        self.weights = weights
        self._epoch, self._orders = -1, torch.empty(0, 0)

    def at(self, step: int) -> Tensor:
        """Return the window indices (M, B) int64 of a step, a row for each of M seeds."""
        epoch, first = self.position(step)
        return self.orders(epoch)[:, first : first + self.size]

    def position(self, step: int) -> tuple[int, int]:
        """Return the epoch of a step, and the index of its first window in that epoch's order."""
        epoch, position = divmod(step, self.windows // self.size)
        return epoch, position * self.size

    def orders(self, epoch: int) -> Tensor:
        """Return the window indices (M, W) int64 of an epoch, in the order of its batches."""
        if epoch != self._epoch:
            self._orders = self.draw(epoch)
            self._epoch = epoch
        return self._orders

    def draw(self, epoch: int) -> Tensor:
        """Return `orders(epoch)`, (M, W) int64, without the cache; threads may call it."""
        return torch.stack([self._order(seed, epoch) for seed in self.seeds])

    def _order(self, seed: int, epoch: int) -> Tensor:
        # Keyed by seed and epoch alone: a resumed training needs no random state.
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(self.windows, generator=generator)
        return order if self.weights is None else _weighted(self.weights, generator)[order]


def _weighted(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Return W window indices (W,), each as often as its weight, rounded up or down at random.

    Systematic resampling (Kitagawa 1996, section 5): one random number per epoch.
    """
    ends = torch.cumsum(weights / weights.sum() * len(weights), 0)
    start = torch.rand(1, generator=generator, dtype=torch.float64)
    drawn = torch.searchsorted(ends, torch.arange(len(weights), dtype=torch.float64) + start)
    return drawn.clamp(max=len(weights) - 1)


@dataclass(frozen=True)
class _Batch:
    """The load in progress for a step, and the number of its windows."""

    step: int
    windows: int
    tensors: Future[dict[str, Tensor]]


class Prefetch:
    """Tensors (B R, ...) of the next step by name, loaded in one thread.

    Args:
        device: device of the tensors; a GPU gets them from pinned memory, without waiting.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._batches: list[_Batch] = []

    def request(self, step: int, windows: int, load: Callable[[], dict[str, Tensor]]) -> None:
        """Begin to load the tensors of a step of B windows; keep only those of the previous step.

        Args:
            step: training step.
            windows: B.
            load: returns the tensors (B R, ...) by name, on the CPU; it runs in the thread.
        """
        recent = [batch for batch in self._batches if step - 1 <= batch.step < step]
        self._batches = [*recent, _Batch(step, windows, self._thread.submit(self._pinned, load))]

    def take(self, step: int, windows: int, part: Part | None) -> dict[str, Tensor] | None:
        """Return the tensors (B R, ...) of the windows of a step, on the device, by name.

        The result is None if the step was not requested.

        Args:
            step: training step.
            windows: number of windows.
            part: their position in the whole batch; None: they are all of it.

        Raises:
            KinemillError: `load` raised it.
        """
        first, whole = part or (0, windows)
        for batch in self._batches:
            if (batch.step, batch.windows) == (step, whole):
                tensors = batch.tensors.result()
                return {
                    name: self._rows(value, (first, windows, whole))
                    for name, value in tensors.items()
                }
        return None

    def _pinned(self, load: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        tensors = load()
        if self._device.type != "cuda":
            return tensors
        return {name: value.pin_memory() for name, value in tensors.items()}

    def _rows(self, value: Tensor, which: tuple[int, int, int]) -> Tensor:
        first, windows, whole = which
        rows = len(value) // whole
        part = value[first * rows : (first + windows) * rows]
        return part.to(self._device, non_blocking=True)
