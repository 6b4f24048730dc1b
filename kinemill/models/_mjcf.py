"""A robot's tree of bodies from its MuJoCo model, as plain numbers that go with the settings.

Everything that equations of motion need and nothing else: meshes, contacts and sensors stay behind.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from kinemill.task import Settings

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]  # w first


class TreeJoint(Settings):
    """A hinge or a slide, as its body carries it."""

    name: str
    kind: Literal["hinge", "slide"]
    axis: Vector  # in the body's frame
    anchor: Vector  # m, in the body's frame
    zero: float = 0.0  # rad or m: what the coordinate reads where the body stands as drawn
    armature: float = 0.0  # kg·m² or kg, of the drive's own rotor
    stiffness: float = 0.0  # N·m/rad or N/m
    relaxed: float = 0.0  # rad or m: where the spring pulls to
    viscous: float = 0.0  # N·m·s/rad or N·s/m
    coulomb: float = 0.0  # N·m or N
    gear: float = 1.0  # N·m or N for one unit of its motor


class TreeBody(Settings):
    """A rigid body; the ones it hangs from come before it."""

    name: str
    parent: int = Field(ge=-1, description="number of the body it hangs from; -1 is the world")
    place: Vector  # m, in the parent's frame, joints at their zero
    turn: Quaternion
    mass: float = Field(ge=0.0)  # kg
    center: Vector  # m, of mass, in the body's frame
    principal: Quaternion  # of inertia, in the body's frame
    inertia: Vector  # kg·m², about the principal axes
    joints: tuple[TreeJoint, ...] = ()


class Bodies(Settings):
    """A tree of bodies in a field of gravity."""

    gravity: Vector  # m/s²
    bodies: tuple[TreeBody, ...]

    @property
    def joints(self) -> list[TreeJoint]:
        """All joints, each after those that it hangs from."""
        return [joint for body in self.bodies for joint in body.joints]


def read_bodies(value: Any, info: ValidationInfo) -> Any:
    """Read a MuJoCo model: its text, or its file, named relative to the task's."""
    if not isinstance(value, str):
        return value
    import mujoco

    module: Any = mujoco
    try:
        if value.lstrip().startswith("<"):
            return bodies_of(module.MjModel.from_xml_string(value))
        path = (info.context or {}).get("folder", Path()) / Path(value).expanduser()
        if not path.is_file():
            message = f"no file {path}; expected a MuJoCo model, relative to the task file"
            raise ValueError(message)
        return bodies_of(module.MjModel.from_xml_path(str(path)))
    except ValueError as error:  # what MuJoCo raises, too
        message = str(error).strip() or "is no MuJoCo model"
        raise ValueError(message) from error


Mjcf = Annotated[Bodies | None, BeforeValidator(read_bodies)]


def bodies_of(model: Any) -> Bodies:
    """Return the bodies and joints of a compiled `mujoco.MjModel`.

    Raises:
        ValueError: it has joints that are neither hinges nor slides, or loops.
    """
    if model.neq or model.ntendon:
        message = f"{model.neq} equality constraints, {model.ntendon} tendons; expected a tree"
        raise ValueError(message)
    gears = {
        int(model.actuator_trnid[k, 0]): float(model.actuator_gear[k, 0])
        for k in range(model.nu)
        if int(model.actuator_trntype[k]) == 0  # a joint
    }
    found = list[TreeBody]()
    for number in range(1, model.nbody):
        body = model.body(number)
        first, count = int(model.body_jntadr[number]), int(model.body_jntnum[number])
        found.append(
            TreeBody(
                name=body.name or f"body {number}",
                parent=int(model.body_parentid[number]) - 1,
                place=_numbers(body.pos),
                turn=_numbers(body.quat),
                mass=float(body.mass[0]),
                center=_numbers(body.ipos),
                principal=_numbers(body.iquat),
                inertia=_numbers(body.inertia),
                joints=tuple(_joint(model, first + k, gears) for k in range(count)),
            )
        )
    return Bodies(gravity=_numbers(model.opt.gravity), bodies=tuple(found))


def _joint(model: Any, number: int, gears: dict[int, float]) -> TreeJoint:
    kinds = {2: "slide", 3: "hinge"}
    joint, kind = model.joint(number), int(model.jnt_type[number])
    name = joint.name or f"joint {number}"
    if kind not in kinds:
        message = f"joint {name!r} is a {('free', 'ball')[kind]} joint; expected hinges and slides"
        raise ValueError(message)
    return TreeJoint.model_validate(
        {
            "name": name,
            "kind": kinds[kind],
            "axis": _numbers(joint.axis),
            "anchor": _numbers(joint.pos),
            "zero": float(joint.qpos0[0]),
            "armature": float(joint.armature[0]),
            "stiffness": float(joint.stiffness[0]),
            "relaxed": float(joint.qpos_spring[0]),
            "viscous": float(joint.damping[0]),
            "coulomb": float(joint.frictionloss[0]),
            "gear": gears.get(number, 1.0),
        }
    )


def _numbers(values: Any) -> Any:
    return tuple(float(value) for value in values)
