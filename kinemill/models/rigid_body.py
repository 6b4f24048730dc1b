"""Rigid-body equations of motion (rigid body tree) with learned parameters.

M(q) dv/dt + c(q, v) + g(q) = B u - friction, see `_mechanics`. Friction is viscous and Coulomb's,
d v + k tanh(v / ε) + a constant; an action acts with a learned gain and after a learned delay, or
through learned weights on its newest rows. What equations do not say, another model may.

Measured velocities are noisy, and what they start with decides how a pendulum falls. With
`observer`, an estimate of the velocity goes through the known history beside the measurement and is
corrected by a share of what it misses (Luenberger, 1966); in a rollout it misses nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from kinemill.errors import BadInput
from kinemill.models._mjcf import Mjcf
from kinemill.registry import nearest
from kinemill.task.plugins import MODELS, Model, pick_or_none, unknown_channels
from kinemill.task.web_overrides import LOCAL

MOST = 8  # coordinates; the solution is unrolled


@MODELS.register("rigid_body")
class RigidBody(Model):
    """Settings of the equations of motion."""

    type: Literal["rigid_body"] = "rigid_body"
    mass: Literal["chain", "free", "mjcf"] = Field(
        default="chain",
        description="chain: hinges one after the other in a plane, angles relative to the link "
        "before, after slides if any; free: any mass matrix by its Cholesky factors; mjcf: the "
        "bodies of a MuJoCo model",
    )
    mjcf: Annotated[Mjcf, LOCAL] = Field(
        default=None, description="MuJoCo model, a file beside the task's, for mass: mjcf"
    )
    joints: dict[str, str] = Field(
        default={}, description="joint of the MuJoCo model by coordinate; default: in order"
    )
    drives: dict[str, str] = Field(
        default={}, description="coordinate that each action acts on; default: in order"
    )
    delay: int = Field(
        default=3, ge=0, description="longest delay, in rows, after which an action acts"
    )
    actuator: Literal["delay", "filter"] = Field(
        default="delay",
        description="delay: a gain and a delay for each action; filter: a weight for each row, for "
        "a torque that is measured; of a commanded one it would learn the controller too",
    )
    observer: bool = Field(
        default=False, description="whether velocities of the history are filtered"
    )
    residual: Annotated[
        SerializeAsAny[Model] | None, BeforeValidator(pick_or_none(MODELS, Model))
    ] = Field(default=None, description="another model, of the accelerations that are left over")

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return drives of or on channels that are unknown, and a tree that is not there."""
        found = unknown_channels(list(self.drives), channels, "drives")
        found += unknown_channels(list(self.joints), channels, "joints")
        if (self.mass == "mjcf") != (self.mjcf is not None):
            found.append((("mjcf",), "goes with `mass: mjcf`, and that needs it"))
        for action, coordinate in self.drives.items():
            if coordinate not in channels:
                message = f"no channel {coordinate!r}; {nearest(coordinate, list(channels))}"
                found.append((("drives", action), message))
        return found

    def build_for(self, layout: Any, scale: Mapping[str, Any]) -> Any:
        """Make the network of physical values; its outputs are accelerations (B, n).

        Raises:
            BadInput: outputs are not the derivatives of all velocities, or actions find nothing to
                act on.
        """
        from kinemill.models._rigid_network import make_network

        return make_network(self, place(self, layout), layout, scale)


@dataclass(frozen=True)
class Places:
    """Where coordinates, velocities, drives and joints are; columns of states, then numbers."""

    coordinates: tuple[int, ...]
    velocities: tuple[int, ...]
    driven: tuple[int, ...]
    joints: tuple[int, ...] = ()  # coordinate of each joint of the MuJoCo model


def place(settings: RigidBody, layout: Any) -> Places:
    """Find the coordinate below each acceleration, and what each action drives."""
    states, velocities, coordinates = layout.states, list[int](), list[int]()
    for name, output in layout.outputs:
        rate = states.index(output.of)
        below = [column for column in range(len(states)) if layout.drift[rate, column] != 0.0]
        if output.relation != "derivative" or len(below) != 1:
            raise BadInput(
                f"learn.outputs: {name}",
                f"{output.relation} of {output.of!r}",
                expected="accelerations: the derivative of the velocity of each coordinate",
                fix="learn.outputs: {a: {relation: derivative, of: <a velocity>}}",
            )
        velocities.append(rate)
        coordinates.append(below[0])
    if len(states) != 2 * len(velocities) or len(velocities) > MOST:
        raise BadInput(
            "learn.model: rigid_body",
            f"{len(states)} states, {len(velocities)} accelerations",
            expected=f"a coordinate and a velocity for each of 1 to {MOST} accelerations",
        )
    names = [states[column] for column in coordinates]
    hinges = [layout.angles[column] for column in coordinates]
    if settings.mass == "chain" and hinges != sorted(hinges):
        raise BadInput(
            "learn.model.mass: chain",
            f"a slide comes after the hinge {names[hinges.index(True)]!r}",
            expected="slides first, or mass: free",
        )
    joints = _joints(settings, names, hinges)
    return Places(tuple(coordinates), tuple(velocities), _driven(settings, layout, names), joints)


def _joints(settings: RigidBody, names: list[str], hinges: list[bool]) -> tuple[int, ...]:
    """Return the coordinate that each joint of the MuJoCo model is."""
    if settings.mjcf is None:
        return ()
    tree = settings.mjcf.joints
    usual = zip(names, (joint.name for joint in tree), strict=False)
    wanted = {joint: name for name, joint in (dict(usual) | settings.joints).items()}
    kinds = {name: "hinge" if hinge else "slide" for name, hinge in zip(names, hinges, strict=True)}
    for joint in tree:
        name = wanted.get(joint.name)
        if kinds.get(name or "") != joint.kind:
            raise BadInput(
                f"learn.model.joints: the {joint.kind} {joint.name!r}",
                f"is {name!r}, a {kinds[name]}" if name in kinds else "is no coordinate",
                expected=f"one of the coordinates {kinds}",
                fix="angles are channels of `kind: angle`; name the joints in `joints`",
            )
    if len(tree) != len(names):
        raise BadInput(
            "learn.model.mjcf",
            f"joints {[joint.name for joint in tree]}",
            expected=f"one for each of {names}",
        )
    return tuple(names.index(wanted[joint.name]) for joint in tree)


def _driven(settings: RigidBody, layout: Any, names: list[str]) -> tuple[int, ...]:
    wanted = dict(zip(layout.actions, names, strict=False)) | settings.drives
    found: list[int] = []
    for action in layout.actions:
        if wanted.get(action) not in names:
            raise BadInput(
                f"learn.model.drives: {action}",
                f"acts on {wanted.get(action)!r}",
                expected=f"one of {names}",
            )
        found.append(names.index(wanted[action]))
    return tuple(found)
