"""Vectorized environment of stable-baselines3: copies of one environment.

Symbols: B copies, E numbers of an observation, M choices.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Info
from kinemill.policies.environments.vector_env import EPISODE
from kinemill.policies.rl.sync_vec_env import call


class Worker(Protocol):
    """A group of copies, in this process or another, that receives one call at a time."""

    def begin(self, name: str, *args: object) -> None:
        """Start a call of a method of `Copies`."""
        ...

    def result(self) -> object:
        """Wait for the result of the call."""
        ...

    def end(self) -> None:
        """Close the copies."""
        ...


class CopiesEnv(VecEnv):
    """The copies of one or several workers as one environment with B rows.

    Args:
        workers: workers, each with a share of the copies.
        sizes: number of copies of each worker.
    """

    def __init__(self, workers: Sequence[Worker], sizes: Sequence[int]) -> None:
        self._workers, self._starts = workers, np.cumsum([0, *sizes])
        self.masked, observation, actions = self._call_all("spaces", [()] * len(workers))[0]
        if (observation.shape or ())[1:]:
            where = "environment: observation"
            raise BadInput(where, f"is {observation}", expected="numbers (D,)")
        super().__init__(int(self._starts[-1]), observation, actions)
        self.episodes, self.infos = list[dict[str, float]](), list[Info]()
        self.masks, self.rewards = np.ones((self.num_envs, 0)), np.zeros(self.num_envs, np.float32)

    def reset(self) -> NDArray[np.float32]:
        """Start an episode in each copy; return observations (B, E)."""
        parts = self._call_all("reset", [(rows,) for rows in self.split(self._seeds)])
        self._reset_seeds()
        self.masks = np.concatenate([masks for _, masks in parts])
        return np.concatenate([observations for observations, _ in parts])

    def step_async(self, actions: object) -> None:
        """Store the actions (B, ...) of the next step."""
        self._actions = np.asarray(actions)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[Info]]:
        """Return observations (B, E), rewards (B,), dones (B,), infos."""
        parts = self._call_all("step", [(rows,) for rows in self.split(self._actions)])
        observations, rewards, dones, masks = (
            np.concatenate([part[index] for part in parts]) for index in (0, 1, 2, 4)
        )
        infos: list[Info] = [info for part in parts for info in part[3]]
        if dones.any():
            self.episodes += [info[EPISODE] for info in infos if EPISODE in info]
        # A copy: stable-baselines3 adds the values of truncated episodes to its array.
        self.masks, self.infos, self.rewards = masks, infos, rewards.copy()
        return observations, rewards, dones, infos

    def split(self, rows: Any) -> list[Any]:
        """Split rows (B, ...) into the share of each worker."""
        return [rows[low:high] for low, high in pairwise(self._starts)]

    def drain(self) -> list[dict[str, float]]:
        """Return the statistics of episodes that ended since the last call."""
        episodes = self.episodes
        self.episodes = []
        return episodes

    def close(self) -> None:
        """Close all copies."""
        for worker in self._workers:
            worker.end()

    def _call_all(self, name: str, arguments: Sequence[tuple[object, ...]]) -> list[Any]:
        """Start a call in every worker, then wait for all results: workers run concurrently."""
        for worker, args in zip(self._workers, arguments, strict=True):
            worker.begin(name, *args)
        return [worker.result() for worker in self._workers]

    def has_attr(self, attr_name: str) -> bool:
        """Return whether `attr_name` is `action_masks` and the environment has masks."""
        return attr_name == "action_masks" and self.masked

    def get_attr(self, attr_name: str, indices: object = None) -> list[None]:
        """Return the render mode of each copy, which is None.

        Raises:
            AttributeError: Another attribute is requested.
        """
        del indices
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * int(self._starts[-1])

    def set_attr(self, attr_name: str, value: object, indices: object = None) -> None:
        """Raise AttributeError: only the task file configures an environment."""
        del value, indices
        raise AttributeError(attr_name)

    def env_method(
        self,
        method_name: str,
        *method_args: object,
        indices: object = None,
        **method_kwargs: object,
    ) -> list[NDArray[np.float64]]:
        """Return the action mask (M,) of each copy.

        Raises:
            AttributeError: Another method is named, or the environment has no masks.
        """
        del method_args, indices, method_kwargs
        if method_name != "action_masks":
            raise AttributeError(method_name)
        return list(self.masks)

    def env_is_wrapped(self, wrapper_class: object, indices: object = None) -> list[bool]:
        """Return False for each copy: wrappers of stable-baselines3 are not used."""
        del wrapper_class, indices
        return [False] * self.num_envs


class LocalWorker:
    """Copies in this process.

    Args:
        copies: `Copies`, or another class with its interface.
    """

    def __init__(self, copies: Any) -> None:
        self._copies = copies
        self._result = None

    def begin(self, name: str, *args: object) -> None:
        """Execute the call."""
        self._result = call(self._copies, name, args)

    def result(self) -> object:
        """Return the result of the call."""
        return self._result

    def end(self) -> None:
        """Close the copies."""
        self._copies.close()
