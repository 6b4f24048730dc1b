"""Settings of heads that turn noise into a chunk of actions in a few steps."""

from typing import Any, ClassVar

from kinemill.task.bounds import Count, Layers, Width
from kinemill.task.imitation import Head


class Sampling(Head):
    """Settings of such a head."""

    seeded: ClassVar[bool] = True
    steps: Count = 8
    """steps from noise to actions, one call of the network each"""
    condition: Width = 64
    """values of the condition"""
    width: Width = 128
    """hidden units of each layer of the network"""
    layers: Layers = 2
    """hidden layers of the network"""

    def sizes(self) -> Any:
        """Return the `SamplerSizes`."""
        from kinemill.models.networks.heads import SamplerSizes

        return SamplerSizes(self.condition, self.steps, self.width, self.layers)
