"""Flow matching over chunks of actions (Lipman et al. 2023; Liu et al. 2023), few Euler steps.

On straight lines x_t = (1 - t) ε + t x_1 from noise to a chunk the velocity is x_1 - ε. The network
learns its mean, and sampling integrates it from t = 0 to 1.
"""

from typing import Literal

from kinemill.models.heads._sampling import Sampling
from kinemill.task.imitation import HEADS
from kinemill.task.protocols import TorchModule


@HEADS.register("flow")
class Flow(Sampling):
    """Actions sampled by a learned velocity field, in a few steps."""

    type: Literal["flow"] = "flow"

    def build(self, length: int, actions: int) -> TorchModule:
        """Make the `FlowHead`."""
        from kinemill.models.networks.heads import FlowHead

        return FlowHead(length, actions, self.sizes())
