"""Environments that compute many episodes at once, as arrays.

Symbols: B rows, S numbers of a state, D numbers observed.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kinemill.environments.gym_types import Info

EPISODE = "kinemill_episode"  # of `info`, at the end of an episode: what it was like

Floats = NDArray[np.float64]
# observations (B, D), rewards (B,), dones (B,), infos, masks (B, M)
Step = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]], Floats
]


class Batch(Protocol):
    """An environment without memory: what comes next follows from states and actions."""

    observation_space: Any
    action_space: Any

    def start(self, random: np.random.Generator) -> Floats:
        """Draw the state (S,) that an episode begins with."""
        ...

    def observe(self, states: Floats) -> NDArray[np.float32]:
        """Return what is seen of states, (B, S) -> (B, D)."""
        ...

    def advance(self, states: Floats, actions: object) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Go one step on: states (B, S), rewards (B,), and whether each ended by itself (B,)."""
        ...


class Rows:
    """Episodes side by side, each begun anew when it ends.

    The interface is that of `kinemill.rl.vec_env.Copies`.

    Args:
        batch: the environment.
        count: rows, B.
        limit: steps after which an episode is cut off, which is no end of its own.
    """

    masked = False

    def __init__(self, batch: Batch, count: int, limit: int) -> None:
        self._batch, self._count, self._limit = batch, count, limit
        self.observation_space, self.action_space = batch.observation_space, batch.action_space
        self._randoms = [np.random.default_rng(row) for row in range(count)]
        self._masks = np.ones((count, 0))

    def reset(self, seeds: Sequence[int | None]) -> tuple[NDArray[np.float32], Floats]:
        """Begin an episode in each row; return observations (B, D) and masks."""
        for row, seed in enumerate(seeds):
            if seed is not None:
                self._randoms[row] = np.random.default_rng(seed)
        self._states = np.stack([self._batch.start(random) for random in self._randoms])
        self._steps, self._rewards = np.zeros(self._count, int), np.zeros(self._count)
        self._sums = self._squares = 0.0
        self._lows, self._highs = (
            np.full((self._count, 1), np.inf),
            np.full((self._count, 1), -np.inf),
        )
        return self._batch.observe(self._states), self._masks

    def step(self, actions: object) -> Step:
        """Go one step on; return observations, rewards, dones, infos, masks."""
        self._states, rewards, ended = self._batch.advance(self._states, actions)
        self._steps += 1
        self._rewards += rewards
        executed = np.asarray(actions, dtype=float).reshape(self._count, -1)
        self._sums = self._sums + executed
        self._squares = self._squares + executed * executed
        self._lows = np.minimum(self._lows, executed)
        self._highs = np.maximum(self._highs, executed)
        cut = self._steps >= self._limit
        dones, observations = ended | cut, self._batch.observe(self._states)
        infos: list[dict[str, Any]] = [{} for _ in range(self._count)]
        if dones.any():
            rows = np.flatnonzero(dones)
            for row in rows:
                infos[row] = self._finished(int(row), observations[row], bool(ended[row]))
                self._states[row] = self._batch.start(self._randoms[row])
            self._steps[rows], self._rewards[rows] = 0, 0.0
            self._sums[rows] = self._squares[rows] = 0.0
            self._lows[rows], self._highs[rows] = np.inf, -np.inf
            observations[rows] = self._batch.observe(self._states[rows])
        return observations, rewards.astype(np.float32), dones, infos, self._masks

    def _finished(self, row: int, observations: NDArray[np.float32], ended: bool) -> Info:
        stats = summed(
            (float(self._rewards[row]), int(self._steps[row]), ended),
            (np.asarray(self._sums)[row], np.asarray(self._squares)[row]),
        )
        ends = {"min": self._lows[row], "max": self._highs[row]}
        for part, values in ends.items():
            stats |= {f"action/{k}/{part}": float(value) for k, value in enumerate(values)}
        return {
            "terminal_observation": observations.copy(),
            "TimeLimit.truncated": not ended,
            EPISODE: stats,
        }

    def close(self) -> None:
        """Have nothing to close."""


def summed(episode: tuple[float, int, bool], actions: tuple[Floats, Floats]) -> dict[str, float]:
    """Return what an episode was like; `kinemill.rl.episode_stats` sums it.

    Args:
        episode: its return, its steps, and whether it ended by itself.
        actions: their sums and sums of squares over its steps, (A,) each.
    """
    episode_return, steps, ended = episode
    means = actions[0] / steps
    stds = np.sqrt(np.maximum(actions[1] / steps - means**2, 0.0))
    return {
        "return": episode_return,
        "length": float(steps),
        "ended": float(ended),
        **{f"action/{k}/mean": float(value) for k, value in enumerate(means)},
        **{f"action/{k}/std": float(value) for k, value in enumerate(stds)},
    }
