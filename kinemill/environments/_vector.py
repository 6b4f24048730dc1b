"""Changing the vector of an observation, whether it stands alone or beside images and texts."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from kinemill.environments.gym_types import Env, Options, Reset, Transition
from kinemill.errors import BadInput

OBSERVATION = "observation"


def vector_space(environment: Env, where: str) -> Box[np.float32]:
    """Return the space of the vector that is observed.

    Raises:
        BadInput: there is none.
    """
    space = environment.observation_space
    vector = space.spaces.get(OBSERVATION) if isinstance(space, Dict) else space
    if not isinstance(vector, Box) or len(vector.shape) != 1:
        fix = "environment.wrappers: [vector_obs] makes one, before this one"
        raise BadInput(where, f"wants a vector of numbers, not {space}", fix=fix)
    return vector


class OnVector(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Replaces the vector that is observed.

    Args:
        env: what it goes around.
        space: of the new vector.
        change: makes it of the old one.
        begin: is called before each episode.
    """

    def __init__(
        self,
        env: Env,
        space: Box[np.float32],
        change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        begin: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(env)
        whole = env.observation_space
        self._is_dict = isinstance(whole, Dict)
        self.observation_space = (
            Dict({**whole.spaces, OBSERVATION: space}) if isinstance(whole, Dict) else space
        )
        self._change, self._begin = change, begin

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        if self._begin is not None:
            self._begin()
        return self._changed(observation), info

    def step(self, action: object) -> Transition:
        """Go one step on."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._changed(observation), reward, terminated, truncated, info

    def _changed(self, observation: Any) -> object:
        if self._is_dict:
            return {**observation, OBSERVATION: self._change(observation[OBSERVATION])}
        return self._change(observation)


def box(low: object, high: object) -> Box[np.float32]:
    """Return a float32 Box between two vectors."""
    return Box(np.asarray(low, np.float32), np.asarray(high, np.float32), dtype=np.float32)
