"""Changing a part of an observation, and packing numbers and images into one row."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env, Options, Reset, Space
from kinemill.runtime.policy_layout import MASK, OBSERVATION

Array = NDArray[Any]


def vector_space(environment: Env, where: str) -> Box[np.float32]:
    """Return the space of the vector that is observed.

    Raises:
        BadInput: there is none.
    """
    space = environment.observation_space
    vector = space.spaces.get(OBSERVATION) if isinstance(space, Dict) else space
    if not isinstance(vector, Box) or len(vector.shape) != 1:
        fix = "leave it out: the environment observes images alone"
        raise BadInput(where, f"expects a vector of numbers, not {space}", fix=fix)
    return vector


def has_vector(environment: Env) -> bool:
    """Return whether an environment observes numbers."""
    space = environment.observation_space
    return not isinstance(space, Dict) or OBSERVATION in space.spaces


class OnVector(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Replaces the observed vector or an observed image.

    Args:
        env: the wrapped environment.
        space: of the new value.
        change: makes it of the old one.
        begin: is called before each episode.
        part: name of the part that is replaced.
    """

    def __init__(
        self,
        env: Env,
        space: Space,
        change: Callable[[Array], Array],
        begin: Callable[[], None] | None = None,
        part: str = OBSERVATION,
    ) -> None:
        super().__init__(env)
        whole = env.observation_space
        self._part = part
        self._is_dict = isinstance(whole, Dict)
        self.observation_space = (
            Dict({**whole.spaces, part: space}) if isinstance(whole, Dict) else space
        )
        self._change = change
        self._begin = begin

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        if self._begin is not None:
            self._begin()
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Any) -> object:
        """Return the observation with its part replaced."""
        if self._is_dict:
            return {**observation, self._part: self._change(observation[self._part])}
        return self._change(observation)


def image_parts(space: object) -> dict[str, Box[np.uint8]]:
    """Return the images of an observation by name: (H, W, C), or stacked (N, H, W, C)."""
    parts: dict[str, Any] = dict(space.spaces) if isinstance(space, Dict) else {}
    return {
        name: part
        for name, part in parts.items()
        if name not in (OBSERVATION, MASK) and len(part.shape) in (3, 4)
    }


class PackedImages(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observes one row: the numbers, then the pixels of each image; the mask stays, texts go.

    Pixel-only observations stay uint8, a quarter of the memory of a replay buffer; with numbers
    they are float32.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        whole: Any = env.observation_space
        vector = whole.spaces.get(OBSERVATION)
        images = image_parts(whole)
        self._names = [*([OBSERVATION] if vector is not None else []), *images]
        self._kind = np.uint8 if vector is None else np.float32
        low, high = (
            np.concatenate([np.ravel(getattr(whole[name], end)) for name in self._names])
            for end in ("low", "high")
        )
        row = Box(low.astype(self._kind), high.astype(self._kind), dtype=self._kind)
        self._has_mask = MASK in whole.spaces
        self.observation_space = (
            Dict({OBSERVATION: row, MASK: whole[MASK]}) if self._has_mask else row
        )

    def observation(self, observation: Mapping[str, Array]) -> object:
        """Return the row, with the mask if there is one."""
        row = np.concatenate([np.ravel(observation[name]) for name in self._names])
        row = row.astype(self._kind)
        return {OBSERVATION: row, MASK: observation[MASK]} if self._has_mask else row


def box(low: object, high: object) -> Box[np.float32]:
    """Return a float32 Box between two vectors."""
    return Box(np.asarray(low, np.float32), np.asarray(high, np.float32), dtype=np.float32)


class MaskInRow(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observes the numbers and then the mask in one row; without a mask nothing changes.

    Args:
        env: observes a vector, or a dict of a vector and a mask.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        space = env.observation_space
        if isinstance(space, Dict):
            boxes: list[Any] = [space.spaces[OBSERVATION], space.spaces[MASK]]
            low, high = (
                np.concatenate([getattr(b, end) for b in boxes]) for end in ("low", "high")
            )
            self.observation_space = Box(low.astype(np.float32), high.astype(np.float32))

    def observation(self, observation: Array | Mapping[str, Array]) -> Array:
        """Return the row of an observation."""
        if not isinstance(observation, Mapping):
            return observation
        return np.concatenate([observation[OBSERVATION], observation[MASK]], dtype=np.float32)
