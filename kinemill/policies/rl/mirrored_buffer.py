"""Mirror images of steps as additional training data.

What a symmetric robot learns on one side, it then knows on the other side as well (Mittal et al.,
2024, Symmetry considerations for learning task symmetric robot policies, section III-B).
Symbols: E columns of an observation, A actions.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from kinemill.policies.environments.gym_types import Space
from kinemill.policies.rl.mirror_image import MirrorImage


class MirroredRollouts(RolloutBuffer):
    """Rollout buffer of stable-baselines3 whose batches have the mirror image of each step.

    Advantage, return and probability of an image are those of the step itself.

    Args:
        buffer_size: steps of each environment, T.
        observation_space: space of rows (E,).
        action_space: space of actions (A,).
        mirror: of rows and actions.
        settings: further arguments of `RolloutBuffer`.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: Space,
        action_space: Space,
        *,
        mirror: MirrorImage,
        **settings: Any,
    ) -> None:
        self._mirror = mirror
        super().__init__(buffer_size, observation_space, action_space, **settings)

    def _get_samples(
        self, batch_inds: NDArray[np.intp], env: VecNormalize | None = None
    ) -> RolloutBufferSamples:
        """Return steps and their images, twice as many rows as indices."""
        # Old values, old log probabilities, advantages and returns, in this order.
        rows, actions, *values = super()._get_samples(batch_inds, env)
        return RolloutBufferSamples(
            torch.cat([rows, self._mirror.observations.apply(rows)]),
            torch.cat([actions, self._mirror.actions.apply(actions)]),
            *(torch.cat([value, value]) for value in values),
        )
