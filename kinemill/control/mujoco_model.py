"""A MuJoCo model from an MJCF or URDF file, and the named quantities of it.

| name | quantity | unit |
|---|---|---|
| JOINT, JOINT_velocity | hinge or slide | rad or m, rad/s or m/s |
| JOINT_x, _y, _z, _qw, _qx, _qy, _qz | free joint; a ball has the quaternion alone | m, 1 |
| JOINT_velocity_x, _y, _z | velocity of a free joint in the world | m/s |
| JOINT_rate_x, _y, _z | rate of a free joint or ball in its own frame | rad/s |
| sensor_NAME; sensor_NAME_0, ... | values of a sensor | that of the sensor |
| body_NAME_x, _y, _z, _up | position of a body; z component of its z axis | m, 1 |
| site_NAME_x, _y, _z, _up | the same of a site | m, 1 |
| time | since the start of the episode | s |
| ACTUATOR | control; ACTUATOR_command where another quantity has that name | its own |

Characters that a formula cannot hold become `_`; a joint without a name is `joint_0`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.control.sim import MujocoModel, mujoco
from kinemill.errors import BadInput
from kinemill.registry import require_known

_FRAME = re.compile(r"(body|site)_(\w+)_(x|y|z|up)")
_XYZ = ("x", "y", "z")
_QUATERNION = ("qw", "qx", "qy", "qz")
_ADDED = "kinemill/"  # prefix of the names of sensors and motors that are added

Limits = tuple[float, float]


@dataclass(frozen=True)
class Source:
    """Where a quantity is in a row: physics state, then sensor values, then controls."""

    column: int
    unit: str = "1"


@dataclass(frozen=True)
class RobotModel:
    """A compiled model with names.

    Attributes:
        model: a `mujoco.MjModel`.
        quantities: all that can be named.
        actuators: names of the actuators, in order.
        joints: names of positions and velocities, in the order of the physics state.
    """

    model: MujocoModel
    quantities: Mapping[str, Source]
    actuators: tuple[str, ...]
    joints: tuple[str, ...]


def model_sources(path: Path, where: str) -> dict[str, Path]:
    """Return a model file and those that it includes or refers to, by their path from its folder.

    Raises:
        BadInput: The file does not exist, or one of the others is not in its folder or below.
    """
    if not path.is_file():
        expected = "an MJCF or URDF file, relative to the task file"
        raise BadInput(where, "no such file", expected=expected)
    files = _meshes_of_urdf(path) if _is_urdf(path) else mujoco().mju_getXMLDependencies(str(path))
    folder = path.resolve().parent
    sources = {path.name: path.resolve()}
    for file in map(Path, files):
        resolved = file.resolve()
        if not resolved.is_file() or not resolved.is_relative_to(folder):
            fix = "put the files of a robot into the folder of its model, or below it"
            raise BadInput(where, f"needs {file}, which is not in its folder", fix=fix)
        sources[resolved.relative_to(folder).as_posix()] = resolved
    return sources


def _is_urdf(path: Path) -> bool:
    return re.search(r"<robot[\s>]", path.read_text()) is not None


def _meshes_of_urdf(path: Path) -> list[Path]:
    """Return the meshes of a URDF: MuJoCo looks for them in its folder, without theirs."""
    names = re.findall(r'filename\s*=\s*"([^"]+)"', path.read_text())
    files = [path.parent / Path(name).name for name in dict.fromkeys(names)]
    return [file for file in files if file.is_file()]


def load_model(
    path: Path, motors: Mapping[str, Limits], used: Iterable[str], where: str | None = None
) -> RobotModel:
    """Compile a model.

    Args:
        path: MJCF or URDF.
        motors: joint: lowest and highest torque or force of a motor to add.
        used: names of quantities that are used; those of bodies and sites become sensors.
        where: setting in errors; default: `environment.model`.

    Raises:
        BadInput: The file is not usable, or a name is unknown.
    """
    where = where or f"environment.model: {path}"
    model_sources(path, where)
    try:
        spec = mujoco().MjSpec.from_file(str(path))
        _add_motors(spec, motors)
        frames = _add_frames(spec, used)
        model = spec.compile()
    except ValueError as error:
        expected = "a model that MuJoCo compiles"
        raise BadInput(where, f"is not usable: {error}", expected=expected) from error
    units = _joints(model)
    sensors = _sensors(model)
    size = int(mujoco().mj_stateSize(model, mujoco().mjtState.mjSTATE_FULLPHYSICS))
    # A full physics state is time, positions, velocities, then activations.
    quantities = {name: Source(1 + k, unit) for k, (name, unit) in enumerate(units.items())}
    quantities["time"] = Source(0, "s")
    sensor_columns = {name: column for name, column in sensors.items() if _ADDED not in name}
    quantities |= {
        _identifier(name): Source(size + column) for name, column in sensor_columns.items()
    }
    quantities |= {
        name: Source(size + sensors[f"sensor_{sensor}_{axis}"], "m" if is_length else "1")
        for name, (sensor, axis, is_length) in frames.items()
    }
    actuators = _actuators(model, quantities)
    controls = size + model.nsensordata
    quantities |= {
        name: Source(controls + k, _actuator_unit(model, k)) for k, name in enumerate(actuators)
    }
    return RobotModel(model, quantities, actuators, tuple(units))


def quantity_names(model: RobotModel) -> list[str]:
    """Return the names of all quantities, frames of bodies and sites included."""
    frames = [
        f"{kind}_{_identifier(element.name)}_{axis}"
        for kind, count, of in (
            ("body", model.model.nbody, model.model.body),
            ("site", model.model.nsite, model.model.site),
        )
        for element in map(of, range(count))
        for axis in (*_XYZ, "up")
        if element.name
    ]
    return list(dict.fromkeys([*model.quantities, *frames]))


def command_range(model: MujocoModel, index: int) -> Limits | None:
    """Return the lowest and highest command of an actuator; None: unlimited.

    A position servo has the force kp (command - length) - ..., so its gain is the negative second
    number of its bias. Without `ctrlrange` its commands are the lengths that its joint can reach,
    as with `inheritrange="1"` in MJCF.
    """
    low, high = model.actuator_ctrlrange[index]
    if not model.actuator_ctrllimited[index]:
        gain = model.actuator_gainprm[index, 0]
        joint = model.actuator_trnid[index, 0]
        is_of_joint = model.actuator_trntype[index] == mujoco().mjtTrn.mjTRN_JOINT
        has_bias = model.actuator_biastype[index] == mujoco().mjtBias.mjBIAS_AFFINE
        is_servo = has_bias and 0.0 < gain == -model.actuator_biasprm[index, 1]
        if not (is_of_joint and is_servo and model.jnt_limited[joint]):
            return None
        # A negative gear swaps the ends.
        low, high = sorted(model.jnt_range[joint] * model.actuator_gear[index, 0])
    return float(low), float(high)


def steps_in(dt: float, model: MujocoModel, where: str) -> int:
    """Return the number of physics steps in a time step `dt`, s.

    Raises:
        BadInput: They do not fit.
    """
    step = float(model.opt.timestep)
    steps = round(dt / step)
    if steps < 1 or abs(steps * step - dt) > 1e-9:
        fix = f"set dt to a multiple of {step:g} s, such as {4 * step:g}"
        raise BadInput(where, f"has steps of {step:g} s, dt is {dt:g} s", fix=fix)
    return steps


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _add_motors(spec: MujocoModel, motors: Mapping[str, Limits]) -> None:
    names = [existing.name for existing in spec.joints]
    for joint, ends in motors.items():
        require_known(joint, names, f"environment.motors: {joint}", "is no joint of the model")
        motor = spec.add_actuator(name=f"{_ADDED}{joint}", target=joint)
        motor.trntype = mujoco().mjtTrn.mjTRN_JOINT
        motor.ctrllimited, motor.ctrlrange = True, list(ends)


def _add_frames(spec: MujocoModel, used: Iterable[str]) -> dict[str, tuple[str, int, bool]]:
    """Add sensors of bodies and sites.

    It returns for each used name its sensor, the index in it, and whether it is a length.
    """
    objects = mujoco().mjtObj
    kinds = {
        kind: (code, {_identifier(part.name): part.name for part in parts})
        for kind, code, parts in (
            ("body", objects.mjOBJ_XBODY, spec.bodies),
            ("site", objects.mjOBJ_SITE, spec.sites),
        )
    }
    frames = dict[str, tuple[str, int, bool]]()
    added = set[str]()
    for name in used:
        match = _FRAME.fullmatch(name)
        if match is None or match[2] not in kinds[match[1]][1]:
            continue
        (object_type, names), axis = kinds[match[1]], match[3]
        types = mujoco().mjtSensor
        kind = types.mjSENS_FRAMEZAXIS if axis == "up" else types.mjSENS_FRAMEPOS
        sensor = f"{_ADDED}{match[1]}/{match[2]}/{'up' if axis == 'up' else 'position'}"
        if sensor not in added:
            target = {"objtype": object_type, "objname": names[match[2]]}
            spec.add_sensor(name=sensor, type=kind, **target)
            added.add(sensor)
        is_length = axis != "up"
        frames[name] = sensor, _XYZ.index(axis) if is_length else 2, is_length
    return frames


def _joints(model: MujocoModel) -> dict[str, str]:
    """Return the units of all positions, then of all velocities."""
    kinds = mujoco().mjtJoint
    positions = dict[str, str]()
    velocities = dict[str, str]()
    for index in range(model.njnt):
        kind = int(model.jnt_type[index])
        name = _identifier(model.joint(index).name) or f"joint_{index}"
        if kind in (int(kinds.mjJNT_HINGE), int(kinds.mjJNT_SLIDE)):
            unit = "rad" if kind == int(kinds.mjJNT_HINGE) else "m"
            positions[name], velocities[f"{name}_velocity"] = unit, f"{unit}/s"
            continue
        if kind == int(kinds.mjJNT_FREE):
            positions |= {f"{name}_{axis}": "m" for axis in _XYZ}
            velocities |= {f"{name}_velocity_{axis}": "m/s" for axis in _XYZ}
        positions |= {f"{name}_{part}": "1" for part in _QUATERNION}
        velocities |= {f"{name}_rate_{axis}": "rad/s" for axis in _XYZ}
    return positions | velocities


def _sensors(model: MujocoModel) -> dict[str, int]:
    """Return the column of each sensor value among the sensor values."""
    columns = dict[str, int]()
    for index in range(model.nsensor):
        sensor = model.sensor(index)
        start = int(model.sensor_adr[index])
        name = f"sensor_{sensor.name or index}"
        count = int(model.sensor_dim[index])
        numbered = {f"{name}_{k}": start + k for k in range(count)}
        columns |= numbered if count > 1 else {name: start}
    return columns


def _actuators(model: MujocoModel, quantities: Mapping[str, Source]) -> tuple[str, ...]:
    names = list[str]()
    for index in range(model.nu):
        raw_name = model.actuator(index).name.removeprefix(_ADDED)
        name = _identifier(raw_name) or f"actuator_{index}"
        names.append(f"{name}_command" if name in quantities or name in names else name)
    return tuple(names)


def _actuator_unit(model: MujocoModel, index: int) -> str:
    """Return the unit of a motor or position servo of a joint with a gear of 1; else "1"."""
    if int(model.actuator_trntype[index]) != int(mujoco().mjtTrn.mjTRN_JOINT):
        return "1"
    kind = int(model.jnt_type[model.actuator_trnid[index, 0]])
    is_hinge = kind == int(mujoco().mjtJoint.mjJNT_HINGE)
    gain = model.actuator_gainprm[index, 0]
    bias = model.actuator_biasprm[index]
    if gain == model.actuator_gear[index, 0] == 1.0 and not bias.any():
        return "N*m" if is_hinge else "N"
    is_servo = bias[1] == -gain and gain > 0.0
    return ("rad" if is_hinge else "m") if is_servo else "1"
