"""Policies without a plan: nothing at all, and anything; what a controller has to beat."""

from typing import Protocol

import numpy as np

from kinemill.control.plan import Floats
from kinemill.task.document import Task


class Policy(Protocol):
    """What chooses actions: a `Planner`, or one of these."""

    @property
    def history(self) -> int:
        """Rows that `act` wants to know."""
        ...

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        ...

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Choose the next action (A,) after states (H, S) and past actions (H-1, A)."""
        ...


def plain_policy(task: Task, name: str) -> Policy:
    """Return the policy called `zero` or `random` for a task."""
    limits = action_limits(task)
    return Idle(limits) if name == "zero" else Shaken(limits)


def action_limits(task: Task) -> Floats:
    """Return the lowest and highest actions of a task, (2, A)."""
    return np.array([task.channels[name].limits for name in task.actions], dtype=float).T


class Idle:
    """No action.

    Args:
        limits: lowest and highest action, (2, A).
    """

    history = 1

    def __init__(self, limits: Floats) -> None:
        self._rest = np.clip(np.zeros_like(limits[0]), *limits)

    def reset(self, seed: int) -> None:
        """Remember nothing."""

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Return zeros (A,), or the nearest action within the limits."""
        del states, past_actions
        return self._rest


class Shaken:
    """Actions drawn evenly from the whole range, each held for a few steps.

    Args:
        limits: lowest and highest action, (2, A).
        held: steps that each is held.
    """

    history = 1

    def __init__(self, limits: Floats, repeat: int = 5) -> None:
        self._limits, self._repeat = limits, repeat
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin anew; all randomness follows from the seed."""
        self._random, self._count = np.random.default_rng(seed), 0
        self._action = self._limits.mean(axis=0)

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Return a random action (A,), or repeat the last one."""
        del states, past_actions
        if self._count % self._repeat == 0:
            self._action = self._random.uniform(*self._limits)
        self._count += 1
        return self._action
