"""Adam (Kingma and Ba, 2015): steps scaled by running means of gradients and of their squares."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from kinemill.spec.plugins import OPTIMIZERS, Optimizer


@OPTIMIZERS.register("adam")
class Adam(Optimizer):
    """Settings of Adam; its weight decay is an L2 penalty, unlike AdamW's."""

    type: Literal["adam"] = "adam"
    lr: PositiveFloat = 1e-3
    weight_decay: float = Field(default=0.0, ge=0.0)
    betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="decay of the means of gradients and of their squares"
    )
    eps: PositiveFloat = 1e-8

    def build(self, parameters: Iterable[Any]) -> Any:
        """Make the optimizer; one fused kernel a step."""
        import torch

        return torch.optim.Adam(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
