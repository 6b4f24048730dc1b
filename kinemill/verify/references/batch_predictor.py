"""Members with the same history, rolled out as one batch: only their weights differ.

Symbols: M members, W windows, F terms, O outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinemill.models.networks.regression import Solution
from kinemill.train.step import Step


class Heads(nn.Module):
    """M linear maps, each for a separate part of the batch: (M W, F) -> (M W, O)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, solutions: Sequence[Solution]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([one.weight.T for one in solutions]))
        self.register_buffer("bias", torch.stack([one.bias for one in solutions]).unsqueeze(1))

    def forward(self, terms: Tensor) -> Tensor:
        """Apply each map to its part of the batch, member by member: (M W, F) -> (M W, O)."""
        parts = terms.unflatten(0, (len(self.weight), -1))
        return torch.baddbmm(self.bias, parts, self.weight).flatten(0, 1)


def stacked(step: Step, solutions: Sequence[Solution]) -> Step:
    """Return the step with the weights of all members, rounded to float32 as in an export."""
    step.network.gain.copy_(solutions[0].gain)
    step.network.head = Heads(solutions)
    return step.float().double()


def single(step: Step, solution: Solution) -> Step:
    """Return the step with the weights of one member, in float32."""
    step.network.set(solution)
    return step.float()
