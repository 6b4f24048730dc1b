"""Settings of heads that turn noise into a chunk of actions in a few steps."""

from typing import Any, ClassVar

from pydantic import Field

from kinemill.task.bounds import Count, Layers, Width
from kinemill.task.imitation import Head


class Sampling(Head):
    """Settings of such a head."""

    seeded: ClassVar[bool] = True
    steps: Count = Field(
        default=8, description="steps from noise to actions, one call of the network each"
    )
    condition: Width = Field(default=64, description="values of the condition")
    width: Width = Field(default=128, description="hidden units of each layer of the network")
    layers: Layers = Field(default=2, description="hidden layers of the network")

    def sizes(self) -> Any:
        """Return the `SamplerSizes`."""
        from kinemill.models.networks.heads import SamplerSizes

        return SamplerSizes(self.condition, self.steps, self.width, self.layers)
