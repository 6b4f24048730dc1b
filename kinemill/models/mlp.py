"""Multilayer perceptron over the window of the last `history` encoded states and actions.

The carry is the window without its newest row. The network therefore sees exactly `history` rows at
every step, its own predictions among them.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kinemill.models._layers import Activation, Bias, Dropout, LayerNorm
from kinemill.task import MODELS, Candidate, Model, TaskFacts, TorchModule, Width


@MODELS.register("mlp")
class MLP(Model):
    """A multilayer perceptron on the history; a general model for fully measured systems."""

    type: Literal["mlp"] = "mlp"
    hidden_sizes: list[Width] = Field(default=[128, 128], min_length=1)
    """hidden units of each layer"""
    activation: Activation = "tanh"
    """activation function of the hidden layers"""
    dropout: Dropout = 0.0
    bias: Bias = True
    layer_norm: LayerNorm = False

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose two layers of 128 units."""
        settings: dict[str, object] = {
            "model": {"type": "mlp", "activation": "silu"},
            "history": facts.history,
            "horizon": min(10, facts.horizon),
            "optimizer": {"lr": 2e-3},
        }
        return [Candidate(f"mlp, history {facts.history}", settings, trains=True)]

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the `MLPNetwork`."""
        from kinemill.models.networks.layers import LayerOptions
        from kinemill.models.networks.mlp import MLPNetwork

        return MLPNetwork(inputs, outputs, history, self.hidden_sizes, LayerOptions.of(self))
