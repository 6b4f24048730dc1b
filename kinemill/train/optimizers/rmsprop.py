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
    lr: LearningRate = 1e-3
    """peak of the learning rate"""
    alpha: float = Field(default=0.99, gt=0.0, lt=1.0)
    """decay of the mean of squares"""
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    """share of the previous step that is added"""
    centered: bool = False
    """scale by the variance instead of the mean square"""
    weight_decay: RatioOrZero = 0.0
    """L2 penalty on the weights"""
    eps: Fraction = 1e-8
    """term that keeps the denominator of a step above zero"""
