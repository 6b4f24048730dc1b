"""Reproducible noise: random tensors keyed by seed and training step."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

Sample = Callable[..., Tensor]  # torch.rand or torch.randn
Part = tuple[int, tuple[int, int]]  # members, then first window and windows of the whole batch


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
        self, seed: int, step: int, device: torch.device, part: Part | None = None
    ) -> None:
        self._seed = seed
        self._step = step
        self._device = device
        self._part = part
        self._source = 0  # its number among those that draw in a step; 0 before the first draw

    @cached_property
    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed((self._seed * 7_368_787 + self._step) % 2**63)

    def uniform(self, *shape: int) -> Tensor:
        """Draw a tensor of shape `shape` from the uniform distribution over [0, 1)."""
        return self._of(torch.rand, shape)

    def normal(self, *shape: int) -> Tensor:
        """Draw a tensor of shape `shape` from the standard normal distribution."""
        return self._of(torch.randn, shape)

    def _of(self, sample: Sample, shape: tuple[int, ...]) -> Tensor:
        # Looked up at a draw, not at construction: a compiled step constructs one, never draws, and
        # torch cannot compile the lookup.
        prepared = _PREPARED.get()
        if prepared is not None:
            self._source = self._source or prepared.add_source()
            draw = _Draw(self._source, self._seed, self._part, sample, shape)
            if (tensor := prepared.take(draw)) is not None:
                return tensor
        return sent(self.draw(sample, shape), self._device)

    def draw(self, sample: Sample, shape: tuple[int, ...]) -> Tensor:
        """Return random numbers (M B, ...) for the windows of all members, member by member."""
        if self._part is None:
            return sample(*shape, generator=self._generator)
        members, (first, whole) = self._part
        rows = sample(members, whole, *shape[1:], generator=self._generator)
        return rows[:, first : first + shape[0] // members].flatten(0, 1)


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor (...) on a device; from pinned memory, so that the host does not wait."""
    if device.type != "cuda":
        return drawn.to(device)
    return drawn.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class _Draw:
    """One random tensor of a step; each source has its own generator."""

    source: int
    seed: int
    part: Part | None
    sample: Sample
    shape: tuple[int, ...]


class Draws:
    """The noise of training steps, drawn before they run into tensors at fixed addresses.

    A CUDA graph cannot draw on the host, and replays memory addresses. All steps draw tensors of
    the same shapes, which are recorded in the first one.

    Args:
        device: device of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._draws = device, list[_Draw]()
        self._tensors = list[list[Tensor]]()  # of each row, in the order of `_draws`
        self._row: int | None = None  # None: draws are recorded
        self._position = 0
        self._sources = 0

    @contextmanager
    def recording(self) -> Generator[None]:
        """Record which tensors are drawn inside the context."""
        self._row = None
        self._draws.clear()
        with self._set():
            yield

    def fill(self, steps: Sequence[int]) -> None:
        """Draw the noise of these training steps into the tensors, one row for each step."""
        for row, step in enumerate(steps):
            noise = {
                draw.source: KeyedNoise(draw.seed, step, self._device, draw.part)
                for draw in self._draws
            }
            drawn = [noise[draw.source].draw(draw.sample, draw.shape) for draw in self._draws]
            if row == len(self._tensors):
                self._tensors.append([sent(array, self._device) for array in drawn])
            else:
                for target, array in zip(self._tensors[row], drawn, strict=True):
                    target.copy_(sent(array, self._device))

    @contextmanager
    def supplying(self, row: int) -> Generator[None]:
        """Make each draw inside the context return the prepared tensor of a row, in order."""
        self._row = row
        self._position = 0
        with self._set():
            yield

    @contextmanager
    def _set(self) -> Generator[None]:
        token = _PREPARED.set(self)
        self._sources = 0
        try:
            yield
        finally:
            _PREPARED.reset(token)

    def add_source(self) -> int:
        """Return the number of the next `KeyedNoise` of a step."""
        self._sources += 1
        return self._sources

    def take(self, draw: _Draw) -> Tensor | None:
        """Return the prepared tensor of the next draw; None while draws are recorded.

        Raises:
            RuntimeError: The draw differs from that of the first step.
        """
        if self._row is None:
            self._draws.append(draw)
            return None
        if self._position == len(self._draws) or self._draws[self._position] != draw:
            message = f"step draws {draw}, and the first step did not"
            raise RuntimeError(message)
        self._position += 1
        return self._tensors[self._row][self._position - 1]


_PREPARED: ContextVar[Draws | None] = ContextVar("noise drawn before a step", default=None)
