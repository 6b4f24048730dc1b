"""Bipeds side by side, as arrays: one for trials, hundreds to learn from at once.

Symbols: B bipeds, J = 10 leg joints, left before right; q quaternion w, x, y, z to the world.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.environments.kinds._biped import (
    BALLS,
    HIPS,
    JOINTS,
    PITCH,
    RADIUS,
    SHANK,
    STANCE,
    STEP,
)
from kinemill.environments.kinds._stepping import BipedPhysics, Threads
from kinemill.errors import BadInput
from kinemill.registry import nearest

Floats = NDArray[np.floating]

FALLEN, TILTED = 0.1, 0.6  # m of the trunk's height; cosine of its tilt
SMOOTH = 0.3  # s over which velocities are averaged: a step makes the trunk sway
PARAMETERS = ("mass", "friction", "gain", "push")
_OFF = (0.1, 0.5)  # m/s, rad/s off the command at which a reward is 1/e of its own
_OUTWARDS = np.array([-1.0, 1.0])  # senses of the hips' roll, left and right


class Walkers:
    """Bipeds that servos move toward joint targets.

    Args:
        count: B.
        rows: steps of the physics for each of its own.
        physics: makes what moves them, of `count` and `rows`.

    Attributes:
        position: (B, 17) place of the trunk, m, q, and joints, rad.
        velocity: (B, 16) of the trunk, m/s in the world and rad/s about its own axes; of joints.
        command: (B, 3) forward and to the left, m/s, and turning, rad/s.
        mean: (B, 3) what it did of that on average since it began.
        smooth: (B, 3) the same over the last `SMOOTH` s.
        steps: (B,) since it began.
    """

    def __init__(
        self, count: int, rows: int, physics: Callable[[int, int], BipedPhysics] = Threads
    ) -> None:
        import mujoco

        self._library: Any = mujoco
        self.dt, self.physics = rows * STEP, physics(count, rows)
        self._usual = copy(self.physics.models[0])
        self._data = self._library.MjData(self._usual)
        self.position, self.velocity = np.zeros((count, 17)), np.zeros((count, 16))
        self.command, self.mean, self.smooth = (np.zeros((count, 3)) for _ in range(3))
        self.steps = np.zeros(count, int)

    def vary(self, row: int, by: dict[str, float]) -> None:
        """Multiply what a biped usually has: mass, friction and gain of the servos.

        Raises:
            BadInput: it has no such parameter; a push is whose pushes it.
        """
        for name in by:
            if name not in PARAMETERS:
                where = f"environment.randomize, variants: {name}"
                raise BadInput(where, "is no parameter", fix=nearest(name, list(PARAMETERS)))
        usual, model = self._usual, self.physics.models[row]
        model.body_mass[:] = usual.body_mass * by.get("mass", 1.0)
        model.body_inertia[:] = usual.body_inertia * by.get("mass", 1.0)
        model.geom_friction[:] = usual.geom_friction * by.get("friction", 1.0)
        model.actuator_gainprm[:] = usual.actuator_gainprm * by.get("gain", 1.0)
        model.actuator_biasprm[:] = usual.actuator_biasprm * by.get("gain", 1.0)
        self._library.mj_setConst(model, self._data)
        self.physics.changed(row)

    def begin(
        self, rows: Any, command: Floats, joints: Floats, rates: Floats, moving: Floats
    ) -> None:
        """Put bipeds on level ground.

        Args:
            rows: which, N of them.
            command: (N, 3).
            joints: (N, J) rad.
            rates: (N, J) rad/s.
            moving: (N, 2) velocity of the trunk along and across its heading, m/s.
        """
        position, velocity = np.zeros((len(joints), 17)), np.zeros((len(joints), 16))
        position[:, 2] = height_of(joints)
        position[:, 3:7] = [np.cos(PITCH / 2), 0.0, np.sin(PITCH / 2), 0.0]
        position[:, 7:], velocity[:, 6:] = joints, rates
        velocity[:, :2] = moving
        turn = np.any(rates != 0.0, axis=1) * command[:, 2]
        velocity[:, 3:6] = turn[:, None] * [-np.sin(PITCH), 0.0, np.cos(PITCH)]
        self.position[rows], self.velocity[rows] = position, velocity
        self.command[rows], self.smooth[rows], self.mean[rows] = command, command, 0.0
        self.steps[rows] = 0

    def advance(self, targets: Floats) -> None:
        """Let the servos follow targets (B, J), rad, for a time step."""
        self.position, self.velocity = self.physics.advance(self.position, self.velocity, targets)
        self.steps += 1
        moved = self.moving()
        self.mean += (moved - self.mean) / self.steps[:, None]
        self.smooth += (moved - self.smooth) * min(1.0, self.dt / SMOOTH)

    def push(self, by: Floats) -> None:
        """Change velocities of trunks by (B, 2), m/s."""
        self.velocity[:, :2] += by

    @property
    def rotation(self) -> Floats:
        """From trunk to world, (B, 3, 3)."""
        w, x, y, z = self.position[:, 3:7].T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return np.moveaxis(np.array(rows), 2, 0)

    @property
    def fallen(self) -> NDArray[np.bool_]:
        """Whether each has fallen, (B,)."""
        x, y = self.position[:, 4], self.position[:, 5]
        return (self.position[:, 2] < FALLEN) | (1 - 2 * (x * x + y * y) < TILTED)

    def moving(self) -> Floats:
        """Return velocity along a trunk's heading and across, m/s, and turning, rad/s, (B, 3)."""
        rotation = self.rotation
        ahead = rotation[:, :2, 0]
        ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
        x, y = self.velocity[:, 0], self.velocity[:, 1]
        along, across = ahead[:, 0] * x + ahead[:, 1] * y, ahead[:, 0] * y - ahead[:, 1] * x
        turning = np.einsum("bj,bj->b", rotation[:, 2], self.velocity[:, 3:6])
        return np.stack([along, across, turning], axis=1)

    def off(self) -> Floats:
        """Return by how much mean velocities are off the command, m/s, (B,)."""
        return np.linalg.norm(self.mean[:, :2] - self.command[:, :2], axis=1)

    def following(self) -> Floats:
        """Return how well commands are followed, 0 to 1, (B,)."""
        off = self.smooth - self.command
        straight = np.exp(-np.square(off[:, :2]).sum(axis=1) / _OFF[0] ** 2)
        return 0.7 * straight + 0.3 * np.exp(-np.square(off[:, 2] / _OFF[1]))

    def observed(self) -> NDArray[np.float32]:
        """Return attitude, rates in the world, joints and the command, (B, 30)."""
        turning = np.einsum("bij,bj->bi", self.rotation, self.velocity[:, 3:6])
        attitude = self.position[:, [4, 5, 6, 3]]
        legs = (self.position[:, 7:], self.velocity[:, 6:])
        return np.concatenate([attitude, turning, *legs, self.command], axis=1).astype(np.float32)

    def places(self, row: int) -> Floats:
        """Return where the bodies of one are, the trunk first, (11, 3) m."""
        data = self._data
        data.qpos[:] = self.position[row]
        self._library.mj_kinematics(self.physics.models[row], data)
        return data.xpos[1:].copy()


def soles(joints: Floats) -> Floats:
    """Return what feet stand on, as the trunk sees it, m.

    Args:
        joints: (..., J) rad.

    Returns:
        Centers of the four balls of each foot, (..., 2, 4, 3).
    """
    legs = np.asarray(joints).reshape(*np.shape(joints)[:-1], 2, 5)
    yaw, roll, hip, knee, ankle = (legs[..., k, None] for k in range(5))
    first, second = hip, hip + knee
    third = second + ankle
    x, y, z = np.array(BALLS).T
    forward = x * np.cos(third) + z * np.sin(third) - SHANK * (np.sin(first) + np.sin(second))
    up = z * np.cos(third) - x * np.sin(third) - SHANK * (np.cos(first) + np.cos(second))
    roll = roll * _OUTWARDS[:, None]
    side, up = y * np.cos(roll) - up * np.sin(roll), y * np.sin(roll) + up * np.cos(roll)
    turned = (
        forward * np.cos(yaw) + side * np.sin(yaw),
        side * np.cos(yaw) - forward * np.sin(yaw),
        up,
    )
    return np.stack(turned, axis=-1) + np.array(HIPS)[:, None]


def leveled(points: Floats) -> Floats:
    """Return points (..., 3) of a trunk that leans as in the clips, along the level ground."""
    x, y, z = np.moveaxis(points, -1, 0)
    sine, cosine = np.sin(PITCH), np.cos(PITCH)
    return np.stack([x * cosine + z * sine, y, z * cosine - x * sine], axis=-1)


def height_of(joints: Floats) -> Floats:
    """Return the trunk's height (...), m, at which the lower foot touches the ground."""
    return RADIUS - leveled(soles(joints))[..., 2].min(axis=(-1, -2))


def stance() -> Floats:
    """Return the joints of standing, (J,) rad."""
    return np.array([STANCE[name] for name in JOINTS * 2])
