"""The plain recurrent network (Elman, 1990): h' = act(W x + U h + b)."""

from typing import Any, Literal

from pydantic import Field

from kinemill.models._layers import Activation
from kinemill.models._recurrent import Recurrent
from kinemill.task.plugins import MODELS


@MODELS.register("rnn")
class RNN(Recurrent):
    """Settings of the recurrent network."""

    type: Literal["rnn"] = "rnn"
    activation: Activation = Field(
        default="tanh", description="activation function of the hidden units"
    )

    def network_class(self) -> Any:
        """Return `RNNNetwork`."""
        from kinemill.models.networks.recurrent import RNNNetwork

        return RNNNetwork
