"""Shared parts of Adam and AdamW: steps scaled by running means of gradients and squares."""

from collections.abc import Callable, Iterable

from pydantic import Field

from kinemill.task.bounds import Decay, Fraction, LearningRate, RatioOrZero
from kinemill.task.plugins import Optimizer


class Moments(Optimizer):
    """Settings of Adam and of AdamW; each has its own kind of weight decay."""

    lr: LearningRate = Field(default=1e-3, description="peak of the learning rate")
    weight_decay: RatioOrZero = Field(default=0.0, description="L2 penalty on the weights")
    betas: tuple[Decay, Decay] = Field(
        default=(0.9, 0.999), description="decay of the means of gradients and of their squares"
    )
    eps: Fraction = Field(
        default=1e-8, description="term that keeps the denominator of a step above zero"
    )

    def made(self, kind: Callable[..., object], parameters: Iterable[object]) -> object:
        """Make torch's optimizer of a kind; one fused kernel a step."""
        return kind(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
