"""Observations in spreads from their mean, both estimated before training and fixed then."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.policies.environments.gym_types import Env
from kinemill.task import WRAPPERS, Steps, TorchModule, Wrapper

_LEAST = 1e-4  # minimum standard deviation, in the number's unit


@WRAPPERS.register("normalize_observation")
class NormalizeObservation(Wrapper):
    """Normalize observations by their mean and standard deviation, estimated before training.

    It is part of the exported policy, which contains the statistics.
    """

    scope = "policy"
    type: Literal["normalize_observation"] = "normalize_observation"
    steps: Steps = Field(
        default=2000, description="of a random policy, from which mean and spread are estimated"
    )

    @property
    def estimated(self) -> int:
        """Return `steps`."""
        return self.steps

    def estimate(self, observations: object) -> dict[str, NDArray[np.float32]]:
        """Return mean (D,) and spread (D,) of observations (N, D)."""
        import numpy as np

        rows = np.asarray(observations, dtype=np.float64)
        std = np.maximum(rows.std(axis=0), _LEAST)
        return {"mean": rows.mean(axis=0).astype(np.float32), "std": std.astype(np.float32)}

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with normalized vectors."""
        import numpy as np

        from kinemill.policies.environments._vector import OnVector, box, vector_space
        from kinemill.policies.environments.graph import CLIP

        space = vector_space(environment, "environment.wrappers: normalize_observation")
        mean = np.asarray(estimates.get("mean", np.zeros(space.shape)), np.float32)
        std = np.asarray(estimates.get("std", np.ones(space.shape)), np.float32)

        def change(vector: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.clip((vector - mean) / std, -CLIP, CLIP).astype(np.float32)

        ends = np.full(space.shape, CLIP, np.float32)
        return OnVector(environment, box(-ends, ends), change)

    def module(self, layout: object, inputs: int) -> TorchModule:
        """Return the same in torch, mean and spread as buffers."""
        from kinemill.policies.environments.graph import Normalized

        del layout
        return Normalized(inputs)
