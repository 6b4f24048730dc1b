"""The plain recurrent network (Elman, 1990): h' = act(W x + U h + b)."""

from typing import Literal

from kinemill.models._layers import Activation
from kinemill.models._recurrent import Recurrent
from kinemill.task import MODELS


@MODELS.register("rnn")
class RNN(Recurrent):
    """A plain recurrent network; the smallest one with memory."""

    type: Literal["rnn"] = "rnn"
    activation: Activation = "tanh"
    """activation function of the hidden units"""
