"""AdamW (Loshchilov and Hutter, 2019): Adam whose weight decay is not scaled by the moments."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from kinemill.task.bounds import RatioOrZero
from kinemill.task.plugins import OPTIMIZERS
from kinemill.train.optimizers._moments import Moments


@OPTIMIZERS.register("adamw")
class AdamW(Moments):
    """Adam with decoupled weight decay; the default."""

    type: Literal["adamw"] = "adamw"
    weight_decay: RatioOrZero = Field(
        default=1e-5,
        description="decay of the weights in each step, times the learning rate",
    )

    def build(self, parameters: Iterable[object]) -> object:
        """Make the optimizer."""
        import torch

        return self.made(torch.optim.AdamW, parameters)
