"""Shared parts of optimizers: build torch's class from the settings."""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field

from kinemill.task.bounds import Decay, Fraction, LearningRate, RatioOrZero
from kinemill.task.plugins import Optimizer


class TorchOptimizer(Optimizer):
    """Settings whose keys are the arguments of a class of `torch.optim`."""

    torch_class: ClassVar[str]
    fused: ClassVar[bool] = True  # one kernel per step; `train.device_steps` needs it

    def build(self, parameters: Iterable[Any]) -> object:
        """Return torch's optimizer of `parameters` with these settings."""
        import torch

        settings = self.model_dump(exclude={"type"})
        if self.fused:
            settings["fused"] = True
        _exclude_compiler()
        return getattr(torch.optim, self.torch_class)(parameters, **settings)


def _exclude_compiler() -> None:
    """Let torch's optimizers run without an import of its compiler, which takes 1.3 s.

    torch marks these methods at their first call as not to be compiled. kinemill compiles steps
    alone.
    """
    import torch

    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None:
            vars(method).setdefault("__dynamo_disable", method)


class Moments(TorchOptimizer):
    """Settings of Adam and AdamW; each has its own kind of weight decay."""

    lr: LearningRate = Field(default=1e-3, description="peak of the learning rate")
    weight_decay: RatioOrZero = Field(default=0.0, description="L2 penalty on the weights")
    betas: tuple[Decay, Decay] = Field(
        default=(0.9, 0.999), description="decay of the means of gradients and of their squares"
    )
    eps: Fraction = Field(
        default=1e-8, description="term that keeps the denominator of a step above zero"
    )
