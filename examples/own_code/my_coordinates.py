"""Coordinates of one's own in which the network predicts: an invertible transform of all states."""

import torch
from torch import Tensor


class Momentum:
    """The angle, and the velocity as a signed square root, which spreads out slow motions.

    Args:
        soft: velocity below which the root is straight, rad/s.
    """

    def __init__(self, soft: float = 0.5) -> None:
        self.soft = soft

    def encode(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return coordinates (...) of states (...), in task units."""
        speed = states["velocity"]
        root = torch.sign(speed) * (torch.sqrt(speed.abs() + self.soft**2) - self.soft)
        return {"angle": states["angle"], "root": root}

    def decode(self, coordinates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the states of coordinates: the inverse of `encode`."""
        root = coordinates["root"]
        speed = torch.sign(root) * ((root.abs() + self.soft) ** 2 - self.soft**2)
        return {"angle": coordinates["angle"], "velocity": speed}
