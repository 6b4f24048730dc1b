"""Environments that compute many episodes in parallel, as arrays.

Symbols: B rows, S numbers of a state, D numbers observed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments.gym_types import Info

EPISODE = "kinemill_episode"  # key of `info` at the end of an episode: its statistics

Floats = NDArray[np.float64]
# observations (B, D), rewards (B,), dones (B,), infos, masks (B, M)
Step = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]], Floats
]


class Advanced(NamedTuple):
    """One step of all rows.

    Attributes:
        states: after the step, (B, S).
        rewards: (B,).
        terminated: whether each episode reached a terminal state, (B,).
        success: whether each episode would be a success if it ended here, (B,); None: not known.
    """

    states: Floats
    rewards: Floats
    terminated: NDArray[np.bool_]
    success: NDArray[np.bool_] | None = None


class Batch(Protocol):
    """An environment without memory: what comes next follows from states and actions."""

    observation_space: Any
    action_space: Any

    def start(self, random: np.random.Generator) -> Floats:
        """Draw the state (S,) that an episode begins with."""
        ...

    def observe(self, states: Floats) -> NDArray[np.float32]:
        """Return observations of states, (B, S) -> (B, D)."""
        ...

    def advance(self, states: Floats, actions: object) -> Advanced:
        """Go one step on from states (B, S) under actions (B, A) or choices (B,)."""
        ...


class VectorRows(Protocol):
    """Parallel episodes, each reset in the step that ends it.

    Attributes:
        masked: whether an action mask is observed.
    """

    masked: bool
    observation_space: Any
    action_space: Any

    def reset(self, seeds: Sequence[int | None]) -> tuple[NDArray[np.float32], Floats]:
        """Begin an episode in each row; return observations (B, D) and masks."""
        ...

    def step(self, actions: object) -> Step:
        """Go one step on; return observations, rewards, dones, infos, masks."""
        ...

    def close(self) -> None:
        """Release resources."""
        ...


class Episodes:
    """Returns, lengths and actions of the episodes of B rows, summed up when each ends.

    Args:
        count: rows, B.
    """

    def __init__(self, count: int) -> None:
        self._count, self.steps, self._returns = count, np.zeros(count, int), np.zeros(count)
        self._sums = self._squares = self._lows = self._highs = np.zeros((count, 0))

    def add(self, rewards: NDArray[np.floating[Any]], actions: object) -> None:
        """Count one step of each row: rewards (B,), actions (B, A) or (B,)."""
        executed = np.asarray(actions, dtype=float).reshape(self._count, -1)
        if self._sums.shape != executed.shape:
            self._sums, self._squares = np.zeros_like(executed), np.zeros_like(executed)
            self._lows, self._highs = (np.full_like(executed, end) for end in (np.inf, -np.inf))
        self.steps += 1
        self._returns += rewards
        self._sums += executed
        self._squares += executed * executed
        self._lows = np.minimum(self._lows, executed)
        self._highs = np.maximum(self._highs, executed)

    def finished(
        self,
        row: int,
        observation: NDArray[np.float32],
        *,
        ended: bool,
        success: bool | None = None,
    ) -> Info:
        """Return the `info` of a row whose episode is over, and clear its statistics.

        Args:
            row: which.
            observation: the last one, (D,).
            ended: whether it reached a terminal state; if not, it was truncated.
            success: whether it was one; None: not known.
        """
        stats = summed(
            (float(self._returns[row]), int(self.steps[row]), ended),
            (self._sums[row], self._squares[row]),
        )
        ends = {"min": self._lows[row], "max": self._highs[row]}
        for part, values in ends.items():
            stats |= {f"action/{k}/{part}": float(value) for k, value in enumerate(values)}
        if success is not None:
            stats["success"] = float(success)
        self.steps[row], self._returns[row] = 0, 0.0
        self._sums[row], self._squares[row] = 0.0, 0.0
        self._lows[row], self._highs[row] = np.inf, -np.inf
        return {
            "terminal_observation": observation.copy(),
            "TimeLimit.truncated": not ended,
            EPISODE: stats,
        }


class Rows:
    """`VectorRows` of a `Batch`.

    Args:
        batch: the environment.
        count: rows, B.
        limit: steps after which an episode is truncated.
    """

    masked = False

    def __init__(self, batch: Batch, count: int, limit: int) -> None:
        self._batch = batch
        self._count = count
        self._limit = limit
        self.observation_space = batch.observation_space
        self.action_space = batch.action_space
        self._randoms = [np.random.default_rng(row) for row in range(count)]
        self._masks = np.ones((count, 0))

    def reset(self, seeds: Sequence[int | None]) -> tuple[NDArray[np.float32], Floats]:
        """Begin an episode in each row; return observations (B, D) and masks."""
        for row, seed in enumerate(seeds):
            if seed is not None:
                self._randoms[row] = np.random.default_rng(seed)
        self._states = np.stack([self._batch.start(random) for random in self._randoms])
        self._episodes = Episodes(self._count)
        return self._batch.observe(self._states), self._masks

    def step(self, actions: object) -> Step:
        """Go one step on; return observations, rewards, dones, infos, masks."""
        after = self._batch.advance(self._states, actions)
        self._states = after.states
        rewards = after.rewards
        ended = after.terminated
        self._episodes.add(rewards, actions)
        dones = ended | (self._episodes.steps >= self._limit)
        # Before the reset below, so that ended episodes report their last observation.
        observations = self._batch.observe(self._states)
        infos: list[dict[str, Any]] = [{} for _ in range(self._count)]
        if dones.any():
            rows = np.flatnonzero(dones)
            for row in rows:
                success = None if after.success is None else bool(after.success[row])
                infos[row] = self._episodes.finished(
                    int(row), observations[row], ended=bool(ended[row]), success=success
                )
                self._states[row] = self._batch.start(self._randoms[row])
            observations[rows] = self._batch.observe(self._states[rows])
        return observations, rewards.astype(np.float32), dones, infos, self._masks

    def close(self) -> None:
        """Have nothing to close."""


def summed(episode: tuple[float, int, bool], actions: tuple[Floats, Floats]) -> dict[str, float]:
    """Return what an episode was like; `kinemill.policies.rl.episode_stats` sums it.

    Args:
        episode: its return, its steps, and whether it terminated.
        actions: their sums and sums of squares over its steps, (A,) each.
    """
    episode_return, steps, ended = episode
    means = actions[0] / steps
    # E[x²] - E[x]², where rounding can make the difference slightly negative.
    stds = np.sqrt(np.maximum(actions[1] / steps - means**2, 0.0))
    return {
        "return": episode_return,
        "length": float(steps),
        "ended": float(ended),
        **{f"action/{k}/mean": float(value) for k, value in enumerate(means)},
        **{f"action/{k}/std": float(value) for k, value in enumerate(stds)},
    }
