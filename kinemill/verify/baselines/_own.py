"""A user-defined baseline: a function in a file of the project.

def hold(states, past_actions, actions): ...  # (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)
"""

from typing import ClassVar

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import QUIETLY, Floats
from kinemill.task.own_code import OwnCode
from kinemill.task.plugins import Baseline
from kinemill.verify.test_inputs import Array


class OwnBaseline(OwnCode, Baseline):
    """Settings of a user-defined baseline."""

    arguments: ClassVar[tuple[str, ...]] = ("states", "past_actions", "actions")
    protocol: ClassVar[type[Baseline]] = Baseline

    @QUIETLY
    def rollout(self, states: Array, past_actions: Array, actions: Array) -> Floats:
        """Call the function: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units.

        Raises:
            BadInput: The function fails, or returns another shape.
        """
        inputs = [np.array(part, dtype=np.float64) for part in (states, past_actions, actions)]
        predicted = np.asarray(self.call(*inputs), dtype=np.float64)
        expected = (len(inputs[0]), inputs[2].shape[1], inputs[0].shape[2])
        if predicted.shape != expected:
            where = f"verify.baselines: {self.type}"
            raise BadInput(where, f"returns {predicted.shape}", expected=f"{expected}, (W, T, S)")
        return predicted
