"""A custom loss: squares near zero, straight lines for outliers (Huber 1964)."""

import torch
from torch import Tensor


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    """Return one term for each error (..., T, C), in standard deviations of the training split."""
    size = error.abs()
    return torch.where(size <= delta, 0.5 * error**2, delta * (size - 0.5 * delta))
