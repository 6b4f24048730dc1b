"""Environments of tasks with a `control` part: the plant, and what a learned simulator shares.

The reward of a step is its negative cost: -dt (sum of the terms of `control.cost`).

Symbols: B rows, S states, A actions.
"""

from abc import abstractmethod
from functools import cached_property
from itertools import pairwise

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from kinemill.control.cost import Cost
from kinemill.control.physics import Robot, control_of, make_plant
from kinemill.control.policies import action_limits
from kinemill.policies.environments._raster import Bar, Disc, draw
from kinemill.policies.environments.gym_types import Env, Info, Options, Reset, Transition
from kinemill.task.document import Task

Floats = NDArray[np.float64]
_LARGEST = 1e4  # bound on the absolute reward of a step, for models outside their data


class Controlled:
    """The `control` part of a task as starts, rewards and success.

    Args:
        task: with a `control` part.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.cost, self.control = task, Cost(task), control_of(task)
        low, high = action_limits(task).astype(np.float32)
        self.action_space = Box(low, high, dtype=np.float32)
        ends = [task.channels[name].limits or (-np.inf, np.inf) for name in task.states]
        self.low, self.high = np.array(ends, dtype=np.float32).T
        self.observation_space = Box(self.low, self.high, dtype=np.float32)
        self._starts = np.array([self.control.start.get(name, (0.0, 0.0)) for name in task.states])

    @property
    def steps(self) -> int:
        """Of an episode, as `control.seconds` says."""
        return round(self.control.seconds / self.task.dt)

    def start(self, random: np.random.Generator) -> Floats:
        """Draw the state (S,) that an episode begins with."""
        return random.uniform(self._starts[:, 0], self._starts[:, 1])

    def rewards(self, states: Floats, actions: Floats, previous: Floats, last: Floats) -> Floats:
        """Return the reward (B,) of each step.

        Args:
            states: after it, (B, S).
            actions: (B, A).
            previous: the actions before these, (B, A).
            last: the states that the actions acted on, (B, S).
        """
        # Each row is a plan of one step, which has its own step before it.
        costs = self.cost.step_costs(states[:, None], actions[:, None], previous, last)
        return -np.clip(costs[:, 0] * self.task.dt, -_LARGEST, _LARGEST)

    def last_info(self, states: list[Floats], actions: list[Floats]) -> dict[str, bool]:
        """Return the info of the last step of an episode, with states (S,) and actions (A,).

        `is_success` is whether the end fulfills `control.success`; without one it is left out.
        """
        if not self.control.success:
            return {}
        rows = max(1, round(self.control.hold / self.task.dt))
        has_lasted = len(actions) >= rows
        reached = has_lasted and self.cost.reached(
            np.stack(states[-rows:]), np.stack(actions[-rows:])
        )
        return {"is_success": bool(reached)}


class ControlledEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """A robot that is rewarded for costing little.

    Args:
        rules: starts, rewards and success.
        action_space: of the actions (A,).
        limit: steps of an episode; the last one reports whether it was a success.
        render: whether it renders images.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self, rules: Controlled, action_space: Box[np.float32], limit: int, *, render: bool
    ) -> None:
        self._rules = rules
        self._limit = limit
        self.render_mode = "rgb_array" if render else None
        self.observation_space = rules.observation_space
        self.action_space = action_space
        self.observation_names = tuple(rules.task.states)

    @cached_property
    def _robot(self) -> Robot:
        return Robot(self._rules.task)

    @abstractmethod
    def _begin(self) -> Floats:
        """Draw and set the state (S,) that an episode begins with."""

    @abstractmethod
    def _advance(self, action: Floats) -> tuple[Floats, float, bool]:
        """Hold an action (A,) for one time step; return the state (S,), the reward, whether lost.

        `_states` and `_actions` are those before it.
        """

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        self._states = [self._begin()]
        self._actions = list[Floats]()
        return self._states[0].astype(np.float32), {}

    def step(self, action: object) -> Transition:
        """Hold the action (A,) for one time step."""
        space = self.action_space
        assert isinstance(space, Box)
        applied = np.clip(np.asarray(action, float), space.low, space.high)
        state, reward, is_lost = self._advance(applied)
        self._states.append(state)
        self._actions.append(applied)
        is_last = is_lost or len(self._actions) >= self._limit
        info: Info = dict(self._rules.last_info(self._states, self._actions)) if is_last else {}
        return state.astype(np.float32), reward, is_lost, False, info

    def render(self) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) uint8 of the links of the plant, on the line of its height."""
        robot = self._robot
        joints = robot.to_plant(self._states[-1])[: len(robot.plant.joints)]
        points = [(float(x), float(y)) for x, y in robot.plant.points(joints[None])[0]]
        reach = 1.2 * max(1.0, float(np.abs(points).max()))
        width = reach / 60
        line = Bar((-reach, 0.0), (reach, 0.0), width / 8, (0.82, 0.82, 0.82))
        links = [Bar(*ends, width / 2, (0.16, 0.35, 0.78)) for ends in pairwise(points)]
        ends = [Disc(point, width, (0.78, 0.31, 0.16)) for point in points]
        return draw([line, *links, *ends], 240, reach)


class PlantEnv(ControlledEnv):
    """The plant of a task in true physics."""

    def __init__(self, task: Task, limit: int, *, render: bool) -> None:
        rules = Controlled(task)
        # The limits of the task, narrowed to the limits of the plant's motors.
        robot = Robot(task)
        ends = (rules.action_space.low, rules.action_space.high)
        low, high = np.clip(ends, *robot.limits).astype(np.float32)
        super().__init__(rules, Box(low, high, dtype=np.float32), limit, render=render)
        self._robot = robot

    def vary(self, parameters: dict[str, float]) -> None:
        """Set parameters of the plant for the next episodes."""
        task = self._rules.task
        self._robot = Robot(task, make_plant(task, parameters))

    def _begin(self) -> Floats:
        return self._robot.reset(self._rules.start(self.np_random))

    def _advance(self, action: Floats) -> tuple[Floats, float, bool]:
        # A rate cost reads the action before this one; before the first, the robot rests.
        previous = self._actions[-1] if self._actions else np.zeros(len(action))
        last = self._states[-1]
        state = self._robot.step(action)
        reward = self._rules.rewards(state[None], action[None], previous[None], last[None])[0]
        return state, float(reward), False


def make_plant_environment(task: Task, steps: int | None, *, render: bool) -> Env:
    """Return the environment of the plant; with its own limit of time if the task sets none."""
    usual = Controlled(task).steps
    made = PlantEnv(task, steps or usual, render=render)
    return made if steps is not None else TimeLimit(made, usual)
