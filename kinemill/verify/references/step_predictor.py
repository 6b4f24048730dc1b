"""A step in torch as a predictor that rolls out in float64."""

import numpy as np

from kinemill.runtime.window_metrics import Floats
from kinemill.train.step import Step
from kinemill.verify.test_inputs import Array


class StepPredictor:
    """Roll a `Step` out in float64, with the float32 weights that an export would have.

    Args:
        step: a `kinemill.train.step.Step`; its weights are converted to float64 in place.
    """

    def __init__(self, step: Step) -> None:
        self.step = step.double().eval()
        self.history: int = step.history
        self.states, self.actions = step.layout.states, step.layout.actions

    def rollout(self, states: Array, past_actions: Array, actions: Array) -> Floats:
        """Roll out: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units."""
        import torch

        tensors = (
            torch.from_numpy(np.array(part, dtype=np.float64))
            for part in (states, past_actions, actions)
        )
        with torch.inference_mode():
            return self.step.rollout(*tensors).numpy()
