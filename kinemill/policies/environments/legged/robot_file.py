"""Loads the model file of a robot for simulation: any MJCF, or URDF through MuJoCo's compiler.

A legged robot needs one free joint, hinge joints with a position servo each, and level ground. The
loaded model is changed to this form: torque motors become servos, joints are locked, ground and a
free joint are added, and collisions between parts of the robot are disabled. Visual shapes and
textures are removed, because a batch of simulations holds hundreds of copies of the model.

Symbols: J joints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinemill.control.sim import MujocoModel
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.video import Scene
from kinemill.registry import nearest, require_known

library: ModuleType = mujoco  # it has no type stubs
Floats = NDArray[np.float64]
Gains = tuple[float, float]  # N·m/rad and N·m·s/rad

STANCES = ("stance", "home", "stand", "standing")  # names of keyframes, the first one counts
_HULL = 64  # largest number of points of a mesh that touch other shapes
_FULL_FORCE = 0.5  # rad, error at which a servo made of a motor reaches its largest torque


@dataclass(frozen=True)
class RobotOptions:
    """Settings of a task that complete or replace those of the model file.

    Attributes:
        gains: proportional and derivative gain of servos, N·m/rad and N·m·s/rad, by name pattern
            of joints.
        locked: name patterns of joints that do not move.
        feet: names of the bodies that stand on the ground; empty: found from the model.
        stance: joint angles of standing by joint, rad; others are those of the file.
        self_collision: whether parts of the robot collide with each other.
    """

    gains: Mapping[str, Gains] = field(default_factory=dict[str, Gains])
    locked: tuple[str, ...] = ()
    feet: tuple[str, ...] = ()
    stance: Mapping[str, float] = field(default_factory=dict[str, float])
    self_collision: bool = False


@dataclass(frozen=True)
class Servo:
    """A position servo: torque kp (target - angle) - kv rate, within ±limit.

    Attributes:
        kp: N·m/rad.
        kv: N·m·s/rad.
        limit: N·m; None: unlimited.
    """

    kp: float
    kv: float
    limit: float | None


@dataclass(frozen=True)
class Robot:
    """A robot model for simulation.

    Attributes:
        model: a `mujoco.MjModel`.
        trunk: index of the body with the free joint.
        stance: (7 + J,) position of standing: trunk at its place in the file, quaternion, joints.
    """

    model: MujocoModel
    trunk: int
    stance: Floats


def read_robot(path: Path, options: RobotOptions) -> Robot:
    """Read a model file and convert it for simulation.

    Raises:
        BadInput: The file does not exist, cannot be read, is not one robot with hinge joints, or
            has motors with unknown gains; or an option names a part that it does not have.
    """
    where = f"environment.robot: {path}"
    spec = _read(path, where)
    for mesh in spec.meshes:
        mesh.maxhullvert = min(mesh.maxhullvert, _HULL) if mesh.maxhullvert > 0 else _HULL
    trunk = _trunk(spec, where)
    original = _compiled(spec, where)
    stance, attitude = _keyframe(original)
    for element in [*spec.keys, *spec.sensors, *spec.actuators]:
        spec.delete(element)
    _lock(spec, trunk, options.locked)
    joints = _hinges(trunk, where)
    _serve(spec, original, options.gains, where)
    _contacts(spec, trunk, self_collision=options.self_collision)
    _simplify(spec, _compiled(spec, where))
    model = _compiled(spec, where)
    qpos = model.qpos0.copy()
    for joint in range(1, model.njnt):
        low, high = model.jnt_range[joint]
        name = model.joint(joint).name
        qpos[6 + joint] = np.clip(stance.get(name, float(qpos[6 + joint])), low, high)
    for name, angle in options.stance.items():
        require_known(name, joints, "environment.stance", f"{name} is no joint of the robot")
        qpos[6 + model.joint(name).id] = angle
    qpos[3:7] = qpos[3:7] if attitude is None else attitude
    return Robot(model, int(model.jnt_bodyid[0]), qpos)


def read_scene(path: Path, joints: Sequence[str]) -> Scene:
    """Read a model file for pictures of a robot that `read_robot` accepts."""
    where = f"environment.robot: {path}"
    spec = _read(path, where)
    trunk = _trunk(spec, where)
    plane = library.mjtGeom.mjGEOM_PLANE
    if not any(geom.type == plane for geom in spec.geoms):
        spec.worldbody.add_geom(type=plane, size=[0.0, 0.0, 1.0])
    model = _compiled(spec, where)
    rest = model.qpos0.copy()
    angles = _keyframe(model)[0]
    for name, angle in angles.items():
        rest[model.joint(name).qposadr[0]] = angle
    first = int(model.jnt_qposadr[model.body_jntadr[model.body(trunk.name).id]])
    columns = [*range(first, first + 7), *(model.joint(name).qposadr[0] for name in joints)]
    return Scene(model, rest, np.array(columns, np.intp))


def _read(path: Path, where: str) -> MujocoModel:
    if not path.is_file():
        raise BadInput(where, "no such file", expected="an MJCF or URDF file")
    try:
        spec = library.MjSpec.from_file(str(path))
    except ValueError as error:
        problem = f"is not valid MJCF or URDF: {error}"
        raise BadInput(where, problem, expected="a model that MuJoCo reads") from error
    spec.compiler.fusestatic = False  # else the root of a URDF becomes a part of the world
    return spec


def _compiled(spec: MujocoModel, where: str) -> MujocoModel:
    try:
        return spec.compile()
    except ValueError as error:
        problem = f"cannot be compiled: {error}"
        raise BadInput(where, problem, expected="a model that MuJoCo compiles") from error


def _trunk(spec: MujocoModel, where: str) -> MujocoModel:
    """Return the body with the free joint; one is added to a robot that has none."""
    free = [joint for joint in spec.joints if joint.type == library.mjtJoint.mjJNT_FREE]
    if len(free) > 1:
        names = ", ".join(joint.parent.name for joint in free)
        raise BadInput(where, f"has free joints in {names}", expected="one robot")
    if free:
        return free[0].parent
    roots = [body for body in spec.worldbody.bodies if body.find_all("joint")]
    if len(roots) != 1:
        expected = "one robot: a tree of bodies with hinge joints"
        raise BadInput(
            where, f"has {len(roots)} bodies with joints on the world", expected=expected
        )
    roots[0].add_freejoint()
    return roots[0]


def _keyframe(model: MujocoModel) -> tuple[dict[str, float], Floats | None]:
    """Return joint angles of standing by joint, and the trunk's quaternion (4,), of a keyframe."""
    kind = library.mjtObj.mjOBJ_KEY
    keys = [library.mj_name2id(model, kind, name) for name in STANCES]
    key = next((key for key in keys if key >= 0), None)
    angles = dict[str, float]()
    attitude = None
    if key is None:
        return angles, attitude
    for joint in range(model.njnt):
        first = model.jnt_qposadr[joint]
        if model.jnt_type[joint] == library.mjtJoint.mjJNT_FREE:
            attitude = model.key_qpos[key, first + 3 : first + 7].copy()
        else:
            angles[model.joint(joint).name] = float(model.key_qpos[key, first])
    return angles, attitude


def _lock(spec: MujocoModel, trunk: MujocoModel, patterns: tuple[str, ...]) -> None:
    joints = [joint for joint in trunk.find_all("joint") if joint.name]
    names = [joint.name for joint in joints]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            problem = f"{pattern} is no joint of the robot"
            fix = nearest(pattern, names)
            raise BadInput("environment.locked", problem, fix=fix)
    for joint, name in zip(joints, names, strict=True):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            spec.delete(joint)


def _hinges(trunk: MujocoModel, where: str) -> list[str]:
    """Return the names of the joints, all of which are hinges."""
    free = library.mjtJoint.mjJNT_FREE
    hinge = library.mjtJoint.mjJNT_HINGE
    joints = [joint for joint in trunk.find_all("joint") if joint.type != free]
    unsupported = [joint.name or "a joint" for joint in joints if joint.type != hinge]
    if unsupported or not joints:
        problem = f"{', '.join(unsupported)} is not a hinge" if unsupported else "has no joints"
        fix = f"lock them: environment.locked: [{', '.join(unsupported)}]" if unsupported else None
        raise BadInput(where, problem, expected="hinge joints after the free joint", fix=fix)
    if not all(joint.name for joint in joints):
        raise BadInput(where, "has joints without a name", expected="a name for each joint")
    return [joint.name for joint in joints]


def _serve(
    spec: MujocoModel,
    original: MujocoModel,
    gains: Mapping[str, Gains],
    where: str,
) -> None:
    """Give each hinge a position servo, in the order of the joints."""
    free = library.mjtJoint.mjJNT_FREE
    used_patterns = set[str]()
    unknown = list[str]()
    joints = [element for element in spec.joints if element.type != free]
    for joint in joints:
        pattern = next((key for key in gains if fnmatchcase(joint.name, key)), "")
        used_patterns.add(pattern)
        servo = _servo(original, joint.name, gains.get(pattern))
        if gains.get(pattern) or not _has_position_servo(original, joint.name):
            # Euler's method is implicit in the damping of joints, not in that of actuators: with
            # damping that becomes the servo's it diverges at kv dt > 2 I.
            spec.option.integrator = library.mjtIntegrator.mjINT_IMPLICITFAST
        if servo is None:
            unknown.append(joint.name)
        else:
            _add_servo(spec, original, joint, servo)
    if unknown:
        names = ", ".join(unknown)
        fix = f"state them: environment.gains: {{{unknown[0]}: [KP, KV]}}, or environment.locked"
        raise BadInput(
            where, f"has no actuator for {names}", expected="one for each joint", fix=fix
        )
    for pattern in gains:
        if pattern not in used_patterns:
            problem = f"{pattern} is no joint of the robot that moves"
            fix = nearest(pattern, [element.name for element in joints])
            raise BadInput("environment.gains", problem, fix=fix)


def _add_servo(spec: MujocoModel, original: MujocoModel, joint: Any, servo: Servo) -> None:
    index = original.joint(joint.name).id
    if original.jnt_stiffness[index] > 0.0:  # now gains of the servo
        joint.stiffness, joint.damping = np.zeros(3), np.zeros(3)
    ends = (-np.pi, np.pi)
    if original.jnt_limited[index]:
        low, high = original.jnt_range[index]
        ends = (float(low), float(high))
    joint.range = np.degrees(ends) if spec.compiler.degree else ends
    joint.limited = True
    added = spec.add_actuator(name=joint.name, target=joint.name)
    added.trntype = library.mjtTrn.mjTRN_JOINT
    added.gaintype = library.mjtGain.mjGAIN_FIXED
    added.biastype = library.mjtBias.mjBIAS_AFFINE
    added.gainprm[0], added.biasprm[1], added.biasprm[2] = servo.kp, -servo.kp, -servo.kv
    added.ctrllimited = True
    added.ctrlrange = ends
    added.forcelimited = servo.limit is not None
    if servo.limit is not None:
        added.forcerange = (-servo.limit, servo.limit)


def _servo(model: MujocoModel, joint: str, gains: Gains | None) -> Servo | None:
    """Return the servo of a joint: from `gains`, from the file, or made of its motor; else None."""
    index = model.joint(joint).id
    actuator = _actuator(model, index)
    if actuator is None:
        return Servo(*gains, None) if gains else None
    gear = abs(float(model.actuator_gear[actuator, 0]))
    limit = _largest_torque(model, actuator, index, gear)
    if gains:
        return Servo(*gains, limit)
    gain = model.actuator_gainprm[actuator]
    bias = model.actuator_biasprm[actuator]
    if bias[1] < 0.0:
        return Servo(gear * gear * gain[0], -gear * gear * bias[2], limit)
    if np.any(bias != 0.0) or limit is None:
        return None
    if model.jnt_stiffness[index] > 0.0:  # how files for Isaac Gym state the gains of a motor
        dof = model.jnt_dofadr[index]
        return Servo(float(model.jnt_stiffness[index]), float(model.dof_damping[dof]), limit)
    kp = limit / _FULL_FORCE
    return Servo(kp, 2.0 * np.sqrt(kp * _inertia(model, index)), limit)


def _actuator(model: MujocoModel, joint: int) -> int | None:
    """Return the index of the first actuator of a joint."""
    is_own = model.actuator_trntype == int(library.mjtTrn.mjTRN_JOINT)
    actuators = np.flatnonzero(is_own & (model.actuator_trnid[:, 0] == joint))
    return int(actuators[0]) if len(actuators) else None


def _has_position_servo(model: MujocoModel, joint: str) -> bool:
    actuator = _actuator(model, model.joint(joint).id)
    return actuator is not None and bool(model.actuator_biasprm[actuator, 1] < 0.0)


def servo_of(model: MujocoModel, index: int) -> Servo:
    """Return an actuator of the model of a `Robot`."""
    limited = model.actuator_forcelimited[index]
    ends = model.actuator_forcerange[index]
    kp = float(model.actuator_gainprm[index, 0])
    kv = -float(model.actuator_biasprm[index, 2])
    return Servo(kp, kv, float(ends[1]) if limited else None)


def _largest_torque(model: MujocoModel, actuator: int, joint: int, gear: float) -> float | None:
    """Return the largest torque of an actuator at its joint, N·m; None: unlimited."""
    limits = list[float]()
    if model.actuator_forcelimited[actuator]:
        limits.append(gear * float(np.abs(model.actuator_forcerange[actuator]).max()))
    is_motor = not np.any(model.actuator_biasprm[actuator])
    if is_motor and model.actuator_ctrllimited[actuator]:
        largest = float(np.abs(model.actuator_ctrlrange[actuator]).max())
        limits.append(gear * float(model.actuator_gainprm[actuator, 0]) * largest)
    if model.jnt_actfrclimited[joint]:
        limits.append(float(np.abs(model.jnt_actfrcrange[joint]).max()))
    return min(limits, default=None)


def _inertia(model: MujocoModel, joint: int) -> float:
    """Return the inertia about a joint at the file's own position, kg·m²."""
    data = library.MjData(model)
    dof = int(model.jnt_dofadr[joint])
    library.mj_forward(model, data)
    unit = np.zeros((1, model.nv))
    response = np.zeros((1, model.nv))
    unit[0, dof] = 1.0
    library.mj_mulM(model, data, response[0], unit[0])
    return float(response[0, dof])


def _contacts(spec: MujocoModel, trunk: MujocoModel, *, self_collision: bool) -> None:
    """Enable collisions of the robot with the ground, and add ground if there is none."""
    plane = library.mjtGeom.mjGEOM_PLANE
    of_robot = {element.id for element in trunk.find_all("geom")}
    has_ground = False
    for geom in spec.geoms:
        if not geom.contype and not geom.conaffinity:
            continue
        if geom.id not in of_robot:
            geom.contype = 1
            geom.conaffinity = 1
            has_ground = has_ground or geom.type == plane
        elif not self_collision:
            geom.contype = 0
            geom.conaffinity = 1
    if not has_ground:
        spec.worldbody.add_geom(type=plane, size=[0.0, 0.0, 1.0], contype=1, conaffinity=1)


def _simplify(spec: MujocoModel, model: MujocoModel) -> None:
    """Delete shapes without contacts and textures, and replace meshes by their convex hulls."""
    for body in spec.bodies:
        if model.body_mass[body.id] > 0.0:
            body.explicitinertial = True
            body.mass = model.body_mass[body.id]
            body.ipos = model.body_ipos[body.id]
            body.iquat = model.body_iquat[body.id]
            body.inertia, body.fullinertia = model.body_inertia[body.id], np.full(6, np.nan)
    spec.compiler.inertiafromgeom = library.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    original_meshes = list(spec.meshes)
    meshes = dict[int, str]()
    for geom in list(spec.geoms):
        index = geom.id
        if not geom.contype and not geom.conaffinity:
            spec.delete(geom)
        elif geom.type == library.mjtGeom.mjGEOM_MESH:
            mesh = int(model.geom_dataid[index])
            if mesh not in meshes:
                meshes[mesh] = f"hull_{mesh}"
                spec.add_mesh(name=meshes[mesh], uservert=_hull(model, mesh).ravel())
            geom.meshname = meshes[mesh]
            geom.pos = model.geom_pos[index]
            geom.quat = model.geom_quat[index]
        geom.material = ""
    for element in [*original_meshes, *spec.materials, *spec.textures]:
        spec.delete(element)


def _hull(model: MujocoModel, mesh: int) -> Floats:
    """Return the vertices of a mesh's convex hull, (N, 3) m. MuJoCo collides hulls only."""
    first = int(model.mesh_vertadr[mesh])
    graph = int(model.mesh_graphadr[mesh])
    count = int(model.mesh_graph[graph])
    rows = model.mesh_graph[graph + 2 + count : graph + 2 + 2 * count]
    return model.mesh_vert[first + rows].astype(float)
