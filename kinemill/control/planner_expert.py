"""A planner as an expert in an environment: it keeps the history of observations and actions."""

import numpy as np
from numpy.typing import ArrayLike

from kinemill.control.closed_loop import choose
from kinemill.control.plan import Floats
from kinemill.control.policies import Policy, action_limits
from kinemill.task.document import Task


class PlannerExpert:
    """Expert for environments whose observations are the task's states, such as `plant`."""

    def __init__(self, task: Task, policy: Policy) -> None:
        self._policy, self._limits = policy, action_limits(task)
        self._states, self._actions = list[Floats](), list[Floats]()

    def reset(self, seed: int) -> None:
        """Begin an episode; all random numbers follow from the seed."""
        self._policy.reset(seed)
        self._states, self._actions = [], []

    def act(self, observation: ArrayLike) -> Floats:
        """Choose the next action (A,) after an observation (S,), both in task units."""
        self._states.append(np.asarray(observation, dtype=float))
        action = choose(self._policy, self._states, self._actions, self._limits)
        self._actions.append(np.clip(action, *self._limits))
        return self._actions[-1].astype(np.float32)
