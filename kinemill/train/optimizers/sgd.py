"""Stochastic gradient descent with momentum (Polyak, 1964; Nesterov, 1983)."""

from typing import Literal

from pydantic import Field, model_validator

from kinemill.task.bounds import LearningRate, RatioOrZero
from kinemill.task.plugins import OPTIMIZERS
from kinemill.train.optimizers._torch import TorchOptimizer


@OPTIMIZERS.register("sgd")
class SGD(TorchOptimizer):
    """Stochastic gradient descent, with momentum if it is set; for fine-tuning at a small rate."""

    type: Literal["sgd"] = "sgd"
    lr: LearningRate = 1e-2
    """peak of the learning rate"""
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    """share of the previous step that is added"""
    nesterov: bool = False
    """Nesterov momentum"""
    weight_decay: RatioOrZero = 0.0
    """L2 penalty on the weights"""

    @model_validator(mode="after")
    def _has_momentum(self) -> "SGD":
        if self.nesterov and self.momentum == 0.0:
            message = "nesterov needs a momentum; set one, such as 0.9"
            raise ValueError(message)
        return self
