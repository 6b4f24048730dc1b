"""Random numbers inside a graph, from a seed and a step, the same in torch and ONNX Runtime.

Whole numbers alone are mixed, x ← x² + a x + c modulo the prime 2³¹ - 1, several times over; in
int64 that is exact everywhere. What is left to rounding is the step to a normal distribution (Box
and Muller 1958).
"""

import math
from typing import Any

PRIME = 2**31 - 1
# Odd numbers without a pattern; x² stays under 2⁶², and so does a x.
_ROUNDS = (
    (1_812_433_253, 1_540_483_477),
    (1_664_525_381, 739_982_445),
    (1_103_515_245, 97_654_321),
)
_STEP, _PLACE = 1_597_334_677, 1_380_917_953


class Draws:
    """What one row of each episode draws; the numbers differ from call to call.

    Args:
        seed: (B, 1) int64.
        step: (B, 1) whole numbers in float32, of the episode.
    """

    def __init__(self, seed: Any, step: Any) -> None:
        import torch  # a task is read without it

        self._key = mixed((mixed(seed % PRIME) + step.to(torch.int64) * _STEP) % PRIME)
        self._place = 0

    def uniform(self, count: int) -> Any:
        """Return (B, count) float32 in (0, 1], evenly distributed."""
        import torch

        places = torch.arange(self._place + 1, self._place + 1 + count, device=self._key.device)
        self._place += count
        whole = mixed((self._key + places * _PLACE) % PRIME)
        return (whole.to(torch.float32) + 0.5) / PRIME

    def normal(self, count: int) -> Any:
        """Return (B, count) float32 of the standard normal distribution."""
        length = (-2.0 * self.uniform(count).log()).sqrt()
        return length * (2.0 * math.pi * self.uniform(count)).cos()


def mixed(x: Any) -> Any:
    """Return whole numbers in [0, PRIME) without a pattern, from whole numbers in [0, PRIME)."""
    for a, c in _ROUNDS:
        x = (x * x + a * x + c) % PRIME
    return x
