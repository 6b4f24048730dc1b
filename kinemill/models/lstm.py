"""Long short-term memory (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers, 2000)."""

from typing import Any, ClassVar, Literal

from kinemill.models._recurrent import Recurrent
from kinemill.task.plugins import MODELS


@MODELS.register("lstm")
class LSTM(Recurrent):
    """Settings of the recurrent network."""

    type: Literal["lstm"] = "lstm"
    gates: ClassVar[int] = 4
    memories: ClassVar[int] = 2

    def cell(self, given: Any, recalled: Any, *memory: Any) -> tuple[Any, ...]:
        """Return h' = o tanh c' and c' = f c + i g.

        i, f, o: input, forget and output gate; g: candidate.
        """
        import torch

        _, c = memory
        i, f, g, o = (given + recalled).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
