"""Robot embedding: one trunk for several robots, with a learned vector per robot as extra input.

Symbols: B batch, K rows, F features, V length of the vector.
"""

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.models.networks.layers import Network
from kinemill.task.plugins import Model
from kinemill.train.layout import Layout


class RobotNetwork(nn.Module):
    """A network with a vector per robot; outside of `robots_set` it uses that of the task's robot.

    Args:
        trunk: network with F + V input features, see `models`.
        robots: number of robots.
        length: V.
    """

    def __init__(self, trunk: Network, robots: int, length: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.robot_index = None
        self.vectors = nn.Parameter(torch.randn(robots, length))

    robot_index: Tensor | None  # (B,) int64

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each carry tensor, without the batch."""
        return self.trunk.carry_shapes

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after features (B, K, F)."""
        vector = self._vector(features).unsqueeze(1).expand(-1, features.shape[1], -1)
        return self.trunk.warm_up(torch.cat([features, vector], dim=2))

    def forward(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Run the trunk on one row: (B, F), carry -> outputs (B, O), carry."""
        return self.trunk(torch.cat([features, self._vector(features)], dim=1), *carry)

    def _vector(self, features: Tensor) -> Tensor:
        if self.robot_index is None:
            return self.vectors[0].expand(features.shape[0], -1)
        return self.vectors.index_select(0, self.robot_index)


def make_robot_network(model: Model, layout: Layout, robots: int, length: int) -> RobotNetwork:
    """Make the network of `robots` robots with random weights.

    Raises:
        BadInput: The model is fitted in closed form, which allows one robot only.
    """
    trunk = model.build(layout.features + length, len(layout.outputs), layout.history)
    if hasattr(trunk, "fit"):
        raise BadInput(
            "learn.robots: embedding",
            f"model {model.type!r} is fitted in closed form, for one robot",
            fix="choose another learn.model, or learn.robots: none",
        )
    return RobotNetwork(trunk, robots, length)


@contextmanager
def robots_set(module: nn.Module, robots: Tensor | None) -> Generator[None]:
    """Set the robot of each row, (B,) int64, in the networks of `module` inside the context."""
    if robots is None:
        yield
        return
    networks = [part for part in module.modules() if isinstance(part, RobotNetwork)]
    for network in networks:
        network.robot_index = robots
    try:
        yield
    finally:
        for network in networks:
            network.robot_index = None


def robots_of(dataset: PackedDataset) -> tuple[str, ...]:
    """Return the tasks of the episodes of a dataset, its own task first."""
    robots = sorted({episode.task for episode in dataset.episodes} - {"", dataset.task})
    return dataset.task, *robots


def robot_by_window(dataset: PackedDataset, robots: tuple[str, ...], starts: Tensor) -> Tensor:
    """Return the robot of each window: first rows (W,) int64 -> indices in `robots` (W,) int64."""
    firsts = np.array([episode.start for episode in dataset.episodes])
    order = np.argsort(firsts)
    which = np.searchsorted(firsts[order], starts.cpu().numpy(), side="right") - 1
    indices = np.array([robots.index(episode.task or dataset.task) for episode in dataset.episodes])
    return torch.from_numpy(indices[order][which]).to(starts.device)
