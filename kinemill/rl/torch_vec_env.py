"""Vectorized copies with the wrappers of the policy, in torch.

These are the very modules that go into the policy, so that training and robot see the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from kinemill.environments.graph import Adapter
from kinemill.environments.vector_env import Step, VectorRows


class AdaptedRows:
    """Rows of an environment as a network sees them; they are `VectorRows`, too.

    Args:
        rows: of the environment.
        adapters: from the innermost one outwards.
        known: statistics of each.
    """

    masked = False

    def __init__(
        self,
        rows: VectorRows,
        adapters: Sequence[Adapter],
        estimates: Sequence[Mapping[str, object]],
    ) -> None:
        self._rows, self._adapters = rows, adapters
        for adapter, estimate in zip(adapters, estimates, strict=True):
            adapter.load(estimate)
        ends = np.full(adapters[-1].outputs, np.inf, np.float32)
        self.observation_space: Any = Box(-ends, ends, dtype=np.float32)
        self.action_space = rows.action_space
        if any(type(one).act is not Adapter.act for one in adapters):
            ones = np.ones(rows.action_space.shape, np.float32)
            self.action_space = Box(-ones, ones, dtype=np.float32)

    def reset(self, seeds: Sequence[int | None]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Begin an episode in each row; return observations (B, E) and masks."""
        observations, masks = self._rows.reset(seeds)
        self._carry = [self._zeros(one, len(observations)) for one in self._adapters]
        return self._adapt(observations, np.ones(len(observations), bool)), masks

    @torch.no_grad()
    def step(self, actions: object) -> Step:
        """Advance one step under actions (B, A).

        Returns:
            Observations (B, E), rewards (B,), dones (B,), infos, and masks (B, M).
        """
        inner_actions = torch.as_tensor(actions)
        for adapter in reversed(self._adapters):
            inner_actions = adapter.act(inner_actions)
        observations, rewards, dones, infos, masks = self._rows.step(inner_actions.numpy())
        if not dones.any():
            return self._adapt(observations, dones), rewards, dones, infos, masks
        last = observations.copy()
        for row in np.flatnonzero(dones):
            last[row] = infos[row]["terminal_observation"]
        carry = self._carry
        ended = self._adapt(last, np.zeros(len(observations), bool))
        for row in np.flatnonzero(dones):
            infos[row]["terminal_observation"] = ended[row]
        self._carry = carry
        return self._adapt(observations, dones), rewards, dones, infos, masks

    @torch.no_grad()
    def _adapt(self, observations: object, first: Any) -> NDArray[np.float32]:
        values, begins = (
            torch.from_numpy(observations),
            torch.from_numpy(first.astype(np.float32))[:, None],
        )
        after = list[tuple[Tensor, ...]]()
        for adapter, carry in zip(self._adapters, self._carry, strict=True):
            values, new_carry = adapter.observe(values, begins, carry)
            after.append(new_carry)
        self._carry = after
        return values.numpy()

    def _zeros(self, adapter: Adapter, rows: int) -> tuple[Tensor, ...]:
        return tuple(torch.zeros(rows, *shape) for shape in adapter.carry_shapes)

    def close(self) -> None:
        """Close the rows."""
        self._rows.close()
