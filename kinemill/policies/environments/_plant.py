"""The environment of the kind `plant`."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.control.physics import Robot, make_plant
from kinemill.policies.environments._controlled import Controlled, picture
from kinemill.policies.environments.gym_types import Env, Options, Reset, Transition
from kinemill.task.document import Task


class PlantEnv(gymnasium.Env[Any, Any]):
    """A simulated robot that is rewarded for costing little.

    Args:
        task: with a `control` part.
        limit: steps of an episode; the last one reports whether it was a success.
        render: whether it renders images.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, task: Task, limit: int, *, render: bool) -> None:
        self._rules = Controlled(task)
        self._task = task
        self._limit = limit
        self._robot = Robot(task)
        self.render_mode = "rgb_array" if render else None
        self.observation_space = self._rules.observation_space
        self.action_space = self._motors(self._rules.action_space)
        self.observation_names = tuple(task.states)

    def _motors(self, space: Any) -> Box[np.float32]:
        """Return the limits of the task, narrowed to the limits of the plant's motors."""
        low, high = np.clip((space.low, space.high), *self._robot.limits).astype(np.float32)
        return gymnasium.spaces.Box(low, high, dtype=np.float32)

    def vary(self, parameters: dict[str, float]) -> None:
        """Set parameters of the plant for the next episodes."""
        self._robot = Robot(self._task, make_plant(self._task, parameters))

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        start = self._rules.start(self.np_random)
        self._robot.reset(start)
        self._states, self._actions = [start], list[Any]()
        return start.astype(np.float32), {}

    def step(self, action: object) -> Transition:
        """Hold the action for one time step."""
        applied = np.clip(np.asarray(action, float), self.action_space.low, self.action_space.high)  # pyright: ignore[reportAttributeAccessIssue]
        # A rate cost reads the action before this one; before the first, the robot rests.
        previous = self._actions[-1] if self._actions else np.zeros(len(applied))
        last = self._states[-1]
        state = self._robot.step(applied)
        self._states.append(state)
        self._actions.append(applied)
        reward = self._rules.rewards(state[None], applied[None], previous[None], last[None])[0]
        info: dict[str, Any] = {}
        if len(self._actions) >= self._limit:
            info |= self._rules.last_info(self._states, self._actions)
        return state.astype(np.float32), float(reward), False, False, info

    def render(self) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) uint8 of the robot's links."""
        joints = self._robot.to_plant(self._states[-1])[: len(self._robot.plant.joints)]
        return picture(self._robot.plant.points(joints[None])[0])


def make_plant_environment(task: Task, steps: int | None, *, render: bool) -> Env:
    """Return the environment; with its own limit of time if the task sets none."""
    from gymnasium.wrappers import TimeLimit

    usual = Controlled(task).steps
    made = PlantEnv(task, steps or usual, render=render)
    return made if steps is not None else TimeLimit(made, usual)
