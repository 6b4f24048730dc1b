"""A planner as an expert: it acts on what an environment shows, and remembers what it needs."""

import numpy as np
from numpy.typing import ArrayLike

from kinemill.control.closed_loop import choose
from kinemill.control.plan import Floats
from kinemill.control.policies import Policy, action_limits
from kinemill.task.document import Task


class PlannerExpert:
    """Acts in an environment that observes the task's states, as a `plant` does.

    Args:
        task: whose states and actions they are.
        policy: plans from states and past actions.
    """

    def __init__(self, task: Task, policy: Policy) -> None:
        self._policy, self._limits = policy, action_limits(task)
        self._states, self._actions = list[Floats](), list[Floats]()

    def reset(self, seed: int) -> None:
        """Begin an episode; what is drawn follows from the seed."""
        self._policy.reset(seed)
        self._states, self._actions = [], []

    def act(self, observation: ArrayLike) -> Floats:
        """Choose the next action (A,) after an observation (S,), both in task units."""
        self._states.append(np.asarray(observation, dtype=float))
        action = choose(self._policy, self._states, self._actions, self._limits)
        self._actions.append(np.clip(action, *self._limits))
        return self._actions[-1].astype(np.float32)
