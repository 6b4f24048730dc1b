"""Prefetch: a thread loads the data of the next step while the current step is computed.

Symbols: B windows of a batch, R rows of each window.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

Part = tuple[int, int]  # of a part of a batch: first window, windows of the whole batch


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
