"""The body of a legged robot, read from one MJCF file.

The file describes a trunk with a free joint, hinge joints with one position servo each, spheres
under the feet and a keyframe `stance`. Symbols: J joints, F feet, K spheres of a foot.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.sim import mujoco

Floats = NDArray[np.float64]

STANCE = "stance"  # name of the keyframe
_TRUNK = 7  # numbers of the free joint: position and quaternion


@dataclass(frozen=True)
class _Link:
    """One body between trunk and foot: its place in its parent, and its hinge joint, if any."""

    position: Floats  # (3,) m
    rotation: Floats  # (3, 3)
    joint: int | None
    anchor: Floats  # (3,) m
    axis: Floats  # (3, 3), the cross-product matrix of the unit axis
    reference: float  # rad


@dataclass(frozen=True)
class Foot:
    """The links from trunk to foot, and the spheres that the foot stands on.

    Attributes:
        links: from the trunk outward.
        centers: (K, 3) m in the frame of the foot.
        radii: (K,) m.
    """

    links: tuple[_Link, ...]
    centers: Floats
    radii: Floats


@dataclass(frozen=True)
class Body:
    """A robot body.

    Attributes:
        mjcf: the model as XML.
        joints: names, in the order of the servos.
        low: (J,) lower joint limits, rad.
        high: (J,) upper joint limits, rad.
        stance: (J,) joint angles of standing, rad.
        attitude: (4,) quaternion w, x, y, z of the standing trunk.
        level: (3, 3) rotation of the standing trunk to the world.
        step: time step of the physics, s.
        feet: one entry per foot.
    """

    mjcf: str
    joints: tuple[str, ...]
    low: Floats
    high: Floats
    stance: Floats
    attitude: Floats
    level: Floats
    step: float
    feet: tuple[Foot, ...]

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
        """Return the sphere centers of each foot in the trunk frame: (..., J) -> (..., F, K, 3)."""
        angles = np.asarray(joints, float)
        flat = angles.reshape(-1, len(self.joints))
        feet = [_sphere_centers(foot, flat) for foot in self.feet]
        return np.stack(feet, axis=1).reshape(*angles.shape[:-1], *np.shape(feet)[:1], -1, 3)

    def to_level(self, points: Floats) -> Floats:
        """Rotate points (..., 3) from the trunk frame, tilted as in stance, to level ground."""
        return points @ self.level.T

    def height(self, joints: Floats) -> Floats:
        """Return the trunk height with the lowest foot on the ground: (..., J) -> (...), m."""
        radii = np.array([foot.radii for foot in self.feet])
        return (radii - self.to_level(self.soles(joints))[..., 2]).max(axis=(-1, -2))


def columns(joints: int) -> tuple[slice, slice, slice]:
    """Return where joint angles, joint velocities and the command are in an observation."""
    end = 7 + 2 * joints
    return slice(7, 7 + joints), slice(7 + joints, end), slice(end, end + 3)


def load_body(path: Path) -> Body:
    """Read a body.

    Raises:
        BadInput: The file does not exist, is no MJCF, or lacks one of the required parts.
    """
    where = f"environment.body: {path}"
    if not path.is_file():
        raise BadInput(where, "no such file", expected="an MJCF file, relative to the task file")
    return body_of(path.read_text(), where)


def body_of(mjcf: str, where: str) -> Body:
    """Parse a body from MJCF text; `where` names it in errors.

    Raises:
        BadInput: It is not valid MJCF, or lacks what a legged robot needs.
    """
    library = mujoco()
    try:
        model = library.MjModel.from_xml_string(mjcf)
    except ValueError as error:
        raise BadInput(where, f"is not valid MJCF: {error}", expected="an MJCF model") from error
    _check(library, model, where)
    hinges = range(1, model.njnt)
    qpos = np.array(model.key_qpos[_key(library, model)])
    level = np.zeros(9)
    library.mju_quat2Mat(level, qpos[3:_TRUNK])
    return Body(
        mjcf=mjcf,
        joints=tuple(model.joint(joint).name for joint in hinges),
        low=model.jnt_range[1:, 0].copy(),
        high=model.jnt_range[1:, 1].copy(),
        stance=qpos[_TRUNK:],
        attitude=qpos[3:_TRUNK],
        level=level.reshape(3, 3),
        step=float(model.opt.timestep),
        feet=tuple(_foot(library, model, body) for body in _foot_bodies(model)),
    )


def _check(library: ModuleType, model: Any, where: str) -> None:
    kinds, hinge = list(model.jnt_type), int(library.mjtJoint.mjJNT_HINGE)
    if not kinds or kinds[0] != int(library.mjtJoint.mjJNT_FREE) or {*kinds[1:]} != {hinge}:
        expected = "a trunk with a free joint first, then hinge joints only"
        raise BadInput(where, "has other joints", expected=expected)
    if list(model.actuator_trnid[:, 0]) != list(range(1, model.njnt)):
        expected = "one position servo for each hinge joint, in the order of the joints"
        raise BadInput(
            where, f"has {model.nu} servos for {model.njnt - 1} joints", expected=expected
        )
    if _key(library, model) < 0:
        expected = f'<key name="{STANCE}" qpos="..."/> with the angles of standing'
        raise BadInput(where, f"has no keyframe {STANCE!r}", expected=expected)
    counts = [
        int((_spheres(model) & (model.geom_bodyid == body)).sum()) for body in _foot_bodies(model)
    ]
    if not counts or len({*counts}) > 1:
        expected = "feet that each stand on the same number of colliding spheres"
        raise BadInput(where, f"has feet with {counts or 'no'} spheres", expected=expected)


def _key(library: ModuleType, model: Any) -> int:
    return int(library.mj_name2id(model, library.mjtObj.mjOBJ_KEY, STANCE))


def _spheres(model: Any) -> NDArray[np.bool_]:
    """Return which geoms are colliding spheres of a body, (geoms,)."""
    sphere = 2  # mjGEOM_SPHERE
    return (model.geom_type == sphere) & (model.geom_contype > 0) & (model.geom_bodyid > 0)


def _foot_bodies(model: Any) -> list[int]:
    return sorted({int(body) for body in model.geom_bodyid[_spheres(model)]})


def _foot(library: ModuleType, model: Any, body: int) -> Foot:
    """Return the chain of links from the trunk (body 1) to a foot."""
    geoms = np.flatnonzero(_spheres(model) & (model.geom_bodyid == body))
    links = list[_Link]()
    while body > 1:
        links.insert(0, _link(library, model, body))
        body = int(model.body_parentid[body])
    return Foot(tuple(links), model.geom_pos[geoms].copy(), model.geom_size[geoms, 0].copy())


def _link(library: ModuleType, model: Any, body: int) -> _Link:
    rotation, joint = np.zeros(9), int(model.body_jntadr[body])
    library.mju_quat2Mat(rotation, model.body_quat[body])
    x, y, z = model.jnt_axis[joint] if joint >= 0 else (0.0, 0.0, 0.0)
    return _Link(
        position=model.body_pos[body].copy(),
        rotation=rotation.reshape(3, 3),
        joint=joint - 1 if joint >= 0 else None,
        anchor=model.jnt_pos[joint].copy(),
        axis=np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]),
        reference=float(model.qpos0[model.jnt_qposadr[joint]]) if joint >= 0 else 0.0,
    )


def _sphere_centers(foot: Foot, joints: Floats) -> Floats:
    """Return sphere centers in the trunk frame: (N, J) -> (N, K, 3)."""
    rotation, position = np.eye(3)[None], np.zeros((len(joints), 3))
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
