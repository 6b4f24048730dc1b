"""Robot file: the limits that a URDF or MJCF file states for each joint, in SI units.

A URDF states position, velocity and effort in `<limit>`. An MJCF file states the range of each
joint and, for each actuator, the range of its control and of its force; MuJoCo's parser resolves
defaults and includes, and no mesh is read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf, radians
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

from kinemill.errors import BadInput
from kinemill.ingest.file_stat import is_file

LARGEST = 64 << 20  # bytes of a robot file
ROOTS = {"robot": "URDF", "mujoco": "MJCF"}
_TURNING = {"revolute", "continuous"}
_SLIDING = {"prismatic"}
_NO = 0
_AUTO = 2  # mjtLimited

Ends = tuple[float, float]


@dataclass(frozen=True)
class JointLimits:
    """The limits of one joint; None where the file states none.

    Attributes:
        name: name of the joint.
        unit: rad or m.
        position: lowest and highest position, `unit`.
        velocity: lowest and highest velocity, `unit`/s.
        effort: lowest and highest torque or force, N*m or N.
        command: lowest and highest control of its actuator, in the actuator's own unit.
        is_servo: whether the control is a target position, `unit`.
        actuator: name of its actuator.
    """

    name: str
    unit: str
    position: Ends | None = None
    velocity: Ends | None = None
    effort: Ends | None = None
    command: Ends | None = None
    is_servo: bool = False
    actuator: str = ""

    @property
    def effort_unit(self) -> str:
        """Unit of `effort`."""
        return "N*m" if self.unit == "rad" else "N"


@dataclass(frozen=True)
class RobotFile:
    """The joints of a robot file.

    Attributes:
        path: the file.
        joints: limits by name of joint.
    """

    path: Path
    joints: dict[str, JointLimits]


def read_robot(path: Path) -> RobotFile:
    """Read the joint limits of a URDF or MJCF file.

    Raises:
        BadInput: The file is missing, of another kind, damaged, or has no movable joint.
    """
    expected = "a URDF (<robot>) or MJCF (<mujoco>) file"
    if not is_file(path):
        raise BadInput(path, "is not a file", expected=expected)
    if (size := path.stat().st_size) > LARGEST:
        raise BadInput(path, f"{size} bytes", expected=f"at most {LARGEST} bytes")
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise BadInput(path, f"is not XML ({error})", expected=expected) from error
    if root.tag not in ROOTS:
        raise BadInput(path, f"its root is <{root.tag}>", expected=expected)
    joints = _urdf(root, path) if ROOTS[root.tag] == "URDF" else _mjcf(path)
    by_name = {joint.name: joint for joint in joints if joint.name}
    if not by_name:
        raise BadInput(path, "has no named hinge or slide joint", expected="joints with limits")
    return RobotFile(path, by_name)


def _urdf(root: ElementTree.Element, path: Path) -> Iterator[JointLimits]:
    for joint in root.findall("joint"):
        kind = joint.get("type", "")
        if kind not in _TURNING | _SLIDING:
            continue
        name = joint.get("name", "")
        unit = "m" if kind in _SLIDING else "rad"
        limit = joint.find("limit")
        values = {} if limit is None else {key: _number(limit, key, name, path) for key in _KEYS}
        ends = values.get("lower", 0.0), values.get("upper", 0.0)
        yield JointLimits(
            name,
            unit,
            position=ends if kind != "continuous" and ends[0] < ends[1] else None,
            velocity=_symmetric(values.get("velocity", 0.0)),
            effort=_symmetric(values.get("effort", 0.0)),
        )


_KEYS = ("lower", "upper", "velocity", "effort")


def _number(limit: ElementTree.Element, key: str, joint: str, path: Path) -> float:
    text = limit.get(key, "0")
    try:
        return float(text)
    except ValueError as error:
        where = f"{path}: joint {joint!r}: limit {key}"
        raise BadInput(where, f"is {text!r}", expected="a number") from error


def _symmetric(size: float) -> Ends | None:
    """Return the range of a largest magnitude; 0 and inf mean that a file states none."""
    return (-size, size) if 0.0 < size < inf else None


def _mjcf(path: Path) -> list[JointLimits]:
    import mujoco

    library: Any = mujoco
    try:
        spec = library.MjSpec.from_file(str(path))
    except ValueError as error:
        raise BadInput(path, f"is not valid MJCF: {error}", expected="an MJCF model") from error
    units = {library.mjtJoint.mjJNT_HINGE: "rad", library.mjtJoint.mjJNT_SLIDE: "m"}
    joints = {
        joint.name: JointLimits(
            joint.name,
            units[joint.type],
            position=_position(joint, spec),
            effort=_range(joint.actfrcrange, joint.actfrclimited, spec),
        )
        for joint in spec.joints
        if joint.type in units
    }
    for actuator in spec.actuators:
        is_of_joint = actuator.trntype == library.mjtTrn.mjTRN_JOINT
        if is_of_joint and actuator.target in joints:
            joints[actuator.target] = _driven(joints[actuator.target], actuator, spec, library)
    return list(joints.values())


def _position(joint: Any, spec: Any) -> Ends | None:
    ends = _range(joint.range, joint.limited, spec)
    if ends is None or not spec.compiler.degree or "SLIDE" in str(joint.type):
        return ends
    return radians(ends[0]), radians(ends[1])


def _range(ends: Iterable[float], limited: int, spec: Any) -> Ends | None:
    """Return a range if it applies: stated and not switched off; None otherwise.

    An automatic switch applies the range only if the compiler option `autolimits` is on.
    """
    low, high = (float(end) for end in ends)
    is_stated = int(limited) != _NO and (int(limited) != _AUTO or bool(spec.compiler.autolimits))
    return (low, high) if is_stated and low < high else None


def _driven(joint: JointLimits, actuator: Any, spec: Any, library: ModuleType) -> JointLimits:
    """Add the limits of an actuator to those of its joint.

    A position servo has the force kp (ctrl - q) - ..., so the first number of its gain is the
    negative second of its bias; a motor has no bias and the force gain * ctrl. Both are multiplied
    by the gear.
    """
    gear = float(actuator.gear[0])
    gain = float(actuator.gainprm[0])
    command = _range(actuator.ctrlrange, actuator.ctrllimited, spec)
    force = _range(actuator.forcerange, actuator.forcelimited, spec)
    is_fixed = actuator.gaintype == library.mjtGain.mjGAIN_FIXED
    has_bias = actuator.biastype == library.mjtBias.mjBIAS_AFFINE
    is_servo = is_fixed and has_bias and gain > 0.0 and float(actuator.biasprm[1]) == -gain
    is_motor = is_fixed and actuator.biastype == library.mjtBias.mjBIAS_NONE
    by_motor = _scaled(command, gain * gear) if is_motor else None
    efforts = [joint.effort, _scaled(force, gear), by_motor]
    return replace(
        joint,
        effort=narrowest(efforts),
        command=command,
        is_servo=is_servo and gear == 1.0,
        actuator=actuator.name,
    )


def _scaled(ends: Ends | None, scale: float) -> Ends | None:
    if ends is None or scale == 0.0:
        return None
    low, high = sorted((ends[0] * scale, ends[1] * scale))
    return low, high


def narrowest(ranges: list[Ends | None]) -> Ends | None:
    """Return the intersection of the ranges; None if there is none."""
    stated = [ends for ends in ranges if ends]
    if not stated:
        return None
    low = max(ends[0] for ends in stated)
    high = min(ends[1] for ends in stated)
    return (low, high) if low < high else None
