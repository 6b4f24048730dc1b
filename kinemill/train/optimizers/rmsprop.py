"""RMSprop (Tieleman and Hinton, 2012, lecture 6e): steps scaled by a mean of squared gradients."""

from typing import ClassVar, Literal

from pydantic import Field

from kinemill.task.bounds import Fraction, LearningRate, RatioOrZero
from kinemill.task.plugins import OPTIMIZERS
from kinemill.train.optimizers._torch import TorchOptimizer


@OPTIMIZERS.register("rmsprop")
class RMSprop(TorchOptimizer):
    """RMSprop: steps scaled by the running mean of squared gradients; common with A2C."""

    fused: ClassVar[bool] = False  # torch has no fused kernel for it
    type: Literal["rmsprop"] = "rmsprop"
    lr: LearningRate = Field(default=1e-3, description="peak of the learning rate")
    alpha: float = Field(default=0.99, gt=0.0, lt=1.0, description="decay of the mean of squares")
    momentum: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="share of the previous step that is added"
    )
    centered: bool = Field(
        default=False, description="scale by the variance instead of the mean square"
    )
    weight_decay: RatioOrZero = Field(default=0.0, description="L2 penalty on the weights")
    eps: Fraction = Field(
        default=1e-8, description="term that keeps the denominator of a step above zero"
    )
