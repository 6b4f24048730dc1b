"""Random numbers inside a graph, from a seed and a step, the same in torch and ONNX Runtime.

Integers are mixed several times by x ← x² + a x + c modulo the prime 2³¹ - 1, which is exact in
int64 on every device. Only the transform to a normal distribution (Box and Muller 1958) rounds.
"""

import math

import torch
from torch import Tensor

PRIME = 2**31 - 1
# Arbitrary odd numbers; x² and a x stay under 2⁶².
_ROUNDS = (
    (1_812_433_253, 1_540_483_477),
    (1_664_525_381, 739_982_445),
    (1_103_515_245, 97_654_321),
)
_STEP = 1_597_334_677
_INDEX = 1_380_917_953


class GraphNoise:
    """Random numbers for one row of each episode; each call returns new numbers.

    Args:
        seed: (B, 1) int64.
        step: (B, 1) row number of the episode, whole numbers in float32.
    """

    def __init__(self, seed: Tensor, step: Tensor) -> None:
        # The seed is mixed before the step is added: a sum of both would repeat for other pairs.
        self._key = mix((mix(seed % PRIME) + step.to(torch.int64) * _STEP) % PRIME)
        self._count = 0

    def uniform(self, count: int) -> Tensor:
        """Return (B, count) float32 of the uniform distribution over (0, 1]."""
        index = torch.arange(self._count + 1, self._count + 1 + count, device=self._key.device)
        self._count += count
        whole = mix((self._key + index * _INDEX) % PRIME)
        # + 0.5 excludes 0, whose logarithm `normal` cannot take.
        return (whole.to(torch.float32) + 0.5) / PRIME

    def normal(self, count: int) -> Tensor:
        """Return (B, count) float32 of the standard normal distribution."""
        length = (-2.0 * self.uniform(count).log()).sqrt()
        return length * (2.0 * math.pi * self.uniform(count)).cos()


def mix(x: Tensor) -> Tensor:
    """Hash int64 numbers (...) in [0, PRIME) to numbers (...) in [0, PRIME)."""
    for a, c in _ROUNDS:
        x = (x * x + a * x + c) % PRIME
    return x
