"""A step in torch as a predictor that rolls out in float64; members of a group as one batch.

Symbols: M members with the same history, W windows, F terms, O outputs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kinemill.models.networks.regression import Solution
from kinemill.runtime.window_metrics import Array, Floats
from kinemill.train.devices import single_thread
from kinemill.train.step import Step


class StepPredictor:
    """Roll a `Step` out in float64, with the float32 weights that an export would have.

    Args:
        step: a `kinemill.train.step.Step`; its weights are converted to float64 in place.
    """

    def __init__(self, step: Step) -> None:
        self.step = step.double().eval()
        self.history: int = step.history
        self.states = step.layout.states
        self.actions = step.layout.actions

    @single_thread()
    def rollout(self, states: Array, past_actions: Array, actions: Array) -> Floats:
        """Roll out: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units."""
        tensors = (
            torch.from_numpy(np.array(part, dtype=np.float64))
            for part in (states, past_actions, actions)
        )
        with torch.inference_mode():
            return self.step.rollout(*tensors).numpy()


class Heads(nn.Module):
    """M linear maps, each for a separate part of the batch: (M W, F) -> (M W, O)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, solutions: Sequence[Solution]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([solution.weight.T for solution in solutions]))
        self.register_buffer(
            "bias", torch.stack([solution.bias for solution in solutions]).unsqueeze(1)
        )

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
