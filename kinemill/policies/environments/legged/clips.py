"""Clips as tables of poses over time: starts of episodes, references of rewards, and ends.

A clip is joints and attitude of the trunk on the grid of a task. Velocities are central differences
of them, so clips need no velocities. Height and velocity of the trunk are those at
which the lowest foot stands on level ground and does not slip. The heading is removed: each clip
starts along x.

Symbols: B robots, J joints, F feet, E clips, T rows of the longest clip, n rows of one clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments.legged.body import Body, Floats

TRUNK = ("trunk_x", "trunk_y", "trunk_z", "trunk_w")
COMMAND = ("command_x", "command_y", "command_yaw")
COMMAND_UNITS = (0.1, 0.1, 0.5)  # m/s, m/s, rad/s by which commands are compared
_LIFT = 0.002  # m above the lowest foot at which a foot carries 1/e of its load
_SMOOTH = 0.1  # s over which the velocity of the trunk is averaged


@dataclass(frozen=True)
class Pose:
    """Reference poses of robots.

    Attributes:
        joints: (B, J) rad.
        rates: (B, J) rad/s.
        feet: (B, F, 3) centers of the soles relative to the trunk, along level ground, m.
        height: (B,) of the trunk, m.
        velocity: (B, 2) of the trunk along its heading and across, m/s.
        up: (B, 3) direction of the world's z in the frame of the trunk.
    """

    joints: Floats
    rates: Floats
    feet: Floats
    height: Floats
    velocity: Floats
    up: Floats


@dataclass(frozen=True)
class ClipPose(Pose):
    """A reference pose with the other quantities of an initial state.

    Attributes:
        attitude: (B, 4) quaternion w, x, y, z of the trunk, without heading.
        turn: (B, 3) rate of the trunk in its own frame, rad/s.
        climb: (B,) vertical velocity of the trunk, m/s.
    """

    attitude: Floats
    turn: Floats
    climb: Floats


@dataclass(frozen=True)
class Clip:
    """One clip of a robot.

    Attributes:
        name: of its file, and of its episode if the file has several.
        joints: (n, J) rad.
        attitude: (n, 4) quaternion w, x, y, z of the trunk.
        command: (3,) m/s, m/s, rad/s; selects the clip.
        loops: whether it repeats.
    """

    name: str
    joints: Floats
    attitude: Floats
    command: Floats
    loops: bool


class ClipTable:
    """Clips of one robot, each with its own length.

    Args:
        clips: E, at least one.
        body: of the robot.
        dt: time between two rows, s.

    Attributes:
        joints: (E, T, J) rad; the last row of a shorter clip is repeated.
        ends: (E,) index of the last row; of a clip that repeats, its pose is that of row 0.
        loops: (E,) whether the clip repeats.
        commands: (E, 3).
        names: E.
    """

    def __init__(self, clips: Sequence[Clip], body: Body, dt: float) -> None:
        rows = [_rows(clip, body, dt) for clip in clips]
        self.ends = np.array([len(frames) - 1 for frames in rows])
        longest = int(self.ends.max()) + 1
        self._table = np.stack(
            [np.pad(frames, ((0, longest - len(frames)), (0, 0)), mode="edge") for frames in rows]
        )
        self._count = len(body.joints)
        self.joints = self._table[:, :, : self._count]
        self.loops = np.array([clip.loops for clip in clips])
        self.commands = np.stack([clip.command for clip in clips])
        self.names = tuple(clip.name for clip in clips)

    def at(self, steps: Floats, clips: NDArray[np.intp] | list[int]) -> ClipPose:
        """Return the poses of clips (B,) some steps (B,) after their start."""
        ends = self.ends[clips]
        spots = np.where(self.loops[clips], np.mod(steps, ends), np.clip(steps, 0.0, ends))
        lower = np.minimum(spots.astype(np.intp), ends - 1)
        share = (spots - lower)[:, None]
        table = self._table
        count = self._count
        values = table[clips, lower] * (1.0 - share) + table[clips, lower + 1] * share
        attitude = values[:, -11:-7]
        attitude = attitude / np.linalg.norm(attitude, axis=1, keepdims=True)
        return ClipPose(
            joints=values[:, :count],
            rates=values[:, count : 2 * count],
            feet=values[:, 2 * count : -11].reshape(len(values), -1, 3),
            attitude=attitude,
            turn=values[:, -7:-4],
            height=values[:, -4],
            velocity=values[:, -3:-1],
            climb=values[:, -1],
            up=rotations(attitude)[:, 2],
        )


def _rows(clip: Clip, body: Body, dt: float) -> Floats:
    """Return joints, rates, feet, attitude, turn, height, velocity and climb, (n, columns)."""
    period = _period(clip.joints) if clip.loops else len(clip.joints)
    joints = clip.joints[:period]
    quaternions = _continuous(clip.attitude[:period])
    attitude = _without_heading(quaternions)
    level = rotations(attitude)
    turn = _turn_rate(quaternions, dt)
    soles = body.soles(joints)
    feet = np.einsum("nij,nfj->nfi", level, soles.mean(axis=-2))
    radii = np.array([foot.radii for foot in body.feet])
    height = (radii - np.einsum("nj,nfkj->nfk", level[:, 2], soles)).max(axis=(-1, -2))[:, None]
    yaw_rate = np.einsum("nj,nj->n", level[:, 2], turn)
    half = min(round(0.5 * _SMOOTH / dt), (period - 1) // 2)
    parts = [
        joints,
        _slope(joints, dt, loops=clip.loops),
        body.to_level(soles.mean(axis=-2)).reshape(period, -1),
        attitude,
        turn,
        height,
        bearing_velocity(feet, yaw_rate, dt, half, loops=clip.loops),
        _slope(height, dt, loops=clip.loops),
    ]
    rows = np.concatenate(parts, axis=1)
    return np.concatenate([rows, rows[:1]]) if clip.loops else rows


def _period(joints: Floats) -> int:
    """Return the rows of a clip (n, J) that loops, without a last row that equals the first."""
    step = float(np.abs(np.diff(joints, axis=0)).max())
    is_repeated = float(np.abs(joints[-1] - joints[0]).max()) <= 0.5 * step
    return len(joints) - 1 if is_repeated else len(joints)


def _slope(values: Floats, dt: float, *, loops: bool) -> Floats:
    """Return central differences of rows (n, k), per s; a loop is differenced periodically."""
    if loops:
        return (np.roll(values, -1, axis=0) - np.roll(values, 1, axis=0)) / (2.0 * dt)
    return np.gradient(values, dt, axis=0)


def bearing_velocity(
    feet: Floats, yaw_rate: Floats | float, dt: float, half: int, *, loops: bool
) -> Floats:
    """Return the velocity of the trunk (n, 2), m/s, at which the foot on the ground does not slip.

    Args:
        feet: in the level frame of the trunk, (n, F, 3) m.
        yaw_rate: (n,) rad/s, or that of all rows.
        dt: s between two rows.
        half: rows to either side over which the velocity is averaged.
        loops: whether the first row follows the last one.
    """
    speed = _slope(feet.reshape(len(feet), -1), dt, loops=loops).reshape(feet.shape)[..., :2]
    turning = np.stack([-feet[..., 1], feet[..., 0]], axis=-1) * np.reshape(yaw_rate, (-1, 1, 1))
    load = np.exp(-(feet[..., 2] - feet[..., 2].min(axis=1, keepdims=True)) / _LIFT)
    load = load / load.sum(axis=1, keepdims=True)
    velocity = -((speed + turning) * load[..., None]).sum(axis=1)
    padded = np.pad(velocity, ((half, half), (0, 0)), mode="wrap" if loops else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    return windows.mean(axis=-1)


def _turn_rate(attitude: Floats, dt: float) -> Floats:
    """Return the rate of the trunk in its own frame: quaternions (n, 4) -> (n, 3) rad/s.

    It is twice the vector part of q* dq/dt.
    """
    w = attitude[:, :1]
    v = attitude[:, 1:]
    slope = np.gradient(attitude, dt, axis=0)
    return 2.0 * (w * slope[:, 1:] - slope[:, :1] * v - np.cross(v, slope[:, 1:]))


def _continuous(attitude: Floats) -> Floats:
    """Return unit quaternions (n, 4) with continuous signs: q and -q are the same rotation."""
    unit = attitude / np.linalg.norm(attitude, axis=1, keepdims=True)
    flips = np.sign(np.einsum("nk,nk->n", unit[1:], unit[:-1]))
    return unit * np.cumprod(np.concatenate([[1.0], np.where(flips < 0.0, -1.0, 1.0)]))[:, None]


def _without_heading(attitude: Floats) -> Floats:
    """Return quaternions (n, 4) whose x axis, seen from above, is the world's."""
    forward = rotations(attitude)[:, :2, 0]
    half = -0.5 * np.unwrap(np.arctan2(forward[:, 1], forward[:, 0]))
    c = np.cos(half)
    s = np.sin(half)
    w, x, y, z = attitude.T
    return _continuous(
        np.stack([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w], axis=1)
    )


def rotations(attitude: Floats) -> Floats:
    """Return rotation matrices from quaternions w, x, y, z: (B, 4) -> (B, 3, 3)."""
    w, x, y, z = attitude.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
