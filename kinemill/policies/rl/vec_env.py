"""Vectorized environment of stable-baselines3: copies of one environment.

Symbols: B copies, E numbers of an observation, M choices.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from kinemill.errors import BadInput
from kinemill.policies.environments.graph import Adapter, pass_through
from kinemill.policies.environments.gym_types import Info
from kinemill.policies.environments.vector_env import EPISODE
from kinemill.policies.rl.sync_vec_env import call
from kinemill.runtime.policy_layout import PolicyLayout


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

    def start_equally(self, seed: int) -> None:
        """Let all copies begin their next episode in the same state."""
        self._seeds = [seed] * self.num_envs

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


class AdaptedEnv(VecEnvWrapper):
    """Copies behind the wrappers of the policy, the torch modules of the exported file.

    Args:
        venv: a `CopiesEnv`, whose rows are numbers and then the pixels of each image.
        layout: of the policy.
        adapters: of the numbers and of the actions, the innermost first.
        image_adapters: of each image.
    """

    def __init__(
        self,
        venv: VecEnv,
        layout: PolicyLayout,
        adapters: Sequence[Adapter],
        image_adapters: Sequence[Sequence[Adapter]],
    ) -> None:
        numbers = [len(layout.observation)] if layout.observation else []
        self._sizes = [*numbers, *map(math.prod, layout.images.values())]
        self._chains = [*([adapters] if numbers else []), *image_adapters]
        self._action_adapters = [part for part in adapters if type(part).act is not Adapter.act]
        chains = zip(self._sizes, self._chains, strict=True)
        width = sum(chain[-1].outputs if chain else size for size, chain in chains)
        # Those of actions alone do not change observations.
        self._chains = [
            [part for part in chain if type(part).observe is not Adapter.observe]
            for chain in self._chains
        ]
        self._kind: Any = venv.observation_space.dtype
        ends = (0, 255) if self._kind == np.uint8 else (-np.inf, np.inf)
        actions = venv.action_space
        if self._action_adapters:
            actions = Box(-1.0, 1.0, actions.shape, np.float32)
        super().__init__(venv, Box(*ends, (width,), self._kind), actions)

    def reset(self) -> NDArray[np.generic]:
        """Start an episode in each copy; return observations (B, E)."""
        rows: Any = self.venv.reset()
        shapes = [s for chain in self._chains for part in chain for s in part.carry_shapes]
        self._carry = [torch.zeros(len(rows), *shape) for shape in shapes]
        return self._adapt(rows, np.ones(len(rows), bool))

    def step_async(self, actions: NDArray[np.generic]) -> None:
        """Convert actions (B, A) to those of the copies, and store them."""
        if self._action_adapters:
            space: Any = self.venv.action_space
            inner = torch.as_tensor(actions)
            for adapter in reversed(self._action_adapters):
                inner = adapter.act(inner)
            actions = np.clip(inner.numpy(), space.low, space.high)  # rounding may exceed them
        self.venv.step_async(actions)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.generic], NDArray[np.float32], NDArray[np.bool_], list[Info]]:
        """Return observations (B, E), rewards (B,), dones (B,), infos."""
        rows, rewards, dones, infos = cast(Any, self.venv.step_wait())
        if dones.any():
            # `rows` are those of the new episodes. The last ones of the ended episodes pass the
            # wrappers with the old carry, which is then restored for the copies that go on.
            last = rows.copy()
            ended = np.flatnonzero(dones)
            last[ended] = [infos[row]["terminal_observation"] for row in ended]
            carry = self._carry
            final = self._adapt(last, np.zeros(len(rows), bool))
            for row in ended:
                infos[row]["terminal_observation"] = final[row]
            self._carry = carry
        return self._adapt(rows, dones), rewards, dones, infos

    @torch.no_grad()
    def _adapt(self, rows: NDArray[np.generic], first: NDArray[np.bool_]) -> NDArray[np.generic]:
        if not any(self._chains):
            return rows
        values = torch.from_numpy(rows.astype(np.float32, copy=False))
        parts = values.split(self._sizes, dim=1) if len(self._sizes) > 1 else [values]
        begins = torch.from_numpy(first[:, None].astype(np.float32))
        row, self._carry = pass_through(self._chains, parts, begins, self._carry)
        return row.numpy().astype(self._kind, copy=False)


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
