"""Legged robots as batched arrays: one for evaluation, hundreds for training.

Symbols: B robots, J joints; q quaternion w, x, y, z from trunk to world.
"""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.control.mujoco_batch import FACTORS, check_parameters, scale_model
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.body import Body, Floats, library
from kinemill.policies.environments.legged.clips import ClipPose, Pose, rotations
from kinemill.policies.environments.legged.physics import LeggedPhysics, MujocoThreads

SMOOTH = 0.3  # s over which velocities are averaged: each step makes the trunk sway
_TILT = 0.6  # cosine of the trunk's tilt at which a robot has fallen
_SCALED = ("mass", "friction", "gain")
PARAMETERS = (*_SCALED, "push", "latency", "noise")
# Largest errors of attitude, rad, its rate, rad/s, joints, rad, and joint rates, rad/s, at a noise
# of 1: those of the velocity tasks of Isaac Lab (Rudin et al. 2022, table of the appendix).
NOISE = (0.05, 0.2, 0.01, 1.5)


@dataclass(frozen=True)
class Gauge:
    """The scales on which a robot's walking is rated.

    Attributes:
        speed: error of the velocity, m/s, at which its reward is 1/e; success stays below it.
        turn: error of the turning rate, rad/s, at which its reward is 1/e.
        fallen: height of the trunk's mass center, m, below which the robot has fallen.
    """

    speed: float
    turn: float
    fallen: float


class LeggedRobots:
    """A batch of robots whose servos follow joint targets.

    Args:
        body: of all of them.
        gauge: the scales of reward, success and falls.
        count: B.
        dt: time step of the task, s; that of the physics is a whole part of it, at most the file's.
        physics: factory of the engine, called with body, count and steps of the physics in `dt`.

    Attributes:
        position: (B, 7 + J) trunk position, m, q, and joints, rad.
        velocity: (B, 6 + J) trunk velocity, m/s in the world and rad/s in its own frame; joints.
        command: (B, 3) forward and left velocity, m/s, and turning rate, rad/s.
        mean: (B, 3) the velocity in the sense of `command`, averaged since it was given.
        smooth: (B, 3) the same, averaged over the last `SMOOTH` s.
        steps: (B,) since the start of the episode.
        since: (B,) the step at which the command was given.
        latency: (B,) time by which joint targets act later, in time steps, 0 to 1.
        noise: (B,) errors of the observations, in units of `NOISE`.
        scales: (B, 3) factors of mass, friction and servo gain.
    """

    def __init__(
        self,
        body: Body,
        gauge: Gauge,
        count: int,
        dt: float,
        physics: Callable[[Body, int, int], LeggedPhysics] = MujocoThreads,
    ) -> None:
        self.body = body
        self.gauge = gauge
        substeps = max(1, math.ceil(dt / body.step - 1e-9))
        body.model.opt.timestep = dt / substeps
        self.dt, self.physics = dt, physics(body, count, substeps)
        self._nominal = copy(self.physics.models[0])
        self._data = library.MjData(self._nominal)
        size = 7 + len(body.joints)
        self.position, self.velocity = np.zeros((count, size)), np.zeros((count, size - 1))
        self.command, self.mean, self.smooth = (np.zeros((count, 3)) for _ in range(3))
        self.steps, self.since = np.zeros(count, int), np.zeros(count, int)
        self.latency, self.noise = np.zeros(count), np.zeros(count)
        self.scales = np.ones((count, len(_SCALED)))
        self._targets = np.zeros((count, len(body.joints)))

    def vary(self, row: int, factors: dict[str, float]) -> None:
        """Scale mass, friction and servo gain of one robot, and set its latency and noise.

        Raises:
            BadInput: A parameter is unknown, or latency or noise is out of range. `push` is
                accepted and has no effect here.
        """
        check_parameters(factors, PARAMETERS)
        for name, value in factors.items():
            where = f"environment.randomize, variants: {name}"
            if name == "latency" and not 0.0 <= value <= 1.0:
                raise BadInput(where, f"is {value:g}", expected="0 to 1 time steps")
            if name == "noise" and value < 0.0:
                raise BadInput(where, f"is {value:g}", expected="0 or more")
        self.latency[row], self.noise[row] = factors.get("latency", 0.0), factors.get("noise", 0.0)
        self.scales[row] = [factors.get(name, 1.0) for name in _SCALED]
        scales = {name: value for name, value in factors.items() if name in FACTORS}
        scale_model(self._nominal, self.physics.models[row], self._data, scales)
        self.physics.update(row)

    def begin(
        self,
        rows: list[int] | NDArray[np.intp] | slice,
        command: Floats,
        joints: Floats,
        rates: Floats,
        velocity: Floats,
    ) -> None:
        """Start an episode of some robots, on level ground.

        Args:
            rows: indices of the N robots.
            command: (N, 3).
            joints: (N, J) rad.
            rates: (N, J) rad/s.
            velocity: (N, 2) of the trunk along and across its heading, m/s.
        """
        body = self.body
        count = len(joints)
        turn = np.any(rates != 0.0, axis=1) * command[:, 2]
        height = np.column_stack([np.zeros((count, 2)), body.height(joints)])
        attitude = np.tile(body.attitude, (count, 1))
        self.position[rows] = np.concatenate([height, attitude, joints], axis=1)
        self.velocity[rows] = np.concatenate(
            [velocity, np.zeros((count, 1)), turn[:, None] * body.level[2], rates], axis=1
        )
        self.command[rows], self.smooth[rows], self.mean[rows] = command, command, 0.0
        self.steps[rows], self.since[rows] = 0, 0
        self._targets[rows] = joints

    def change_command(self, rows: list[int] | NDArray[np.intp], command: Floats) -> None:
        """Give some robots another command (N, 3) within their episode."""
        self.command[rows], self.mean[rows] = command, 0.0
        self.since[rows] = self.steps[rows]

    def begin_clip(
        self, rows: list[int] | NDArray[np.intp], command: Floats, pose: ClipPose, noise: Floats
    ) -> None:
        """Start an episode of some robots in poses of clips, along x.

        Args:
            rows: indices of the N robots.
            command: (N, 3).
            pose: N of them.
            noise: (N, J) added to the joints, rad.
        """
        self.begin(rows, command, pose.joints + noise, pose.rates, pose.velocity)
        self.position[rows, 2] = pose.height
        self.position[rows, 3:7] = pose.attitude
        self.velocity[rows, 2] = pose.climb
        self.velocity[rows, 3:6] = pose.turn

    def advance(self, targets: Floats) -> None:
        """Simulate one time step with joint targets (B, J), rad."""
        # The old target acts for a part of the step, then the new one. A servo is linear in its
        # target, so their weighted mean has the same impulse.
        late = self.latency[:, None]
        applied = late * self._targets + (1.0 - late) * targets
        self._targets = np.array(targets, float)  # `begin` writes into it
        self.position, self.velocity = self.physics.advance(self.position, self.velocity, applied)
        self.steps += 1
        velocity = self.heading_velocity()
        self.mean += (velocity - self.mean) / (self.steps - self.since)[:, None]
        self.smooth += (velocity - self.smooth) * min(1.0, self.dt / SMOOTH)

    def push(self, change: Floats) -> None:
        """Add (B, 2), m/s, to the horizontal velocities of the trunks."""
        self.velocity[:, :2] += change

    @property
    def rotation(self) -> Floats:
        """Rotation matrices from trunk to world, (B, 3, 3)."""
        return rotations(self.position[:, 3:7])

    @property
    def has_fallen(self) -> NDArray[np.bool_]:
        """Whether each robot has fallen, (B,)."""
        up = self.rotation[:, 2]
        height = self.position[:, 2] + up @ self.body.center
        return (height < self.gauge.fallen) | (up[:, 2] < _TILT)

    def has_left(self, pose: Pose) -> NDArray[np.bool_]:
        """Whether each robot has left the pose of its clip, (B,).

        Its trunk is tilted otherwise, or lower by as much as a fall is below standing.
        """
        up = self.rotation[:, 2]
        drop = self.body.standing_height - self.gauge.fallen
        height = self.position[:, 2] + up @ self.body.center
        lowest = pose.height + pose.up @ self.body.center - drop
        return (height < lowest) | (np.einsum("bi,bi->b", up, pose.up) < _TILT)

    def joint_error(self, pose: Pose) -> Floats:
        """Return the root mean square of the joints' deviations from a pose, rad, (B,)."""
        return np.sqrt(np.square(self.position[:, 7:] - pose.joints).mean(axis=1))

    def heading_velocity(self) -> Floats:
        """Return velocity along and across the heading, m/s, and turning rate, rad/s, (B, 3)."""
        rotation = self.rotation
        forward = rotation[:, :2, 0]
        forward = forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)
        x = self.velocity[:, 0]
        y = self.velocity[:, 1]
        forward_speed = forward[:, 0] * x + forward[:, 1] * y
        lateral_speed = forward[:, 0] * y - forward[:, 1] * x
        turning = np.einsum("bj,bj->b", rotation[:, 2], self.velocity[:, 3:6])
        return np.stack([forward_speed, lateral_speed, turning], axis=1)

    def speed_error(self) -> Floats:
        """Return the distance between mean velocity and command, m/s, (B,)."""
        return np.linalg.norm(self.mean[:, :2] - self.command[:, :2], axis=1)

    def is_success(self) -> NDArray[np.bool_]:
        """Return whether each robot stands and walks as commanded so far, (B,)."""
        return ~self.has_fallen & (self.speed_error() < self.gauge.speed)

    def command_reward(self) -> Floats:
        """Return the reward for following the command, 0 to 1, (B,)."""
        turn = np.square((self.smooth[:, 2] - self.command[:, 2]) / self.gauge.turn)
        return 0.7 * self.speed_reward(self.gauge.speed) + 0.3 * np.exp(-turn)

    def speed_reward(self, scale: float) -> Floats:
        """Return the reward for the commanded velocity, 1/e at an error of `scale` m/s, (B,)."""
        error = self.smooth[:, :2] - self.command[:, :2]
        return np.exp(-np.square(error).sum(axis=1) / scale**2)

    def observe(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Return observations in the order of `Body.observation_names`, (B, 10 + 2 J)."""
        attitude = self.position[:, 3:7]
        joints = self.position[:, 7:]
        turning = np.einsum("bij,bj->bi", self.rotation, self.velocity[:, 3:6])
        rates = self.velocity[:, 6:]
        if self.noise.any():
            shapes = (turning.shape, turning.shape, joints.shape, rates.shape)
            tilt, turn, angle, rate = (
                self.noise[:, None] * random.uniform(-most, most, shape)
                for most, shape in zip(NOISE, shapes, strict=True)
            )
            attitude = _tilted(attitude, tilt)
            turning = turning + turn
            joints = joints + angle
            rates = rates + rate
        parts = [attitude[:, [1, 2, 3, 0]], turning, joints, rates, self.command]
        return np.concatenate(parts, axis=1).astype(np.float32)


def _tilted(attitude: Floats, tilt: Floats) -> Floats:
    """Return unit quaternions (B, 4) turned about their own axes by small angles (B, 3), rad."""
    w = attitude[:, :1]
    v = attitude[:, 1:]
    half = 0.5 * tilt
    scalar = w - (v * half).sum(axis=1, keepdims=True)
    turned = np.concatenate([scalar, v + w * half + np.cross(v, half)], axis=1)
    return turned / np.linalg.norm(turned, axis=1, keepdims=True)
