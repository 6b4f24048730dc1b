"""Settings that the recurrent networks share."""

from kinemill.models._layers import Bias, Dropout, LayerNorm
from kinemill.task import Layers, Model, TorchModule, Width


class Recurrent(Model):
    """Settings of a recurrent network of stacked layers."""

    hidden_size: Width = 128
    """hidden units of each layer"""
    layers: Layers = 1
    """number of stacked layers"""
    dropout: Dropout = 0.0
    bias: Bias = True
    layer_norm: LayerNorm = False

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the network; its memory replaces the history."""
        from kinemill.models.networks.layers import LayerOptions
        from kinemill.models.networks.recurrent import NETWORKS

        del history
        options = LayerOptions.of(self)
        return NETWORKS[self.type](inputs, outputs, self.hidden_size, self.layers, options)
