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
Statistics = dict[str, float]
# observations (B, D), rewards (B,), dones (B,), infos, masks (B, M)
Step = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[Info], Floats]


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

    def add(self, rewards: NDArray[np.floating], actions: object) -> None:
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

    def statistics(self, row: int, *, ended: bool, success: bool | None = None) -> Statistics:
        """Return what the episode of a row was like, and clear its sums.

        `kinemill.policies.rl.episode_stats` averages it.

        Args:
            row: which.
            ended: whether it reached a terminal state; if not, it was truncated.
            success: whether it was one; None: not known.
        """
        steps = int(self.steps[row])
        means = self._sums[row] / steps
        # E[x²] - E[x]², where rounding can make the difference slightly negative.
        stds = np.sqrt(np.maximum(self._squares[row] / steps - means**2, 0.0))
        parts = {"mean": means, "std": stds, "min": self._lows[row], "max": self._highs[row]}
        statistics = {
            "return": float(self._returns[row]),
            "length": float(steps),
            "ended": float(ended),
            **({} if success is None else {"success": float(success)}),
            **{
                f"action/{k}/{part}": float(value)
                for part, values in parts.items()
                for k, value in enumerate(values)
            },
        }
        self.steps[row], self._returns[row] = 0, 0.0
        self._sums[row], self._squares[row] = 0.0, 0.0
        self._lows[row], self._highs[row] = np.inf, -np.inf
        return statistics

    def infos(
        self,
        dones: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        observations: NDArray[np.float32],
        success: NDArray[np.bool_] | None,
    ) -> list[Info]:
        """Return the `info` of each row, which is empty unless its episode is over.

        Args:
            dones: whether it is over, (B,).
            ended: whether it reached a terminal state, (B,).
            observations: after the step, (B, D).
            success: whether it was one, (B,); None: not known.
        """
        infos: list[Info] = [{} for _ in dones]
        for row in np.flatnonzero(dones).tolist():
            is_ended = bool(ended[row])
            is_success = None if success is None else bool(success[row])
            infos[row] = {
                "terminal_observation": observations[row].copy(),
                "TimeLimit.truncated": not is_ended,
                EPISODE: self.statistics(row, ended=is_ended, success=is_success),
            }
        return infos


class Rows:
    """`VectorRows` of a `Batch`: counts episodes, and begins the next one in the last step of each.

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
        self._episodes = Episodes(self._count)
        self._states = np.stack([self._batch.start(random) for random in self._randoms])
        return self._batch.observe(self._states), self._masks

    def step(self, actions: object) -> Step:
        """Go one step on; return observations, rewards, dones, infos, masks."""
        after = self._batch.advance(self._states, actions)
        self._states = after.states
        observations = self._batch.observe(self._states)
        self._episodes.add(after.rewards, actions)
        dones = after.terminated | (self._episodes.steps >= self._limit)
        infos = self._episodes.infos(dones, after.terminated, observations, after.success)
        if len(rows := np.flatnonzero(dones)):
            self._states[rows] = [self._batch.start(self._randoms[row]) for row in rows]
            observations[rows] = self._batch.observe(self._states[rows])
        return observations, after.rewards.astype(np.float32), dones, infos, self._masks

    def close(self) -> None:
        """Release resources: there are none."""
