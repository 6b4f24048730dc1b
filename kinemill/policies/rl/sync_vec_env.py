"""Copies of an environment, stepped in turn in one process.

A copy whose episode ends starts the next one immediately. Its `info` then holds the last
observation as `terminal_observation`. `TimeLimit.truncated` marks a truncated episode, so that an
algorithm can bootstrap from the value of its last state. `DummyVecEnv` of stable-baselines3 does
the same, but imports torch, which a worker process does not need: 245 MB and 1.4 s for each worker.

Symbols: B copies, E numbers of an observation, A actions, M choices.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.gym_types import Env, Info
from kinemill.policies.environments.vector_env import Step
from kinemill.policies.rl.episode_stats import EpisodeStats
from kinemill.runtime.policy_layout import MASK, OBSERVATION
from kinemill.task.document import Task

Estimates = Sequence[Mapping[str, object]]  # statistics of each wrapper
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
        infos = list[Info]()
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


def copy_factory(task: Task, estimates: Estimates) -> Callable[[], Env]:
    """Return a factory of one copy of the environment, picklable unless it holds Python objects."""
    part = environment_of(task)
    if any(getattr(item, "live", False) for item in (part, *part.wrappers)):  # Python objects
        return lambda: training_copy(task, estimates)
    settings = task.model_dump(mode="json", by_alias=True)
    return partial(_copy_from_settings, settings, list(estimates))


def _copy_from_settings(settings: object, estimates: Estimates) -> Env:
    return training_copy(Task.model_validate(settings), estimates)


def training_copy(task: Task, estimates: Estimates) -> Env:
    """Return one copy with episode statistics and wrappers of training, which observes one row."""
    environment: Env = EpisodeStats(make_environment(task))
    for wrapper, values in zip(environment_of(task).wrappers, estimates, strict=True):
        if wrapper.scope == "training":
            environment = wrapper.wrap(environment, values)
    return packed_row(environment)


class PackedRow(gymnasium.ObservationWrapper[object, object, Mapping[str, NDArray[np.generic]]]):
    """Observes parts of a dict as one row; an action mask that is none of them stays.

    The row of pixels alone is uint8, else float32.

    Args:
        env: observes a dict.
        names: parts of the row, in order.
    """

    def __init__(self, env: Env, names: Sequence[str]) -> None:
        super().__init__(env)
        spaces: Any = env.observation_space
        self._names = names
        is_pixels = all(spaces[name].dtype == np.uint8 for name in names)
        self._kind = np.uint8 if is_pixels else np.float32
        low, high = (
            np.concatenate([np.ravel(getattr(spaces[name], end)) for name in names])
            for end in ("low", "high")
        )
        row = Box(low.astype(self._kind), high.astype(self._kind), dtype=self._kind)
        self._has_mask = MASK in spaces.spaces and MASK not in names
        self.observation_space = (
            Dict({OBSERVATION: row, MASK: spaces[MASK]}) if self._has_mask else row
        )

    def observation(self, observation: Mapping[str, NDArray[np.generic]]) -> object:
        """Return the row, with the mask if there is one."""
        row = np.concatenate([np.ravel(observation[name]) for name in self._names])
        row = row.astype(self._kind)
        return {OBSERVATION: row, MASK: observation[MASK]} if self._has_mask else row


def packed_row(environment: Env) -> Env:
    """Return an environment that observes a row: numbers, then the pixels of each image.

    Texts are left out. Where agents act in turns, the mask is the end of the row, because it
    depends on the agent. Numbers alone, or with a mask, are a row already.
    """
    space = environment.observation_space
    parts = dict(space.spaces) if isinstance(space, Dict) else {}
    images = [name for name, part in parts.items() if name != MASK and len(part.shape or ()) == 3]
    numbers = [OBSERVATION] if OBSERVATION in parts else []
    if environment.has_wrapper_attr("policy_agents"):
        return PackedRow(environment, [OBSERVATION, MASK]) if parts else environment
    return PackedRow(environment, [*numbers, *images]) if images else environment
