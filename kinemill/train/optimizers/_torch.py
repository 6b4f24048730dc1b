"""Shared parts of optimizers: build torch's class from the settings."""

import inspect
from collections.abc import Iterable
from typing import ClassVar

from kinemill.task.bounds import Decay, Fraction, LearningRate, RatioOrZero
from kinemill.task.plugins import Optimizer

_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


class TorchOptimizer(Optimizer):
    """Settings whose keys are the arguments of the class of `torch.optim` of the same name."""

    fused: ClassVar[bool] = True  # one kernel per step; `train.device_steps` needs it

    def build(self, parameters: Iterable[object]) -> object:
        """Return torch's optimizer of `parameters` with these settings."""
        import torch

        settings = self.model_dump(exclude={"type"})
        if self.fused:
            settings["fused"] = True
        kind = getattr(torch.optim, type(self).__name__)
        # Their wrappers import torch's compiler, which takes two seconds.
        bare = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
        return type(kind.__name__, (kind,), bare)(parameters, **settings)


class Moments(TorchOptimizer):
    """Settings of Adam and AdamW; each has its own kind of weight decay."""

    lr: LearningRate = 1e-3
    """peak of the learning rate"""
    weight_decay: RatioOrZero = 0.0
    """L2 penalty on the weights"""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """decay of the means of gradients and of their squares"""
    eps: Fraction = 1e-8
    """term that keeps the denominator of a step above zero"""
