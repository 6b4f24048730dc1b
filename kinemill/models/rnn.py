"""The plain recurrent network (Elman, 1990): h' = act(W x + U h + b)."""

from typing import Any, Literal

from kinemill.models._layers import Activation
from kinemill.models._recurrent import Recurrent
from kinemill.task.plugins import MODELS


@MODELS.register("rnn")
class RNN(Recurrent):
    """Settings of the recurrent network."""

    type: Literal["rnn"] = "rnn"
    activation: Activation = "tanh"

    def network_class(self) -> Any:
        """Return `RNNNetwork`."""
        from kinemill.models.networks.recurrent import RNNNetwork

        return RNNNetwork
