"""Reference motion: what robots that train in physics follow, a gait or a clip.

Symbols: B robots, J joints, E clips, C commands, φ phase, rad.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments.legged.clips import Pose
from kinemill.policies.environments.legged.robots import LeggedRobots

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


class Reference(ABC):
    """Poses by phase and command; by default of a motion that never ends and follows any command.

    Attributes:
        phase_step: advance of the phase per row, rad.
        middle: mean joint angles, (J,), rad.
        clips: E.
        commands: (C, 3), those of the clips first: m/s, m/s, rad/s.
    """

    phase_step: float
    middle: Floats
    clips: int
    commands: Floats

    @abstractmethod
    def rows_of(self, commands: Sequence[Floats]) -> list[int]:
        """Return the rows in `commands` from which episodes with a command of the task draw."""

    @abstractmethod
    def at(self, phases: Floats, command_rows: Rows | list[int]) -> Pose:
        """Return poses at phases (B,) for rows (B,) of `commands`."""

    def advance(self, phases: Floats, command_rows: Rows) -> Floats:
        """Return the phases (B,), rad, one row later."""
        del command_rows
        return phases + self.phase_step

    def next_rows(self, command_rows: Rows, random: np.random.Generator) -> Rows | None:
        """Return rows to change to from rows (B,); None: any row of the task."""
        del command_rows, random

    def after_change(self, phases: Floats) -> Floats:
        """Return the phases (B,), rad, right after another command."""
        return phases

    def can_change(self, phases: Floats, command_rows: Rows) -> NDArray[np.bool_]:
        """Return whether the motions of rows (B,) may end at phases (B,), (B,)."""
        del command_rows
        return np.ones(len(phases), bool)

    @abstractmethod
    def draw_phases(self, random: np.random.Generator, command_rows: Rows | list[int]) -> Floats:
        """Return random phases (B,), rad, for rows (B,) of `commands`."""

    @abstractmethod
    def begin(
        self,
        robots: LeggedRobots,
        rows: Rows,
        command_rows: Rows,
        inside: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> Floats:
        """Start episodes of some robots; return their phases (N,), rad.

        `command_rows`, (N,), are rows of `commands`. Robots `inside` start at a random phase, the
        others as in an evaluation.
        """

    @abstractmethod
    def task_reward(self, robots: LeggedRobots, pose: Pose) -> Floats:
        """Return the environment's reward, 0 to 1, (B,)."""

    def speed_reward(self, robots: LeggedRobots) -> Floats:
        """Return a reward of the velocity, 0 to 1, (B,); 0 where a command only selects a clip."""
        return np.zeros(len(robots.position))

    @abstractmethod
    def has_ended(self, robots: LeggedRobots, pose: Pose) -> NDArray[np.bool_]:
        """Return whether each robot has failed, (B,)."""

    def is_over(self, phases: Floats, command_rows: Rows) -> NDArray[np.bool_]:
        """Return whether the motions of rows (B,) of `commands` are over at phases (B,), (B,)."""
        del command_rows
        return np.zeros(len(phases), bool)

    @abstractmethod
    def is_success(self, robots: LeggedRobots, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return whether episodes that are over now, or have `ended`, are a success, (B,)."""
