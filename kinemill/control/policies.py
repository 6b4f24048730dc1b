"""Baseline policies of a controller: no action, and random actions."""

from typing import Protocol

import numpy as np

from kinemill.control.plan import Floats
from kinemill.task.document import Task

_STEPS_PER_ACTION = 5  # of random actions


class Policy(Protocol):
    """Chooses actions: a `Planner`, or a baseline."""

    @property
    def history(self) -> int:
        """Rows of history that `act` needs, H."""
        ...

    def reset(self, seed: int) -> None:
        """Begin an episode; all random numbers follow from the seed."""
        ...

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Choose the next action: states (H, S), past actions (H-1, A) -> (A,), in task units."""
        ...


def plain_policy(task: Task, name: str) -> Policy:
    """Return a baseline policy of a task: `Idle` for the name `zero`, else `Shaken`."""
    limits = action_limits(task)
    return Idle(limits) if name == "zero" else Shaken(limits)


def action_limits(task: Task) -> Floats:
    """Return the lowest and highest actions of a task, (2, A), in task units."""
    return np.array([task.channels[name].limits for name in task.actions], dtype=float).T


class Idle:
    """Baseline with the zero action, clipped to the limits.

    Args:
        limits: lowest and highest action, (2, A), in task units.
    """

    history = 1

    def __init__(self, limits: Floats) -> None:
        self._rest = np.clip(np.zeros_like(limits[0]), *limits)

    def reset(self, seed: int) -> None:
        """Do nothing: the policy has no state."""

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Return zeros (A,), or the nearest action within the limits, in task units."""
        del states, past_actions
        return self._rest


class Shaken:
    """Baseline with uniformly distributed actions, each held for five steps.

    Args:
        limits: lowest and highest action, (2, A), in task units.
    """

    history = 1

    def __init__(self, limits: Floats) -> None:
        self._limits = limits
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin an episode; all random numbers follow from the seed."""
        self._random = np.random.default_rng(seed)
        self._count = 0
        self._action = self._limits.mean(axis=0)

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Return a random action (A,) in task units, or repeat the last one."""
        del states, past_actions
        if self._count % _STEPS_PER_ACTION == 0:
            self._action = self._random.uniform(*self._limits)
        self._count += 1
        return self._action
