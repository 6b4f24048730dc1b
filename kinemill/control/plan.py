"""A plan: knots within [-1, 1] of the actions' ranges, and the standard deviation of samples.

Splines between the knots are matrices, which a planner computes once. Symbols: K knots at times 0,
1, ..., K-1; N times. Before the first and after the last knot, the spline has the value of that
knot.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


@dataclass(frozen=True)
class Plan:
    """State of a controller between control steps.

    Attributes:
        knots: (K, A) within [-1, 1] of the range of each action, from now to the end of the
            horizon.
        std: (K, A), standard deviation of samples; None for controllers that do not fit it.
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
        """Draw knots (B, K, A) of normal distributions around this plan; the first is this plan.

        Args:
            samples: B.
            std: largest standard deviation, a number or (K, A), in half action ranges.
            random: numpy generator.
            min_noise_scale: factor on `std` of the sample with the least noise; the factors of the
                others rise to 1 as a geometric series.
        """
        noise = normal(random, (samples, *self.knots.shape))
        # In place and in float32: a conversion takes longer than the sum.
        if min_noise_scale != 1.0:
            noise *= _shares(min_noise_scale, samples)
        noise *= std
        # The first sample is the plan itself, so an update can keep it.
        noise[0] = 0.0
        noise += self.knots.astype(np.float32)
        return noise

    def moved(self, knots: Floats, std: Floats | None = None) -> "Plan":
        """Return a plan with these knots (K, A), and with their std (K, A) if it is fitted."""
        return Plan(knots, std)


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw float32 numbers of a shape from N(0, 1) in pairs (Box and Muller 1958).

    This takes a third of the time of numpy's normal numbers, which are drawn one by one.
    """
    count = math.prod(shape)
    radius, angle = random.random((2, (count + 1) // 2), dtype=np.float32)
    # 1 - u is in (0, 1], so the logarithm is finite.
    np.sqrt(-2.0 * np.log(1.0 - radius), out=radius)
    angle *= 2.0 * np.pi
    drawn = np.stack((np.cos(angle), np.sin(angle)))
    drawn *= radius
    return drawn.reshape(-1)[:count].reshape(shape)


@cache
def _shares(min_noise_scale: float, samples: int) -> Floats:
    """Return geometric scales (B, 1, 1) from `min_noise_scale` to 1, cached between steps."""
    return np.geomspace(min_noise_scale, 1.0, samples, dtype=np.float32)[:, None, None]


def zero(times: Floats, knots: int) -> Floats:
    """Hold each knot until the next: times (N,) -> (N, K)."""
    # + 1e-9: a time of 0.9999… that should be 1 belongs to knot 1.
    index = np.clip(np.floor(times + 1e-9), 0, knots - 1).astype(int)
    return np.eye(knots)[index]


def linear(times: Floats, knots: int) -> Floats:
    """Join knots by lines: times (N,) -> (N, K)."""
    columns = [np.interp(times, np.arange(knots), unit) for unit in np.eye(knots)]
    return np.stack(columns, axis=1)


def cubic(times: Floats, knots: int) -> Floats:
    """Join knots by the natural cubic spline: times (N,) -> (N, K)."""
    from scipy.interpolate import CubicSpline  # which takes 0.3 s to import

    if knots < 3:
        return linear(times, knots)
    spline = CubicSpline(np.arange(knots), np.eye(knots), bc_type="natural")
    return np.asarray(spline(np.clip(times, 0.0, knots - 1.0)))


SPLINES: dict[str, Callable[[Floats, int], Floats]] = {
    "zero": zero,
    "linear": linear,
    "cubic": cubic,
}


def matrices(spline: str, knots: int, horizon: int) -> tuple[Floats, Floats]:
    """Return the matrices from knots to actions (T, K), and to knots one step later (K, K).

    Args:
        spline: `zero`, `linear` or `cubic`.
        knots: K.
        horizon: T.

    The first knot belongs to the current step, the last one to the last step of the horizon.
    """
    spacing = (horizon - 1) / (knots - 1) if knots > 1 else 1.0  # steps between two knots
    form = SPLINES[spline]
    at_steps = form(np.arange(horizon) / spacing, knots)
    return at_steps, form(np.arange(knots) + 1.0 / spacing, knots)
