"""Gated recurrent units (Cho et al., 2014, with the reset gate after the product as in cuDNN)."""

from typing import Any, ClassVar, Literal

from kinemill.models._recurrent import Recurrent
from kinemill.task.plugins import MODELS


@MODELS.register("gru")
class GRU(Recurrent):
    """Settings of the recurrent network."""

    type: Literal["gru"] = "gru"
    gates: ClassVar[int] = 3

    def cell(self, given: Any, recalled: Any, *memory: Any) -> tuple[Any, ...]:
        """Return h'; r, z: reset and update gate; n: candidate; h' = (1 - z) n + z h."""
        import torch

        (h,) = memory
        xr, xz, xn = given.chunk(3, dim=1)
        hr, hz, hn = recalled.chunk(3, dim=1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        n = torch.tanh(xn + r * hn)
        return (n + z * (h - n),)
