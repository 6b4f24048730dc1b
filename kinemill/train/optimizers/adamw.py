"""AdamW (Loshchilov and Hutter, 2019): Adam whose weight decay is not scaled by the moments."""

from typing import Literal

from kinemill.task.bounds import RatioOrZero
from kinemill.task.plugins import OPTIMIZERS
from kinemill.train.optimizers._torch import Moments


@OPTIMIZERS.register("adamw")
class AdamW(Moments):
    """Adam with decoupled weight decay; the default."""

    type: Literal["adamw"] = "adamw"
    weight_decay: RatioOrZero = 1e-5
    """decay of the weights in each step, times the learning rate"""
