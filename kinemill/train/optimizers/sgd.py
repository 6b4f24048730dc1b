"""Stochastic gradient descent with momentum (Polyak, 1964; Nesterov, 1983)."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, model_validator

from kinemill.task.bounds import LearningRate, RatioOrZero
from kinemill.task.plugins import OPTIMIZERS, Optimizer


@OPTIMIZERS.register("sgd")
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if it is set; for fine-tuning at a small rate."""

    type: Literal["sgd"] = "sgd"
    lr: LearningRate = Field(default=1e-2, description="peak of the learning rate")
    momentum: float = Field(
        default=0.9, ge=0.0, lt=1.0, description="share of the previous step that is added"
    )
    nesterov: bool = Field(default=False, description="look ahead along the momentum")
    weight_decay: RatioOrZero = Field(default=0.0, description="an L2 penalty")

    @model_validator(mode="after")
    def _has_momentum(self) -> "SGD":
        if self.nesterov and self.momentum == 0.0:
            message = "nesterov looks ahead along a momentum; give one, such as 0.9"
            raise ValueError(message)
        return self

    def build(self, parameters: Iterable[Any]) -> object:
        """Make the optimizer; one fused kernel a step."""
        import torch

        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=True,
        )
