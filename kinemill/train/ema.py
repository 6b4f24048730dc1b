"""EMA: exponential moving average of the weights, used for validation and export.

Polyak and Juditsky (1992) average all steps, an exponential moving average discounts the first
ones. Its bias toward where it starts is taken out as Kingma and Ba (2015, section 3) do for
moments: after k steps it is Σ β^(k-i) w_i (1 - β) / (1 - β^k), i from 1 to k, so the first average
is the first weights, β grows on its own from 0 to `learn.ema`, and no warm-up has to be chosen.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """An exponential moving average of the parameters that learn.

    Args:
        module: whose parameters they are.
        decay: β, 0.999 is an average over about 1000 steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._learning = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self._learning.items()}

    @torch.no_grad()
    def update(self, done: int) -> None:
        """Take in the weights after `done` steps, 1 or more; each step once, in order."""
        decay = 1.0 - (1.0 - self.decay) / (1.0 - self.decay**done)
        move: Any = get_ema_multi_avg_fn(decay)
        move(list(self.values.values()), list(self._learning.values()), done)

    def restore(self, values: dict[str, Tensor]) -> None:
        """Go back to the averages of a checkpoint."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self) -> Generator[None]:
        """Let the module have the averages for its weights inside, its own again afterwards."""
        own = {name: p.detach().clone() for name, p in self._learning.items()}
        self._set(self.values)
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._learning.items():
            parameter.copy_(values[name])
