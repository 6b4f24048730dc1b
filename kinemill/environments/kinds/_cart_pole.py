"""Gymnasium's cart-pole, many at once, by its own vectorized arithmetic."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class CartPoles:
    """A `kinemill.environments.vector_env.Batch` of CartPole-v1.

    States are (B, 4): position m, velocity m/s, angle rad, rate rad/s, as observed.
    """

    def __init__(self) -> None:
        from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

        self._one: Any = CartPoleVectorEnv(1)
        self.observation_space = self._one.single_observation_space
        self.action_space = self._one.single_action_space

    def start(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Draw a state (4,) near the upright."""
        return random.uniform(self._one.low, self._one.high, 4)

    def observe(self, states: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the state (B, 4)."""
        return states.astype(np.float32)

    def advance(
        self, states: NDArray[np.float64], actions: object
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Advance states (B, 4) one step; return states (B, 4), rewards (B,) and ends (B,)."""
        inner, count = self._one, len(states)
        if inner.num_envs != count:
            from gymnasium.vector.utils import batch_space

            inner.num_envs = count
            inner.action_space = batch_space(inner.single_action_space, count)
            inner.steps, inner.prev_done = np.zeros(count, np.int32), np.zeros(count, np.bool_)
        inner.state = states.T
        inner.steps[:], inner.prev_done[:] = 0, False  # limits of time and new starts are not its
        _, rewards, ended, _, _ = inner.step(np.asarray(actions, np.int64))
        return inner.state.T.copy(), rewards.astype(float), ended
