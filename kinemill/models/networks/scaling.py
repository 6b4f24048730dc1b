"""Angles and standard deviations of channels in torch, as `kinemill.runtime` has them in numpy.

Symbols: C channels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# A term varies if its standard deviation is larger than this, and larger than what float32 rounds
# of its mean: the cosine of a joint that rests is 1 there, whatever its sensor's noise is.
LEAST_STD = 1e-12
ROUNDING = 1e-6  # relative; 8 spacings of float32


def angle_period(angles: Sequence[bool]) -> Tensor:
    """Return the period of each channel, (C,): 2π rad of an angle, 0 of others."""
    return 2.0 * math.pi * torch.tensor(angles, dtype=torch.float32)


def wrap_angles(values: Tensor, period: Tensor) -> Tensor:
    """Wrap the angles of (..., C) to [-π, π] rad by a - 2π round(a / 2π); `period` is (C,).

    NaN stays NaN, unlike with atan2.
    """
    # The turns are steps, whose gradient is 0; detached, autograd does not multiply by it.
    constant = values.detach() if torch.is_grad_enabled() else values
    return values - period * torch.round(constant * (1.0 / (2.0 * math.pi)))


def is_varying(std: Tensor, mean: Tensor | float = 0.0) -> Tensor:
    """Return whether terms vary: standard deviations and means, (C,) each -> (C,)."""
    return std > LEAST_STD + ROUNDING * torch.as_tensor(mean).abs()


def nonzero_std(std: Tensor, mean: Tensor | float = 0.0) -> Tensor:
    """Return a divisor of each term, (C,): its standard deviation, 1 if it does not vary."""
    return torch.where(is_varying(std, mean), std, 1.0)
