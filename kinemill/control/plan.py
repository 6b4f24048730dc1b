"""A plan: knots within [-1, 1] of the actions' ranges, and how far around them to look."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


@dataclass(frozen=True)
class Plan:
    """What a controller remembers from one step to the next.

    Attributes:
        knots: (K, A), from the present to the end of the horizon.
        std: (K, A), the standard deviation to draw with, of those controllers that fit it.
    """

    knots: Floats
    std: Floats | None = None

    def around(
        self,
        samples: int,
        std: float | Floats,
        random: np.random.Generator,
        min_noise_scale: float = 1.0,
    ) -> Floats:
        """Draw knots (B, K, A); the first are this plan itself.

        Args:
            samples: B.
            std: standard deviation, of all or (K, A), of the plans that vary most.
            random: numpy generator.
            min_noise_scale: factor on `std` of the plan that varies least; geometric in between.
        """
        noise = normal(random, (samples, *self.knots.shape))
        # In place and in one precision: to convert takes longer than to add.
        if min_noise_scale != 1.0:
            noise *= _shares(min_noise_scale, samples)
        noise *= std
        noise[0] = 0.0
        noise += self.knots.astype(np.float32)
        return noise

    def moved(self, knots: Floats, std: Floats | None = None) -> "Plan":
        """Return the plan with other knots (K, A), and with their std (K, A) if it is fitted."""
        return Plan(knots, std)


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw from N(0, 1) in pairs (Box and Muller 1958), float32.

    That is a third of the time of numpy's own normal numbers, which come one by one.
    """
    count = math.prod(shape)
    radius, angle = random.random((2, (count + 1) // 2), dtype=np.float32)
    np.sqrt(-2.0 * np.log(1.0 - radius), out=radius)
    angle *= 2.0 * np.pi
    drawn = np.stack((np.cos(angle), np.sin(angle)))
    drawn *= radius
    return drawn.reshape(-1)[:count].reshape(shape)


@cache
def _shares(min_noise_scale: float, samples: int) -> Floats:
    """Return geometric scales (B, 1, 1) from `min_noise_scale` to 1, cached between steps."""
    return np.geomspace(min_noise_scale, 1.0, samples, dtype=np.float32)[:, None, None]
