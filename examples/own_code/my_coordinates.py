"""Custom coordinates of the predictions: an invertible transform of all states."""

import torch
from torch import Tensor


class Circle:
    """The angle as a point on a circle, which moves without jumps.

    Args:
        radius: of the circle, a setting of the task file.
    """

    def __init__(self, radius: float = 1.0) -> None:
        self.radius = radius

    def encode(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return coordinates (...) by name of states (...) by name, in task units."""
        angle = states["angle"]
        return {
            "x": self.radius * torch.sin(angle),
            "y": self.radius * torch.cos(angle),
            "velocity": states["velocity"],
        }

    def decode(self, coordinates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the states of coordinates: the inverse of `encode`."""
        angle = torch.atan2(coordinates["x"], coordinates["y"])
        return {"angle": angle, "velocity": coordinates["velocity"]}
