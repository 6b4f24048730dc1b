"""Reference motion: gaits as tables over their phase, for robots that track them in physics.

Symbols: B rows, J joints, F feet, E clips, C commands, φ phase, rad.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.policies.environments.kinds.legged import START_STD
from kinemill.policies.environments.legged.body import Body
from kinemill.policies.environments.legged.clips import Pose, bearing_velocity
from kinemill.policies.environments.legged.robots import LeggedRobots
from kinemill.policies.motion.gait_policy import GaitPolicy
from kinemill.policies.motion.reference import Floats, Reference, Rows

_ROWS = 4096  # per cycle; the error of linear interpolation is 1e-6 rad
_SMOOTH = 0.06  # share of a cycle over which the trunk's velocity is averaged


class GaitReference(Reference):
    """The gaits of a family, by command.

    Args:
        family: on the CPU.
        commands: of the clips, (E, 3): m/s, m/s, rad/s.
        body: of the robot that tracks them.

    Attributes:
        phase_step: advance of the phase per row, rad.
        middle: mean joint angles of the gaits, (J,), rad.
        clips: E.
        commands: (C, 3), those of the clips first.
    """

    def __init__(self, family: GaitPolicy, commands: Floats, body: Body) -> None:
        self._family = family
        self._body = body
        self._mean, self._directions = (
            tensor.double().numpy() for tensor in (family.mean, family.directions)
        )
        self._harmonics = np.arange(1, (family.sizes.terms + 1) // 2)
        self.phase_step = float(family.phase_step.double())
        self.middle = self._mean[0]
        self._dt = family.layout.dt
        self.clips = len(commands)
        # Clips keep one row each, also where two have the same command.
        self.commands = np.asarray(commands, float).reshape(-1, 3)
        self._table = np.stack([self._cycle(command) for command in self.commands])
        self._rows: dict[bytes, int] = {}
        for row, command in enumerate(self.commands):
            self._rows.setdefault(_key(command), row)

    def rows_of(self, commands: Sequence[Floats]) -> list[int]:
        """Return the rows of the commands of an environment in `commands`; new ones are added."""
        return [self.row_of(command) for command in commands]

    def row_of(self, command: Floats) -> int:
        """Return the row of a command (3,) in `commands`; a new command is appended."""
        key = _key(command)
        if key not in self._rows:
            self._rows[key] = len(self.commands)
            self.commands = np.concatenate([self.commands, np.asarray(command, float)[None]])
            self._table = np.concatenate([self._table, self._cycle(command)[None]])
        return self._rows[key]

    def _latent(self, command: Floats) -> Tensor:
        """Return the latent (1, R) that a command (3,) predicts."""
        return self._family.expected_latent(
            torch.as_tensor(np.asarray(command, np.float32)).unsqueeze(0)
        )

    def _cycle(self, command: Floats) -> Floats:
        """Return a closed cycle: joints, rates, feet, height, velocity, (_ROWS + 1, columns)."""
        latent = self._latent(command)[0].double().numpy()
        series = self._mean + np.einsum("r,rfj->fj", latent, self._directions)
        angles = np.linspace(0.0, 2.0 * np.pi, _ROWS + 1)[:, None] * self._harmonics
        waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        slopes = [-self._harmonics * np.sin(angles), self._harmonics * np.cos(angles)]
        joints = series[0] + waves @ series[1:]
        rates = np.concatenate(slopes, axis=1) @ series[1:] * self.phase_step / self._dt
        body = self._body
        feet = body.to_level(body.soles(joints).mean(axis=-2))
        velocity = self._velocity(feet, command)
        height = body.height(joints)[:, None]
        return np.concatenate(
            [joints, rates, feet.reshape(len(feet), -1), height, velocity], axis=1
        )

    def _velocity(self, feet: Floats, command: Floats) -> Floats:
        """Return the trunk velocity at which the bearing foot does not slip, (_ROWS + 1, 2)."""
        cycle = feet[:-1]
        seconds = 2.0 * np.pi / self.phase_step * self._dt / len(cycle)
        half = int(_SMOOTH * len(cycle)) // 2
        smooth = bearing_velocity(cycle, command[2], seconds, half, loops=True)
        smooth += command[:2] - smooth.mean(axis=0)
        return np.concatenate([smooth, smooth[:1]])

    def at(self, phases: Floats, command_rows: Rows | list[int]) -> Pose:
        """Return gaits at phases (B,) for rows (B,) of `commands`."""
        spots = np.asarray(phases) / (2.0 * np.pi) % 1.0 * _ROWS
        rows = spots.astype(np.intp)
        share = (spots - rows)[:, None]
        table = self._table
        values = table[command_rows, rows] * (1.0 - share) + table[command_rows, rows + 1] * share
        count = len(self.middle)
        return Pose(
            joints=values[:, :count],
            rates=values[:, count : 2 * count],
            feet=values[:, 2 * count : -3].reshape(len(values), -1, 3),
            height=values[:, -3],
            velocity=values[:, -2:],
            up=np.broadcast_to(self._body.level[2], (len(values), 3)),
        )

    def draw_phases(self, random: np.random.Generator, command_rows: Rows | list[int]) -> Floats:
        """Return random phases (B,), rad, for rows (B,) of `commands`."""
        return random.uniform(0.0, 2.0 * np.pi, len(command_rows))

    def begin(
        self,
        robots: LeggedRobots,
        rows: Rows,
        command_rows: Rows,
        inside: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> Floats:
        """Start episodes of some robots; return their phases (N,), rad.

        `command_rows`, (N,), are rows of `commands`. Robots `inside` start at a random phase of the
        gait, the others in stance.
        """
        command = self.commands[command_rows]
        phase = self.draw_phases(random, command_rows)
        pose = self.at(phase, command_rows)
        joints = np.where(inside[:, None], pose.joints, self._body.stance)
        joints = joints + random.normal(0.0, START_STD, joints.shape)
        rates = np.where(inside[:, None], pose.rates, 0.0)
        velocity = np.where(inside[:, None], pose.velocity, 0.0)
        robots.begin(rows, command, joints, rates, velocity)
        for index in np.flatnonzero(~inside):
            phase[index] = self.nearest_phase(joints[index], command[index])
        return phase

    def task_reward(self, robots: LeggedRobots, pose: Pose) -> Floats:
        """Return the environment's reward, 0 to 1, (B,): that of the command."""
        del pose
        return robots.command_reward()

    def speed_reward(self, robots: LeggedRobots) -> Floats:
        """Return the reward of the velocity on the scale of all commands, 0 to 1, (B,)."""
        mean_square = float(np.square(self.commands[:, :2]).sum(axis=1).mean())
        return robots.speed_reward(max(mean_square**0.5, robots.gauge.speed))

    def has_ended(self, robots: LeggedRobots, pose: Pose) -> NDArray[np.bool_]:
        """Return whether each robot has fallen, (B,)."""
        del pose
        return robots.has_fallen

    def is_success(self, robots: LeggedRobots, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return whether robots did not fall and have the commanded velocity on average."""
        return ~ended & (robots.speed_error() < robots.gauge.speed)

    def nearest_phase(self, joints: Floats, command: Floats) -> float:
        """Return the phase, rad, that explains joints (J,) best under a command (3,)."""
        angles = torch.as_tensor(np.asarray(joints, np.float32)).unsqueeze(0)
        return float(self._family.phase_of(angles, self._latent(command)))


def _key(command: Floats) -> bytes:
    return np.asarray(command, np.float32).tobytes()
