"""The body of a legged robot: its joints, its limits, and where its feet are.

Symbols: J joints, F feet, K points of a sole.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinemill.control.sim import MujocoModel
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.robot_file import (
    Robot,
    RobotOptions,
    Servo,
    read_robot,
    servo_of,
)
from kinemill.registry import require_known

library: ModuleType = mujoco  # it has no type stubs
Floats = NDArray[np.float64]

_TRUNK = 7  # numbers of the free joint: position and quaternion
_LEVEL = 0.05  # share of the mass center's height within which points are on the ground
# Share of the standing height below which a gait needs another stance: robots start in stance, drop
# into the gait, and have fallen below a share of its height that is close to that of the gait.
CROUCHED = 0.9
_DEFAULT_OPTIONS = RobotOptions()


@dataclass(frozen=True)
class _Link:
    """One joint or fixed body between trunk and foot: its place in its parent, and its hinge."""

    position: Floats  # (3,) m
    rotation: Floats  # (3, 3)
    joint: int | None
    anchor: Floats  # (3,) m
    axis: Floats  # (3, 3), the cross-product matrix of the unit axis
    reference: float  # rad


@dataclass(frozen=True)
class Foot:
    """The links from trunk to foot, and the points that the foot stands on.

    Attributes:
        name: of the body.
        links: from the trunk outward.
        centers: (K, 3) m in the frame of the foot.
        radii: (K,) m, of spheres around the points.
    """

    name: str
    links: tuple[_Link, ...]
    centers: Floats
    radii: Floats


@dataclass(frozen=True)
class Body:
    """A robot body.

    Attributes:
        model: a `mujoco.MjModel`.
        trunk: index of the body with the free joint.
        joints: names, in the order of the servos.
        low: (J,) lower joint limits, rad.
        high: (J,) upper joint limits, rad.
        stance: (J,) joint angles of standing, rad.
        attitude: (4,) quaternion w, x, y, z of the standing trunk.
        level: (3, 3) rotation of the standing trunk to the world.
        center: (3,) mass center of the trunk in its frame, m.
        step: time step of the file, s.
        feet: one entry per foot.
        servos: one entry per joint.
    """

    model: MujocoModel
    trunk: int
    joints: tuple[str, ...]
    low: Floats
    high: Floats
    stance: Floats
    attitude: Floats
    level: Floats
    center: Floats
    step: float
    feet: tuple[Foot, ...]
    servos: tuple[Servo, ...]

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the observed numbers: attitude, rates, joints, velocities, command."""
        return (
            *("trunk_x", "trunk_y", "trunk_z", "trunk_w", "turn_x", "turn_y", "turn_z"),
            *self.joints,
            *(f"{name}_velocity" for name in self.joints),
            *("command_x", "command_y", "command_yaw"),
        )

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions: one joint target per servo."""
        return tuple(f"{name}_target" for name in self.joints)

    def soles(self, joints: Floats) -> Floats:
        """Return the points of each sole in the trunk frame: (..., J) -> (..., F, K, 3)."""
        angles = np.asarray(joints, float)
        flat = angles.reshape(-1, len(self.joints))
        feet = [_sphere_centers(foot, flat) for foot in self.feet]
        return np.stack(feet, axis=1).reshape(*angles.shape[:-1], *np.shape(feet)[:1], -1, 3)

    def to_level(self, points: Floats) -> Floats:
        """Rotate points (..., 3) from the trunk frame, tilted as in stance, to level ground."""
        return points @ self.level.T

    @property
    def standing_height(self) -> float:
        """Height of the trunk's mass center in stance, m."""
        return self.trunk_height(self.stance)

    def trunk_height(self, joints: Floats) -> float:
        """Return the height of the trunk's mass center with the lowest foot on the ground, m.

        The frame of the trunk may be anywhere, also on the ground.

        Args:
            joints: (J,) rad.
        """
        return float(self.height(joints) + self.to_level(self.center)[2])

    def height(self, joints: Floats) -> Floats:
        """Return the trunk height with the lowest foot on the ground: (..., J) -> (...), m."""
        radii = np.array([foot.radii for foot in self.feet])
        return (radii - self.to_level(self.soles(joints))[..., 2]).max(axis=(-1, -2))


def columns(joints: int) -> tuple[slice, slice, slice]:
    """Return where joint angles, joint velocities and the command are in an observation."""
    end = 7 + 2 * joints
    return slice(7, 7 + joints), slice(7 + joints, end), slice(end, end + 3)


def load_body(path: Path, options: RobotOptions = _DEFAULT_OPTIONS) -> Body:
    """Read a body from a model file.

    Raises:
        BadInput: As `read_robot`; or the file has no foot that is named, or that touches the ground
            in stance.
    """
    robot = read_robot(path, options)
    model = robot.model
    stance = robot.stance
    level = np.zeros(9)
    library.mju_quat2Mat(level, stance[3:_TRUNK])
    return Body(
        model=model,
        trunk=robot.trunk,
        joints=tuple(model.joint(joint).name for joint in range(1, model.njnt)),
        low=model.jnt_range[1:, 0].copy(),
        high=model.jnt_range[1:, 1].copy(),
        stance=stance[_TRUNK:],
        attitude=stance[3:_TRUNK],
        level=level.reshape(3, 3),
        center=_trunk_center(robot),
        step=float(model.opt.timestep),
        feet=_feet(robot, options.feet, f"environment.robot: {path}"),
        servos=tuple(servo_of(model, index) for index in range(model.nu)),
    )


def _trunk_center(robot: Robot) -> Floats:
    """Return the mass center of the trunk and of what is fixed to it, in its frame, (3,) m."""
    model = robot.model
    data = library.MjData(model)
    library.mj_kinematics(model, data)
    fixed = np.flatnonzero(model.body_weldid == model.body_weldid[robot.trunk])
    mass = model.body_mass[fixed]
    if not mass.sum():
        return np.zeros(3)
    center = (mass[:, None] * data.xipos[fixed]).sum(axis=0) / mass.sum()
    rotation = data.xmat[robot.trunk].reshape(3, 3)
    return (center - data.xpos[robot.trunk]) @ rotation


def _feet(robot: Robot, named: tuple[str, ...], where: str) -> tuple[Foot, ...]:
    """Return the named feet; without names, the bodies that are lowest in stance."""
    model = robot.model
    data = library.MjData(robot.model)
    data.qpos[:] = robot.stance
    library.mj_fwdPosition(model, data)
    touching = _touching_bodies(model, robot.trunk)
    names = [_name(model, body) for body in touching]
    for name in named:
        problem = f"{name} is no body of the robot that can touch the ground"
        require_known(name, names, "environment.feet", problem)
    if not touching:
        expected = "shapes that collide (contype, conaffinity) on its feet"
        raise BadInput(where, "has no part that can touch the ground", expected=expected)
    points = {body: _points(model, body) for body in touching}
    heights = {
        body: (at @ data.xmat[body].reshape(3, 3).T + data.xpos[body])[:, 2] - radii
        for body, (at, radii) in points.items()
    }
    lowest = min(heights[body].min() for body in touching)
    near = _LEVEL * (float(data.subtree_com[robot.trunk, 2]) - lowest)
    feet = [body for body in touching if heights[body].min() <= lowest + near]
    if named:
        feet = [body for body in touching if _name(model, body) in named]
    made = list[Foot]()
    for body in feet:
        at, radii = points[body]
        rows = _corners(at @ data.xmat[body].reshape(3, 3).T, heights[body], near)
        links = _links(model, body, robot.trunk)
        made.append(Foot(_name(model, body), links, at[rows], radii[rows]))
    return tuple(made)


def _name(model: MujocoModel, body: int) -> str:
    return model.body(body).name


def _touching_bodies(model: MujocoModel, trunk: int) -> list[int]:
    """Return the bodies of the robot with shapes that collide, the trunk's own apart."""
    collides = (model.geom_contype > 0) | (model.geom_conaffinity > 0)
    bodies = {int(body) for body in model.geom_bodyid[collides]}
    weld = model.body_weldid
    return sorted(
        body for body in bodies if model.body_rootid[body] == trunk and weld[body] != weld[trunk]
    )


def _points(model: MujocoModel, body: int) -> tuple[Floats, Floats]:
    """Return the points (N, 3) and radii (N,), m, whose hull are the shapes of a body."""
    at = list[Floats]()
    radii = list[Floats]()
    for geom in np.flatnonzero(model.geom_bodyid == body):
        if not (model.geom_contype[geom] or model.geom_conaffinity[geom]):
            continue
        local, radius = _shape(model, int(geom))
        rotation = np.zeros(9)
        library.mju_quat2Mat(rotation, model.geom_quat[geom])
        at.append(local @ rotation.reshape(3, 3).T + model.geom_pos[geom])
        radii.append(np.full(len(local), radius))
    return np.concatenate(at), np.concatenate(radii)


def _shape(model: MujocoModel, geom: int) -> tuple[Floats, float]:
    """Return points (N, 3) in the frame of a shape, m, and the radius around them, m."""
    kind = library.mjtGeom(int(model.geom_type[geom]))
    size = model.geom_size[geom]
    if kind == library.mjtGeom.mjGEOM_SPHERE:
        return np.zeros((1, 3)), float(size[0])
    if kind == library.mjtGeom.mjGEOM_CAPSULE:
        return np.array([[0.0, 0.0, -size[1]], [0.0, 0.0, size[1]]]), float(size[0])
    if kind == library.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        first = int(model.mesh_vertadr[mesh])
        return model.mesh_vert[first : first + model.mesh_vertnum[mesh]].astype(float), 0.0
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3, indexing="ij")).reshape(3, -1).T
    half = (
        np.array([size[0], size[0], size[1]]) if kind == library.mjtGeom.mjGEOM_CYLINDER else size
    )
    return signs * half, 0.0  # the corners of a box, or of the box around another shape


def _corners(at: Floats, heights: Floats, near: float) -> NDArray[np.intp]:
    """Return the rows of the points that a foot stands on: its outermost ones on the ground."""
    low = np.flatnonzero(heights <= heights.min() + near)
    rows = [low[np.argmax(at[low] @ [x, y, 0.0])] for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    return np.array(rows)


def _links(model: MujocoModel, body: int, trunk: int) -> tuple[_Link, ...]:
    """Return the chain of links from the trunk to a body."""
    links = list[_Link]()
    while body != trunk:
        links = [*_links_of(model, body), *links]
        body = int(model.body_parentid[body])
    return tuple(links)


def _links_of(model: MujocoModel, body: int) -> list[_Link]:
    """Return a body's place in its parent with its first joint, and its other joints."""
    rotation = np.zeros(9)
    library.mju_quat2Mat(rotation, model.body_quat[body])
    offset = (model.body_pos[body].copy(), rotation.reshape(3, 3))
    none = np.zeros(3)
    first = int(model.body_jntadr[body])
    count = int(model.body_jntnum[body])
    if not count:
        return [_Link(*offset, None, none, np.zeros((3, 3)), 0.0)]
    links = list[_Link]()
    for joint in range(first, first + count):
        x, y, z = model.jnt_axis[joint]
        links.append(
            _Link(
                *(offset if joint == first else (none, np.eye(3))),
                joint=joint - 1,
                anchor=model.jnt_pos[joint].copy(),
                axis=np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]),
                reference=float(model.qpos0[model.jnt_qposadr[joint]]),
            )
        )
    return links


def _sphere_centers(foot: Foot, joints: Floats) -> Floats:
    """Return the points of a sole in the trunk frame: (N, J) -> (N, K, 3)."""
    rotation = np.eye(3)[None]
    position = np.zeros((len(joints), 3))
    for link in foot.links:
        position = position + rotation @ link.position
        rotation = rotation @ link.rotation
        if link.joint is None:
            continue
        # Rodrigues' formula about a fixed axis: R = I + sin(q) K + (1 - cos(q)) K².
        angle = (joints[:, link.joint] - link.reference)[:, None, None]
        turn = np.eye(3) + np.sin(angle) * link.axis + (1.0 - np.cos(angle)) * link.axis @ link.axis
        position = position + np.einsum(
            "nij,nj->ni", rotation @ (np.eye(3) - turn), link.anchor[None]
        )
        rotation = rotation @ turn
    return position[:, None] + foot.centers @ rotation.swapaxes(1, 2)
