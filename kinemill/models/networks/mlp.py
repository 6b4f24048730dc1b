"""Multilayer perceptron. Symbols: B batch, F features, H history, O outputs."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kinemill.models.networks.layers import LayerOptions, Network, activation


class MLPNetwork(Network):
    """(B, F), window (B, (H - 1) F) -> (B, O), window.

    Args:
        inputs: F.
        outputs: O.
        history: H.
        hidden_sizes: units of each hidden layer.
        options: of the hidden layers.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        history: int,
        hidden_sizes: Sequence[int],
        options: LayerOptions,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.carry_shapes = (((history - 1) * inputs,),)
        sizes = [history * inputs, *hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(m, n, bias=options.bias) for m, n in pairwise(sizes))
        self.activation = activation(options.activation)
        self.head = nn.Linear(sizes[-1], outputs, bias=options.bias)
        norms = [options.norm(size) for size in sizes[1:]] if options.layer_norm else []
        self.norms = nn.ModuleList(norms)
        self.dropout = nn.Dropout(options.dropout)

    def warm_up(self, features: Tensor) -> tuple[Tensor]:
        """Return the window: (B, H - 1, F) -> (B, (H - 1) F)."""
        return (features.flatten(1),)

    def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, O) and the next window (B, (H - 1) F)."""
        window = torch.cat([window, features], dim=1)
        hidden = window
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden)
            hidden = self.activation(self.norms[index](hidden) if self.norms else hidden)
            hidden = self.dropout(hidden) if self.dropout.p else hidden
        return self.head(hidden), window[:, self.inputs :]
