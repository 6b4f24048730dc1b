"""Custom features, computed from all channels of a row."""

import torch
from torch import Tensor


def transform(channels: dict[str, Tensor], gravity: float = 14.715) -> dict[str, Tensor]:
    """Return features (...) by name of channels (...) by name, in task units."""
    angle, velocity, torque = channels["angle"], channels["velocity"], channels["torque"]
    return {
        "sin": torch.sin(angle),
        "cos": torch.cos(angle),
        "velocity": velocity,
        "torque": torque,
        "energy": 0.5 * velocity**2 - gravity * torch.cos(angle),
    }
