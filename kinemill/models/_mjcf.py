"""A robot's tree of bodies from its MuJoCo model, as numbers that are part of the settings.

It holds what equations of motion need; meshes, contacts and sensors are left out.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, ValidationInfo

from kinemill.task import Settings
from kinemill.task.bounds import Quantity, QuantityOrZero

Vector = tuple[Quantity, Quantity, Quantity]
Quaternion = tuple[Quantity, Quantity, Quantity, Quantity]  # w first


class TreeJoint(Settings):
    """A hinge or a slide of a body."""

    name: str = Field(description="name of the joint")
    kind: Literal["hinge", "slide"] = Field(
        description="hinge: rotation about the axis; slide: translation along it"
    )
    axis: Vector = Field(description="direction of the axis in the body's frame")
    anchor: Vector = Field(description="a point of the axis in the body's frame, m")
    reference: Quantity = Field(
        default=0.0, description="coordinate of the joint in the pose of the model file, rad or m"
    )
    armature: Quantity = Field(default=0.0, description="inertia of the drive's rotor, kg·m² or kg")
    stiffness: Quantity = Field(default=0.0, description="stiffness of the spring, N·m/rad or N/m")
    spring_reference: Quantity = Field(
        default=0.0, description="rest position of the spring, rad or m"
    )
    viscous: Quantity = Field(default=0.0, description="viscous friction, N·m·s/rad or N·s/m")
    coulomb: Quantity = Field(default=0.0, description="Coulomb friction, N·m or N")
    gear: Quantity = Field(
        default=1.0, description="torque or force for one unit of the motor, N·m or N"
    )


class TreeBody(Settings):
    """A rigid body; its parent precedes it."""

    name: str = Field(description="name of the body")
    parent: int = Field(ge=-1, le=65_536, description="index of the parent; -1 is the world")
    position: Vector = Field(
        description="origin in the parent's frame with all joints at their reference, m"
    )
    rotation: Quaternion = Field(
        description="rotation in the parent's frame, as a quaternion (w, x, y, z)"
    )
    mass: QuantityOrZero = Field(description="mass, kg")
    center: Vector = Field(description="center of mass in the body's frame, m")
    principal: Quaternion = Field(
        description="principal axes of inertia in the body's frame, as a quaternion"
    )
    inertia: Vector = Field(description="moments of inertia about the principal axes, kg·m²")
    joints: tuple[TreeJoint, ...] = Field(
        default=(), description="joints between the parent and this body"
    )


class Bodies(Settings):
    """A tree of bodies in a field of gravity."""

    gravity: Vector = Field(description="acceleration of gravity in the world's frame, m/s²")
    bodies: tuple[TreeBody, ...] = Field(
        description="bodies of the tree; a parent precedes its children"
    )

    @property
    def joints(self) -> list[TreeJoint]:
        """All joints, each after its parents."""
        return [joint for body in self.bodies for joint in body.joints]


def read_bodies(value: object, info: ValidationInfo) -> object:
    """Read a MuJoCo model: its XML text, or its file relative to the task file.

    A value that is not text passes unchanged, because saved settings hold the `Bodies`.

    Raises:
        ValueError: The file does not exist, or is not a MuJoCo model of hinges and slides.
    """
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
    except ValueError as error:  # MuJoCo raises it, too
        message = str(error).strip() or "is not a MuJoCo model"
        raise ValueError(message) from error


Mjcf = Annotated[Bodies | None, BeforeValidator(read_bodies)]


def load_bodies(path: Path | str) -> Bodies:
    """Return the bodies and joints of an MJCF or URDF file.

    Raises:
        ValueError: The file is damaged, or has other joints than hinges and slides, or loops.
    """
    import mujoco

    return bodies_of(cast(Any, mujoco).MjModel.from_xml_path(str(path)))


def bodies_of(model: Any) -> Bodies:
    """Return the bodies and joints of a compiled `mujoco.MjModel`, in SI units.

    Raises:
        ValueError: It has other joints than hinges and slides, or loops.
    """
    if model.neq or model.ntendon:
        message = f"{model.neq} equality constraints, {model.ntendon} tendons; expected a tree"
        raise ValueError(message)
    gears = {
        int(model.actuator_trnid[k, 0]): float(model.actuator_gear[k, 0])
        for k in range(model.nu)
        if int(model.actuator_trntype[k]) == 0  # a joint
    }
    bodies = list[TreeBody]()
    for number in range(1, model.nbody):
        body = model.body(number)  # body 0 is the world, so the parent's index shifts by one
        first = int(model.body_jntadr[number])
        count = int(model.body_jntnum[number])
        bodies.append(
            TreeBody(
                name=body.name or f"body {number}",
                parent=int(model.body_parentid[number]) - 1,
                position=_numbers(body.pos),
                rotation=_numbers(body.quat),
                mass=float(body.mass[0]),
                center=_numbers(body.ipos),
                principal=_numbers(body.iquat),
                inertia=_numbers(body.inertia),
                joints=tuple(_joint(model, first + k, gears) for k in range(count)),
            )
        )
    return Bodies(gravity=_numbers(model.opt.gravity), bodies=tuple(bodies))


def _joint(model: Any, number: int, gears: dict[int, float]) -> TreeJoint:
    kinds = {2: "slide", 3: "hinge"}
    joint = model.joint(number)
    kind = int(model.jnt_type[number])
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
            "reference": float(joint.qpos0[0]),
            "armature": float(joint.armature[0]),
            "stiffness": float(joint.stiffness[0]),
            "spring_reference": float(joint.qpos_spring[0]),
            "viscous": float(joint.damping[0]),
            "coulomb": float(joint.frictionloss[0]),
            "gear": gears.get(number, 1.0),
        }
    )


def _numbers(values: Iterable[float]) -> Any:
    return tuple(float(value) for value in values)
