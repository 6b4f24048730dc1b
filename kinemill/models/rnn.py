"""The plain recurrent network (Elman, 1990): h' = act(W x + U h + b)."""

from typing import Any, ClassVar, Literal

from kinemill.models._layers import Activation, activation
from kinemill.models._recurrent import Recurrent
from kinemill.task.plugins import MODELS


@MODELS.register("rnn")
class RNN(Recurrent):
    """Settings of the recurrent network."""

    type: Literal["rnn"] = "rnn"
    gates: ClassVar[int] = 1
    activation: Activation = "tanh"

    def cell(self, given: Any, recalled: Any, *memory: Any) -> tuple[Any, ...]:
        """Return h' = act(W x + U h + b)."""
        del memory  # `recalled` holds it
        return (activation(self.activation)(given + recalled),)
