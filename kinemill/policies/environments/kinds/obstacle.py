"""Obstacle: a tool passes a round obstacle on either side, a task with two equal modes.

The expert passes on a random side. The mean of both sides leads into the obstacle.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments._raster import Bar, Disc
from kinemill.policies.environments.evaluation import Agent
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.kinds._gantry import TOOL, Gantry, toward
from kinemill.task import KINDS, Environment, Task

START = -0.45
GOAL = 0.4
RADIUS = 0.11
NEAR = 0.04  # m
# The expert: lateral distance to the obstacle, m; distance before it at which it turns, m; m/s.
WIDE = 0.25
TURN = 0.33
SPEED = 0.4
_STREAM = 23  # a separate random stream for each episode's seed


@KINDS.register("obstacle")
class Obstacle(Environment):
    """A plane with an obstacle in its middle, to test policies with several equally good paths."""

    type: Literal["obstacle"] = "obstacle"

    def make(self, task: Task, *, render: bool = False) -> Env:
        """Return the environment."""
        return ObstaclePlane(max(1, round(task.dt / 0.01)), render=render)

    def expert(self, environment: object) -> Agent:
        """Return the expert, which passes on a random side."""
        del environment
        return EitherSide()


class ObstaclePlane(Gantry):
    """Observes position and velocity; touching the obstacle ends the episode."""

    observation_names: ClassVar[tuple[str, ...]] = ("x", "y", "x_rate", "y_rate")

    def begin(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Return a random start (2,) on the left, m."""
        return np.array([START, random.uniform(-0.1, 0.1)])

    def observe(self) -> NDArray[np.float32]:
        """Return (4,) m, m/s."""
        return self.numbers()

    def evaluate(self) -> tuple[float, bool, bool]:
        """Return reward, whether the episode ends, and success; the goal is on the right."""
        away = float(np.linalg.norm(self.position - (GOAL, 0.0)))
        hit = float(np.linalg.norm(self.position)) < RADIUS + TOOL
        return -away, hit or away < NEAR, away < NEAR

    def shapes(self) -> list[Disc | Bar]:
        """Return the obstacle, the goal and the tool."""
        goal = Disc((GOAL, 0.0), NEAR, (0.25, 0.65, 0.35))
        return [Disc((0.0, 0.0), RADIUS, (0.6, 0.58, 0.55)), goal, self.tool()]


class EitherSide:
    """The expert: straight ahead, then to a point next to the obstacle, then to the goal."""

    def __init__(self) -> None:
        self._side = 1.0

    def reset(self, seed: int) -> None:
        """Choose a side, by the seed."""
        self._side = float(np.random.default_rng([seed, _STREAM]).choice([-1.0, 1.0]))

    def act(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return velocities (2,), m/s."""
        position = np.asarray(observation[:2], float)
        if position[0] >= 0.0:
            return toward(position, (GOAL, 0.0), SPEED)
        way = np.array([0.02, self._side * WIDE]) - position
        if position[0] < -TURN:
            way = np.array([1.0, 0.0])
        return (way / np.linalg.norm(way) * SPEED).astype(np.float32)
