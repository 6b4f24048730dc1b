"""Prioritized experience replay (Schaul et al., 2016), a buffer of stable-baselines3."""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium import Space
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples

_LEAST = 1e-6  # added to every error: a priority of 0 would never be drawn again

Array = NDArray[np.generic]
Indices = NDArray[np.intp]
Numbers = NDArray[np.float64]


class SumTree:
    """Binary tree of sums of weights: a draw or an update takes log2(N) steps.

    Args:
        count: number of weights N, initially 0.
    """

    def __init__(self, count: int) -> None:
        self._first = 1 << max(count - 1, 1).bit_length()  # index of the first leaf
        self._sums = np.zeros(2 * self._first)
        # A view of the leaves: writing to `weights` changes the leaves, but not the sums.
        self.weights: Numbers = self._sums[self._first : self._first + count]

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._sums[1])

    def put(self, indices: Indices, weights: Numbers) -> None:
        """Set the weights (K,) at indices (K,); the last of equal indices counts."""
        self.weights[indices] = weights
        nodes = indices + self._first
        while nodes[0] > 1:
            # All leaves have the same depth, so all nodes reach the root in the same iteration.
            nodes = np.unique(nodes // 2)
            self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]

    def add_up(self) -> None:
        """Recompute all sums, after `weights` was written directly."""
        start = self._first
        while start > 1:
            pairs = self._sums[start : 2 * start].reshape(-1, 2)
            start //= 2
            self._sums[start : 2 * start] = pairs.sum(axis=1)

    def find(self, masses: Numbers) -> Indices:
        """Return for each mass (K,) the first index whose cumulative weight exceeds it, (K,)."""
        nodes = np.ones(len(masses), np.intp)
        rest = masses.copy()
        while nodes[0] < self._first:
            lower = self._sums[2 * nodes]
            upper = rest >= lower
            rest -= np.where(upper, lower, 0.0)
            nodes = 2 * nodes + upper
        # Rounding can go past the last weight that is not 0.
        return np.minimum(nodes - self._first, len(self.weights) - 1)


class PrioritizedReplay(ReplayBuffer):
    """A replay buffer that draws steps in proportion to `priority = (error + 1e-6) ** alpha`.

    A new step has the highest priority so far. The importance weight `(N * share) ** -beta` of a
    drawn step, divided by the highest of the batch, corrects the bias (algorithm 1 of the paper).

    Attributes:
        priorities: (buffer size, environments).
        highest: priority of a new step.
        drawn: flat indices of the last batch (B,).
        corrections: importance weights of the last batch, float32 (B, 1).

    Args:
        buffer_size: steps over all environments.
        observation_space: space of vectors.
        action_space: space of one environment's actions.
        device: device of the batches.
        n_envs: number of environments.
        alpha: exponent of the priorities; 0: uniform.
        beta: returns the exponent of the correction at the time of a draw.
        optimize_memory_usage: must be False; stable-baselines3 passes it.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: Space[Array],
        action_space: Space[Array],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        *,
        alpha: float,
        beta: Callable[[], float],
        optimize_memory_usage: bool = False,
    ) -> None:
        super().__init__(
            buffer_size, observation_space, action_space, device, n_envs, optimize_memory_usage
        )
        self._alpha, self._beta = alpha, beta
        self._tree = SumTree(self.buffer_size * self.n_envs)
        self.priorities = self._tree.weights.reshape(self.buffer_size, self.n_envs)
        self.highest = 1.0
        self.drawn: Indices = np.zeros(0, np.intp)
        self.corrections = np.zeros((0, 1), np.float32)

    def add(
        self,
        obs: Array,
        next_obs: Array,
        action: Array,
        reward: Array,
        done: Array,
        infos: list[dict[str, object]],
    ) -> None:
        """Store one step of each environment."""
        # Before `super().add`, which advances `pos`.
        rows = np.arange(self.n_envs) + self.pos * self.n_envs
        super().add(obs, next_obs, action, reward, done, infos)
        self._tree.put(rows, np.full(self.n_envs, self.highest))

    def sample(self, batch_size: int, env: object = None) -> ReplayBufferSamples:
        """Draw a batch, one step from each of `batch_size` equal parts of the total priority."""
        del env
        tree, rows = self._tree, (self.buffer_size if self.full else self.pos) * self.n_envs
        # Stratified draws, Schaul et al. 2016, appendix B.2.1.
        parts = np.arange(batch_size) + np.random.random(batch_size)
        self.drawn = np.minimum(tree.find(parts / batch_size * tree.total), rows - 1)
        weights = (rows * tree.weights[self.drawn] / tree.total) ** -self._beta()
        self.corrections = (weights / weights.max()).astype(np.float32)[:, None]
        at = np.unravel_index(self.drawn, self.priorities.shape)
        data = (
            self.observations[at],
            self.actions[at],
            self.next_observations[at],
            # A timeout is not a terminal state, so its target bootstraps.
            (self.dones[at] * (1.0 - self.timeouts[at]))[:, None],
            self.rewards[at][:, None],
        )
        return ReplayBufferSamples(*(self.to_torch(one) for one in data))

    def learned(self, errors: Numbers) -> None:
        """Set the priorities of the last batch from its errors (B,)."""
        priorities = (np.abs(errors).astype(np.float64) + _LEAST) ** self._alpha
        self.highest = max(self.highest, float(priorities.max()))
        self._tree.put(self.drawn, priorities)

    def add_up(self) -> None:
        """Recompute all sums, after `priorities` was written directly."""
        self._tree.add_up()
