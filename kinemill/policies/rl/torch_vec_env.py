"""Vectorized copies with the wrappers of the policy, in torch.

The same modules are part of the exported policy, so observations in training and on the robot are
equal.

Symbols: B copies, E numbers after the wrappers, A actions, M choices.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from kinemill.policies.environments.graph import Adapter
from kinemill.policies.environments.vector_env import Step, VectorRows


class AdaptedRows:
    """Vectorized copies with wrappers applied; implements `VectorRows`."""

    masked = False

    def __init__(
        self,
        rows: VectorRows,
        adapters: Sequence[Adapter],
        estimates: Sequence[Mapping[str, object]],
    ) -> None:
        self._rows = rows
        self._adapters = adapters
        for adapter, estimate in zip(adapters, estimates, strict=True):
            adapter.load(estimate)
        ends = np.full(adapters[-1].outputs, np.inf, np.float32)
        self.observation_space: Any = Box(-ends, ends, dtype=np.float32)
        self.action_space = rows.action_space
        if any(type(adapter).act is not Adapter.act for adapter in adapters):
            ones = np.ones(rows.action_space.shape, np.float32)
            self.action_space = Box(-ones, ones, dtype=np.float32)

    def reset(self, seeds: Sequence[int | None]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Start an episode in each row; return observations (B, E) and masks (B, M)."""
        observations, masks = self._rows.reset(seeds)
        self._carry = [
            tuple(torch.zeros(len(observations), *shape) for shape in adapter.carry_shapes)
            for adapter in self._adapters
        ]
        return self._adapt(observations, np.ones(len(observations), bool)), masks

    @torch.no_grad()
    def step(self, actions: object) -> Step:
        """Advance one step with actions (B, A).

        It returns observations (B, E), rewards (B,), dones (B,), infos, and masks (B, M).
        """
        inner_actions = torch.as_tensor(actions)
        for adapter in reversed(self._adapters):
            inner_actions = adapter.act(inner_actions)
        observations, rewards, dones, infos, masks = self._rows.step(inner_actions.numpy())
        if not dones.any():
            return self._adapt(observations, dones), rewards, dones, infos, masks
        # `observations` are those of the new episodes. The last ones of the ended episodes pass the
        # wrappers with the old carry, which is then restored for the copies that go on.
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
        values = torch.from_numpy(observations)
        begins = torch.from_numpy(first.astype(np.float32))[:, None]
        after = list[tuple[Tensor, ...]]()
        for adapter, carry in zip(self._adapters, self._carry, strict=True):
            values, new_carry = adapter.observe(values, begins, carry)
            after.append(new_carry)
        self._carry = after
        return values.numpy()

    def close(self) -> None:
        """Close the rows."""
        self._rows.close()
