"""RMSprop (Tieleman and Hinton, 2012, lecture 6e): steps scaled by a mean of squared gradients."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from kinemill.task.bounds import Fraction, LearningRate, RatioOrZero
from kinemill.task.plugins import OPTIMIZERS, Optimizer


@OPTIMIZERS.register("rmsprop")
class RMSprop(Optimizer):
    """RMSprop: steps scaled by the running mean of squared gradients; common with A2C."""

    type: Literal["rmsprop"] = "rmsprop"
    lr: LearningRate = Field(default=1e-3, description="peak of the learning rate")
    alpha: float = Field(default=0.99, gt=0.0, lt=1.0, description="decay of the mean of squares")
    momentum: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="share of the previous step that is added"
    )
    centered: bool = Field(default=False, description="scaled by the variance, not the square")
    weight_decay: RatioOrZero = Field(default=0.0, description="an L2 penalty")
    eps: Fraction = Field(
        default=1e-8, description="term that keeps the denominator of a step above zero"
    )

    def build(self, parameters: Iterable[Any]) -> object:
        """Make the optimizer."""
        import torch

        return torch.optim.RMSprop(
            parameters,
            lr=self.lr,
            alpha=self.alpha,
            momentum=self.momentum,
            centered=self.centered,
            weight_decay=self.weight_decay,
            eps=self.eps,
        )
