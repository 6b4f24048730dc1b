"""Detect channels whose motion float32 cannot resolve, and choose an offset for them.

float32 holds about seven digits: at 4,500,000 it has steps of 0.5, at 1e9 steps of 64.
"""

from math import floor, log10

import numpy as np
from numpy.typing import NDArray

LOST = 0.05  # largest float32 step, in standard deviations of the change from row to row
FAR = 64.0  # an offset helps from this distance to 0 on, in standard deviations
LARGE = 1e3  # below this, a channel that hardly changes counts as constant
JITTER = 1e-11  # relative; smaller changes are rounding errors of a constant

Floats = NDArray[np.float64]


def step_at(reach: object) -> Floats:
    """Return the distance between neighboring float32 values at given magnitudes (n,)."""
    return np.spacing(np.asarray(reach, np.float64).astype(np.float32)).astype(np.float64)


def far_from_zero(values: Floats, change: float) -> bool:
    """Return whether float32 loses the motion of finite values (n,), and an offset helps."""
    reach = float(np.abs(values).max())
    away = reach > max(FAR * float(values.std()), LARGE)
    return away and change > JITTER * reach and float(step_at(reach)) > LOST * change


def place_near(values: Floats) -> float:
    """Return a short number within a few standard deviations of the mean of (n,) values."""
    return short_number(float(values.mean()), float(values.std()))


def short_number(mean: float, std: float) -> float:
    """Return a number with few digits within a few standard deviations of the mean."""
    return round(mean, -floor(log10(max(4.0 * std, 1e-300))))
