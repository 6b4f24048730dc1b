"""Adam (Kingma and Ba, 2015): steps scaled by running means of gradients and of their squares."""

from typing import Literal

from kinemill.task.plugins import OPTIMIZERS
from kinemill.train.optimizers._torch import Moments


@OPTIMIZERS.register("adam")
class Adam(Moments):
    """Adam; its weight decay is an L2 penalty, unlike that of `adamw`."""

    type: Literal["adam"] = "adam"
