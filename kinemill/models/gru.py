"""Gated recurrent units (Cho et al., 2014, with the reset gate after the product as in cuDNN)."""

from typing import Any, Literal

from kinemill.models._recurrent import Recurrent
from kinemill.task.plugins import MODELS


@MODELS.register("gru")
class GRU(Recurrent):
    """Settings of the recurrent network."""

    type: Literal["gru"] = "gru"

    def network_class(self) -> Any:
        """Return `GRUNetwork`."""
        from kinemill.models.networks.recurrent import GRUNetwork

        return GRUNetwork
