"""EMA: exponential moving average of the weights, used for validation and export.

Polyak and Juditsky (1992) average all steps; an exponential moving average discounts the first
ones. Its bias toward the start is corrected as in Kingma and Ba (2015, section 3): after k steps
the average is Σ β^(k-i) w_i (1 - β) / (1 - β^k), i from 1 to k. The first average is thus the first
weights, the effective β grows from 0 to `learn.ema`, and there is no warm-up to choose.
"""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Exponential moving average of the trained parameters.

    Args:
        module: the module with the parameters.
        decay: β; 0.999 averages over about 1000 steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._learning = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self._learning.items()}

    @torch.no_grad()
    def update(self, done: int) -> None:
        """Add the weights after `done` steps (1 or more); call it once per step, in order."""
        decay = 1.0 - (1.0 - self.decay) / (1.0 - self.decay**done)
        move = get_ema_multi_avg_fn(decay)
        move(list(self.values.values()), list(self._learning.values()), done)

    def restore(self, values: dict[str, Tensor]) -> None:
        """Restore the averages of a checkpoint, by name of parameter."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self) -> Generator[None]:
        """Set the module's weights to the averages inside the context, and restore them after."""
        learned = {name: p.detach().clone() for name, p in self._learning.items()}
        self._set(self.values)
        try:
            yield
        finally:
            self._set(learned)

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._learning.items():
            parameter.copy_(values[name])
