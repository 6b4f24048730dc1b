"""Observations in spreads from their mean, both estimated before training and fixed then."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import WRAPPERS, Steps, TorchModule, Wrapper

_LEAST = 1e-4  # minimum standard deviation, in the number's unit


@WRAPPERS.register("normalize_observation")
class NormalizeObservation(Wrapper):
    """Normalize observations by their mean and standard deviation, estimated before training.

    It is part of the exported policy, which contains the statistics.
    """

    scope = "policy"
    type: Literal["normalize_observation"] = "normalize_observation"
    steps: Steps = 2000
    """of a random policy, from which mean and spread are estimated"""

    @property
    def estimated(self) -> int:
        """Return `steps`."""
        return self.steps

    def estimate(self, observations: object) -> dict[str, NDArray[np.float32]]:
        """Return mean (D,) and spread (D,) of observations (N, D)."""
        rows = np.asarray(observations, dtype=np.float64)
        std = np.maximum(rows.std(axis=0), _LEAST)
        return {"mean": rows.mean(axis=0).astype(np.float32), "std": std.astype(np.float32)}

    def module(self, layout: PolicyLayout, inputs: int) -> TorchModule:
        """Return the module that normalizes vectors, mean and spread as buffers.

        Raises:
            BadInput: the environment observes no numbers.
        """
        from kinemill.policies.environments.graph import Normalized

        if not layout.observation:
            where = "environment.wrappers: normalize_observation"
            fix = "leave it out: the environment observes images alone"
            raise BadInput(where, "expects numbers", fix=fix)
        return Normalized(inputs)
