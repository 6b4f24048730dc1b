"""Policies without training, as baselines: random actions, zero actions, or a class of the user."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import Agent, RandomPolicy, masks_of
from kinemill.policies.environments.factory import action_space_of
from kinemill.policies.environments.gym_types import Space
from kinemill.task.document import Task
from kinemill.task.hooks import load_hook

PLAIN = ("random", "zero")


@dataclass(frozen=True)
class ZeroPolicy:
    """The action 0, or the closest one within the limits; of choices the first permitted one."""

    space: Space

    def reset(self, seed: int) -> None:
        """Begin an episode."""

    def act(self, observation: object) -> object:
        """Return the action."""
        space: Any = self.space
        if hasattr(space, "low"):
            return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
        mask = observation.get("action_mask") if isinstance(observation, dict) else None
        if mask is None:
            return np.zeros(space.shape, space.dtype) if space.shape else 0
        masks = masks_of(space, mask)
        if isinstance(masks, tuple):
            return np.array([int(np.argmax(part)) for part in masks], dtype=space.dtype)
        return int(np.argmax(masks))


@dataclass(frozen=True)
class OwnPolicy:
    """A class of the user with `act(observation)`, and `reset(seed)` if it has a state.

    It receives what the environment returns.

    Attributes:
        source: `module:Class` or `file.py:Class`.
    """

    source: str

    @cached_property
    def _policy(self) -> Agent:
        where = f"--policy {self.source}"
        policy = load_hook(where, self.source, "class")()
        if not callable(getattr(policy, "act", None)):
            raise BadInput(where, "has no method act", expected="act(observation) -> action")
        return policy

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        if hasattr(self._policy, "reset"):
            self._policy.reset(seed)

    def act(self, observation: object) -> object:
        """Return the action of the class."""
        return self._policy.act(observation)


def policy_named(task: Task, name: str) -> Agent:
    """Return the policy `random`, `zero`, `module:Class` or `file.py:Class`.

    Raises:
        BadInput: The name has no such form, or the task has no environment.
    """
    if ":" in name:
        source, _, attribute = name.rpartition(":")
        return OwnPolicy(f"{Path(source).resolve()}:{attribute}" if ".py" in source else name)
    if name not in PLAIN:
        expected = f"{', '.join(PLAIN)}, module:Class or file.py:Class"
        raise BadInput(f"--policy {name}", "is no policy", expected=expected)
    space = action_space_of(task)
    return RandomPolicy(space) if name == "random" else ZeroPolicy(space)
