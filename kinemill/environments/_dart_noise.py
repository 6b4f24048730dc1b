"""DART noise: perturb the expert during demonstrations, so that they show recoveries.

Adds noise to executed actions, while logs hold the expert's choice (Laskey et
al. 2017, DART). The demonstrations then show how to recover from states that a policy's own errors
lead to.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from kinemill.environments.gym_types import Env, Options, Reset, Transition
from kinemill.errors import BadInput

_STREAM = 29  # apart from what else is drawn by an episode's seed


class DartNoise(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Carries out actions with noise, which follows from an episode's seed.

    Args:
        env: acts.
        std: standard deviation of the noise, in shares of half the range of each action.

    Raises:
        BadInput: actions are choices, or have no limits.
    """

    def __init__(self, env: Env, std: float) -> None:
        super().__init__(env)
        space = env.action_space
        if not isinstance(space, Box) or not space.is_bounded():
            raise BadInput(
                "environment.dart_noise", f"actions are {space}", expected="numbers with limits"
            )
        self._low, self._high = space.low, space.high
        self._std = std * (space.high - space.low) / 2
        self._random = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        if seed is not None:
            self._random = np.random.default_rng([seed, _STREAM])
        return self.env.reset(seed=seed, options=options)

    def step(self, action: object) -> Transition:
        """Carry out an action and noise, within the limits."""
        expert_action = np.asarray(action, self._low.dtype)
        noise = self._std * self._random.normal(size=expert_action.shape)
        return self.env.step(
            np.clip(expert_action + noise, self._low, self._high).astype(expert_action.dtype)
        )
