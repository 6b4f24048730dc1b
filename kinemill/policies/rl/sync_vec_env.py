"""Copies of an environment, stepped in turn in one process.

A copy whose episode ends starts the next one immediately. Its `info` then holds the last
observation as `terminal_observation`. `TimeLimit.truncated` marks a truncated episode, so that an
algorithm can bootstrap from the value of its last state. `DummyVecEnv` of stable-baselines3 does
the same, but imports torch, which a worker process does not need: 245 MB and 1.4 s for each worker.

Symbols: B copies, E numbers of an observation, A actions, M choices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Dict
from numpy.typing import NDArray

from kinemill.policies.environments.vector_env import Step
from kinemill.runtime.policy_layout import MASK, OBSERVATION

Make = Callable[[], Any]
Observations = NDArray[np.float32]
Masks = NDArray[np.float64]
Observed = Observations | dict[str, Observations]  # of one copy


class Copies:
    """Copies in this process.

    Args:
        make: factory of one environment with all wrappers.
        count: number of copies, B.
    """

    def __init__(self, make: Make, count: int) -> None:
        self._environments = [make() for _ in range(count)]
        space: Any = self._environments[0].observation_space
        self.masked = isinstance(space, Dict) and MASK in space.spaces
        self.observation_space = space.spaces[OBSERVATION] if isinstance(space, Dict) else space
        self.action_space = self._environments[0].action_space
        is_pixels = self.observation_space.dtype == np.uint8  # a quarter of the memory in replay
        kind = np.uint8 if is_pixels else np.float32
        self._latest: NDArray[Any] = np.zeros((count, *(self.observation_space.shape or ())), kind)
        self._masks: list[Masks] = [np.ones(0)] * count

    def reset(self, seeds: Sequence[int | None]) -> tuple[Observations, Masks]:
        """Start an episode in each copy; return observations (B, E) and masks (B, M)."""
        for row, (environment, seed) in enumerate(zip(self._environments, seeds, strict=True)):
            self._store(row, environment.reset(seed=seed)[0])
        return self._latest.copy(), np.stack(self._masks)

    def step(self, actions: NDArray[np.generic]) -> Step:
        """Advance one step with actions (B, A) or choices (B,).

        It returns observations (B, E), rewards (B,), dones (B,), infos, and masks (B, M).
        """
        count = len(self._environments)
        rewards = np.zeros(count, np.float32)
        dones = np.zeros(count, bool)
        infos = list[dict[str, Any]]()
        for row, environment in enumerate(self._environments):
            observation, rewards[row], terminated, truncated, info = environment.step(actions[row])
            if terminated or truncated:
                dones[row] = True
                info["TimeLimit.truncated"] = bool(truncated and not terminated)
                info["terminal_observation"] = self._vector(observation)
                observation = environment.reset()[0]
            infos.append(info)
            self._store(row, observation)
        return self._latest.copy(), rewards, dones, infos, np.stack(self._masks)

    def close(self) -> None:
        """Close all copies."""
        for environment in self._environments:
            environment.close()

    def _vector(self, observation: Observed) -> Observations:
        return observation[OBSERVATION] if isinstance(observation, dict) else observation

    def _store(self, row: int, observation: Observed) -> None:
        if self.masked and isinstance(observation, dict):
            mask: Any = observation[MASK]
            self._masks[row] = np.asarray(mask)
        self._latest[row] = self._vector(observation)


def call(copies: Any, name: str, args: Sequence[object]) -> object:
    """Call a method of copies by name; `spaces` returns masked, observation and action space."""
    if name == "spaces":
        return copies.masked, copies.observation_space, copies.action_space
    return getattr(copies, name)(*args)
