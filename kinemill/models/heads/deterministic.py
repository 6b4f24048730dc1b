"""Deterministic head: the network returns the actions."""

from typing import Literal

from kinemill.task.imitation import HEADS, Head
from kinemill.task.protocols import TorchModule


@HEADS.register("deterministic")
class Deterministic(Head):
    """The mean of the demonstrated actions; where demonstrations differ it lies between them."""

    type: Literal["deterministic"] = "deterministic"
    loss: Literal["squared", "absolute"] = "squared"
    """squared or absolute error of the actions"""

    def build(self, length: int, actions: int) -> TorchModule:
        """Make the `DeterministicHead`."""
        from kinemill.models.networks.heads import DeterministicHead

        return DeterministicHead(length, actions, self.loss == "absolute")
