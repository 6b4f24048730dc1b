"""Long short-term memory (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers, 2000)."""

from typing import Literal

from kinemill.models._recurrent import Recurrent
from kinemill.task import MODELS


@MODELS.register("lstm")
class LSTM(Recurrent):
    """An LSTM network; for longer memories than `gru`, with more weights."""

    type: Literal["lstm"] = "lstm"
