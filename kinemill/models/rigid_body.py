"""Rigid-body equations of motion with learned parameters.

M(q) dv/dt + c(q, v) + g(q) = B u - friction, see `kinemill.models.networks.mechanics` and, for
`friction`, `kinemill.models.networks.friction`. An action acts with a learned gain after a learned
delay, or through learned weights on its newest rows. A residual model can be added.

Measured velocities are noisy, and a rollout of a pendulum depends on the initial velocity. With
`observer`, a Luenberger observer (1966) predicts position and velocity through the history and
corrects the measured velocity by a share of the innovation. In a rollout the innovation is zero.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from kinemill.errors import BadInput
from kinemill.models._layout import ModelLayout
from kinemill.registry import nearest
from kinemill.task import Candidate, Channel, Problems, TaskFacts, TorchModule, unknown_channels
from kinemill.task.bounds import CountOrZero
from kinemill.task.plugins import MODELS, Model, OptionalModel

MAX_COORDINATES = 8  # the linear solve is unrolled
MAX_POINTS = 100  # of a position curve
POINTS = 9  # of one in a portfolio


@MODELS.register("rigid_body")
class RigidBody(Model):
    """Equations of motion with fitted masses, lengths and friction; for arms and linkages."""

    type: Literal["rigid_body"] = "rigid_body"
    mass: Literal["chain", "free"] = "chain"
    """chain: hinges in series in a plane, angles relative to the previous link, after slides if
    any; free: any mass matrix by its Cholesky factors"""
    drives: dict[str, str] = {}
    """coordinate that each action acts on; default: in order"""
    delay: CountOrZero = 3
    """longest delay of an action, rows"""
    actuator: Literal["delay", "filter"] = "delay"
    """delay: a gain and a delay for each action; filter: a weight for each row, for measured
    torques; with commanded torques it would learn the controller too"""
    friction: Literal["viscous", "coulomb", "stribeck", "lugre"] = "coulomb"
    """viscous: in proportion to the velocity; coulomb: also dry friction; stribeck: dry friction
    that falls with the velocity; lugre: also joints that stick"""
    symmetric: bool = False
    """for mass: chain, whether left and right are alike: no constant friction, and gravity acts
    along the zero of the angles"""
    position_curve: Annotated[int, Field(ge=0, le=MAX_POINTS)] = 0
    """points of an unknown force of the position of each coordinate, such as springs, cables,
    cogging torque and end stops; 0: none"""
    observer: bool = False
    """whether an observer filters velocities"""
    residual: OptionalModel = None
    """another model, of the residual accelerations"""

    @property
    def has_few_parameters(self) -> bool:
        """Whether no network is trained on the residuals."""
        return self.residual is None

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return drives of unknown channels, and settings of another `mass`."""
        problems = unknown_channels(list(self.drives), channels, "drives")
        if 0 < self.position_curve < 4:
            message = f"{self.position_curve} points; expected 0, or 4 or more"
            problems.append((("position_curve",), message))
        if self.symmetric and self.mass != "chain":
            problems.append((("symmetric",), f"needs `mass: chain`, not {self.mass}"))
        for action, coordinate in self.drives.items():
            if coordinate not in channels:
                message = f"no channel {coordinate!r}; {nearest(coordinate, list(channels))}"
                problems.append((("drives", action), message))
        return problems

    def default_outputs(self, channels: Mapping[str, Channel]) -> dict[str, dict[str, str]]:
        """Return the derivative of each velocity: a state that is `derivative_of` another one."""
        states = {name: channel for name, channel in channels.items() if channel.role == "state"}
        return {
            f"{name}_rate": {"relation": "derivative", "of": name}
            for name, channel in states.items()
            if channel.derivative_of in states
        }

    def output_problems(self, outputs: Mapping[str, Any]) -> Problems:
        """Return a problem if an output is not the derivative of a state."""
        for name, output in outputs.items():
            if output.relation != "derivative":
                message = (
                    f"rigid_body predicts accelerations, but {name!r} is the {output.relation} of "
                    f"{output.of!r}; set `derivative_of` of each velocity, or learn.outputs: "
                    "{a: {relation: derivative, of: <a velocity>}}"
                )
                return [((), message)]
        return []

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose equations of motion if every state is a coordinate or its velocity."""
        count = len(facts.pairs)
        if not count or len(facts.states) != 2 * count or count > MAX_COORDINATES:
            return []
        # `pairs` maps velocity to position, so the order is that of the velocities among states.
        hinges = [facts.pairs[name] in facts.angles for name in facts.states if name in facts.pairs]
        chain = hinges == sorted(hinges) and any(hinges)
        rows = min(10, facts.longest)
        common: dict[str, object] = {
            "outputs": facts.accelerations,
            "horizon": min(25, facts.horizon),
            "gauss_newton": {"windows": 256, "iterations": 15},
            "optimizer": {"lr": 1e-3},
        }
        model = {"type": "rigid_body", "drives": dict(facts.drives)}
        mass = "chain" if chain else "free"
        past = {"observer": rows > 1, "delay": min(3, rows - 1)}
        proposals = [
            (mass, past, rows),
            (f"{mass}, bristles", {**past, "friction": "lugre"}, rows),
            (mass, {"delay": 0}, 1),
        ]
        if chain:
            symmetric = {**past, "symmetric": True}
            curve = {"position_curve": POINTS}
            proposals += [
                ("chain, symmetric", symmetric, rows),
                ("chain, position curves", {**past, **curve}, rows),
                ("chain, symmetric, position curves", {**symmetric, **curve}, rows),
            ]
        return [
            Candidate(
                f"rigid body, {name}, history {history}",
                {**common, "history": history}
                | {"model": {**model, "mass": name.split(",")[0], **settings}},
                trains=True,
            )
            for name, settings, history in proposals
        ]

    def build_for(self, layout: ModelLayout, scale: Mapping[str, Any]) -> TorchModule:
        """Make the `RigidBodyNetwork`; its outputs are accelerations (B, n).

        Raises:
            BadInput: Outputs are not the derivatives of all velocities, an action has no
                coordinate, or the observer or bristles are used with rk4.
        """
        from kinemill.models.networks.rigid_body import RigidBodyNetwork

        coordinates = locate(self, layout)
        for key, value in (("observer", self.observer), ("friction", self.friction == "lugre")):
            if value and layout.integrator == "rk4":
                raise BadInput(
                    f"learn.model.{key}",
                    f"{getattr(self, key)}, with learn.integrator: rk4",
                    expected=f"another integrator: the {key} is updated once a step",
                )
        residual = self.residual
        sizes = (layout.features, len(coordinates.positions))
        make_residual = residual and (lambda: residual.build(*sizes, layout.history))
        return RigidBodyNetwork(self, coordinates, layout, scale, make_residual)


def locate(settings: RigidBody, layout: ModelLayout) -> Any:
    """Return the `Coordinates`: the position of each acceleration, and what each action drives.

    Raises:
        BadInput: Outputs, slides or drives do not fit the equations of motion.
    """
    from kinemill.models.networks.rigid_body import Coordinates

    states = layout.states
    velocities = list[int]()
    positions = list[int]()
    for name, output in layout.outputs:
        rate = states.index(output.of)
        # `drift[v, q]` is not zero where the integration of v moves q.
        below = [column for column in range(len(states)) if layout.drift[rate, column] != 0.0]
        if output.relation != "derivative" or len(below) != 1:
            raise BadInput(
                f"learn.outputs: {name}",
                f"{output.relation} of {output.of!r}, which moves {len(below)} states",
                expected="the derivative of the velocity of each coordinate",
                fix="set `derivative_of` of each velocity",
            )
        velocities.append(rate)
        positions.append(below[0])
    if len(states) != 2 * len(velocities) or len(velocities) > MAX_COORDINATES:
        raise BadInput(
            "learn.model: rigid_body",
            f"{len(states)} states, {len(velocities)} accelerations",
            expected=f"coordinate and velocity of each of 1 to {MAX_COORDINATES} accelerations",
        )
    names = [states[column] for column in positions]
    hinges = [layout.angles[column] for column in positions]
    # Sorted means False before True: the chain's equations hold for slides before hinges only.
    if settings.mass == "chain" and hinges != sorted(hinges):
        raise BadInput(
            "learn.model.mass: chain",
            f"a slide follows the hinge {names[hinges.index(True)]!r}",
            expected="slides first, or mass: free",
        )
    return Coordinates(tuple(positions), tuple(velocities), _driven(settings, layout, names))


def _driven(settings: RigidBody, layout: ModelLayout, names: list[str]) -> tuple[int, ...]:
    """Return the coordinate that each action drives."""
    by_action = dict(zip(layout.actions, names, strict=False)) | settings.drives
    for action in layout.actions:
        if by_action.get(action) not in names:
            raise BadInput(
                f"learn.model.drives: {action}",
                f"acts on {by_action.get(action)!r}",
                expected=f"one of {names}",
            )
    return tuple(names.index(by_action[action]) for action in layout.actions)
