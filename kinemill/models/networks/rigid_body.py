"""Rigid-body network: actuators, friction and observer around the equations of motion.

Symbols: B batch, n coordinates q, v their rates, A actions, D rows of delay, Δ time step.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from kinemill.models._layout import ModelLayout
from kinemill.models.networks.friction import LuGre, Viscous, make_friction
from kinemill.models.networks.layers import Network, zero_head
from kinemill.models.networks.mechanics import Chain, Free
from kinemill.models.networks.position_curve import PositionCurve
from kinemill.models.networks.scaling import angle_period, wrap_angles

# Velocities are clipped at this multiple of the largest velocity in training, because explicit
# integration of faster motion diverges.
SPEED_MARGIN = 1.5
# Of a measured velocity by the observer, in standard deviations:
MAX_CORRECTION = 0.5


class _Settings(Protocol):
    """What the network reads of `kinemill.models.rigid_body.RigidBody`."""

    @property
    def mass(self) -> str: ...
    @property
    def delay(self) -> int: ...
    @property
    def actuator(self) -> str: ...
    @property
    def observer(self) -> bool: ...
    @property
    def symmetric(self) -> bool: ...
    @property
    def friction(self) -> str: ...
    @property
    def position_curve(self) -> int: ...


@dataclass(frozen=True)
class Coordinates:
    """Columns of states by coordinate, then numbers of coordinates.

    Attributes:
        velocities: column of its rate.
        driven: coordinate of each action.
    """

    positions: tuple[int, ...]
    velocities: tuple[int, ...]
    driven: tuple[int, ...]


class Actuators(nn.Module):
    """Forces from the last 1 + D actions: a gain and a delay of 0 to D rows for each action.

    A delay between two rows interpolates linearly.

    Args:
        driven: coordinate that each action acts on.
        coordinates: n.
        delay: D.
        filtered: whether each row has a learned weight instead.
    """

    target: Tensor
    age: Tensor

    def __init__(
        self, driven: tuple[int, ...], coordinates: int, delay: int, *, filtered: bool
    ) -> None:
        super().__init__()
        self.filtered = filtered
        target = torch.zeros(len(driven), coordinates)
        target[torch.arange(len(driven)), list(driven)] = 1.0
        self.register_buffer("target", target, persistent=False)
        age = torch.arange(delay, -1, -1).float().unsqueeze(1)
        self.register_buffer("age", age, persistent=False)
        self.longest = delay
        if filtered:
            self.weight = nn.Parameter((age == 0.0).float().repeat(1, len(driven)))
            return
        self.gain = nn.Parameter(torch.ones(len(driven)))
        if delay:
            initial = torch.tensor(min(0.5, 0.5 * delay) / delay)
            self.delay = nn.Parameter(torch.logit(initial).repeat(len(driven)))

    def forward(self, actions: Tensor) -> Tensor:
        """Return the forces, N·m or N: (B, 1 + D, A), oldest first -> (B, n)."""
        if self.filtered:
            return (actions * self.weight).sum(1) @ self.target
        newest = actions[:, -1]
        if self.longest:
            # A triangle of width 1 around the delay: linear interpolation with a gradient.
            distance = (self.age - self.longest * torch.sigmoid(self.delay)).abs()
            newest = (actions * torch.clamp(1.0 - distance, min=0.0)).sum(1)
        return (self.gain * newest) @ self.target


class Equations(nn.Module):
    """Accelerations (B, n) of q, v (B, n) under the last 1 + D actions (B, 1 + D, A)."""

    def __init__(
        self,
        mechanics: Chain | Free,
        actuators: Actuators,
        friction: Viscous,
        curve: PositionCurve | None,
    ) -> None:
        super().__init__()
        self.mechanics = mechanics
        self.actuators = actuators
        self.friction = friction
        self.curve = curve

    def forward(
        self, q: Tensor, v: Tensor, actions: Tensor, bristles: Tensor | None = None
    ) -> Tensor:
        """Return the accelerations (B, n), rad/s² or m/s²; bristles (B, n) default to no force."""
        mass, forces = self.mechanics(q, v)
        if self.curve is not None:
            forces = forces + self.curve(q)
        bristles = torch.zeros_like(v) if bristles is None else bristles
        return self.friction.accelerate(mass, self.actuators(actions) - forces, v, bristles)


class RigidBodyNetwork(Network):
    """`(state (B, S), action (B, A), features (B, F), carry...) -> accelerations (B, n), carry`.

    The carry holds the last D actions (if D > 0), the observer's prediction (1, q, v) of the next
    row (if there is one), the forces of bristles (if there are any), and the carry of the residual.

    Args:
        settings: of the model.
        coordinates: where positions, velocities and actions are.
        layout: of the task.
        scale: standard deviations in training: `state_std` (S,), `output_std` (n,).
        make_residual: returns the network whose output, in standard deviations, is added; its head
            starts at zero.
    """

    physical = True
    coordinate: Tensor
    velocity: Tensor
    period: Tensor
    output_std: Tensor
    max_velocity: Tensor
    max_correction: Tensor

    def __init__(
        self,
        settings: _Settings,
        coordinates: Coordinates,
        layout: ModelLayout,
        scale: Mapping[str, Tensor],
        make_residual: Callable[[], Network] | None,
    ) -> None:
        super().__init__()
        count = len(coordinates.positions)
        self.dt = float(layout.dt)
        self.delay = min(settings.delay, layout.history - 1)
        self.integrator = layout.integrator
        self.has_observer = settings.observer
        hinges = [layout.angles[column] for column in coordinates.positions]
        velocity_std = scale["state_std"][list(coordinates.velocities)]
        buffers = {
            "output_std": scale["output_std"].float(),
            "max_velocity": 10.0 * velocity_std.float(),  # until `fit` sets it
            "max_correction": MAX_CORRECTION * velocity_std.float(),
        }
        constants = {
            "coordinate": torch.tensor(coordinates.positions),
            "velocity": torch.tensor(coordinates.velocities),
            "period": angle_period(hinges),
        }
        for name, value in (buffers | constants).items():
            self.register_buffer(name, value, persistent=name in buffers)
        self.equations = make_equations(settings, coordinates, layout, scale, self.delay)
        if self.has_observer:
            self.velocity_gain = nn.Parameter(torch.full((count,), 1.0))  # before the sigmoid
            self.position_gain = nn.Parameter(torch.zeros(count))  # in 1/Δ
        self.residual = make_residual() if make_residual is not None else None
        if self.residual is not None:
            zero_head(self.residual)
        window = ((self.delay, len(layout.actions)),) if self.delay else ()
        prediction = ((1 + 2 * count,),) if self.has_observer else ()
        bristles = ((count,),) if isinstance(self.equations.friction, LuGre) else ()
        rest = tuple(self.residual.carry_shapes) if self.residual is not None else ()
        self.carry_shapes = (*window, *prediction, *bristles, *rest)

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Set the largest velocity, the inertia, and the range of curves.

        The inertia is the standard deviation of forces over that of accelerations.

        Args:
            batches: windows of states (N, K, S), actions (N, K, A), and tensors that are ignored.
        """
        target = self.equations.actuators.target
        max_velocity = torch.zeros_like(self.max_velocity)
        forces = list[Tensor]()
        accelerations = list[Tensor]()
        ranges = list[Tensor]()
        for states, actions, *_ in batches:
            ranges.append(torch.stack(torch.aminmax(states.flatten(0, 1), dim=0)))
            v = states.index_select(2, self.velocity)
            max_velocity = torch.maximum(max_velocity, v.abs().amax((0, 1)))
            forces.append((actions[:, -1] @ target).std(0))
            accelerations.append(((v[:, 1:] - v[:, :-1]) / self.dt).flatten(0, 1).std(0))
        self.max_velocity.copy_(SPEED_MARGIN * max_velocity)
        force = torch.stack(forces).mean(0)
        acceleration = torch.stack(accelerations).mean(0)
        driven = (force > 0.0) & (acceleration > 0.0)
        inertia = (force[driven] / acceleration[driven]).mean() if driven.any() else None
        if inertia is not None:
            self.equations.mechanics.initialize(inertia)
        if self.equations.curve is not None:
            limits = torch.stack(ranges)[:, :, self.coordinate]
            unit = acceleration if inertia is None else inertia * acceleration
            self.equations.curve.initialize(limits[:, 0].amin(0), limits[:, 1].amax(0), unit)

    def warm_up(self, states: Tensor, actions: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after rows (B, K, S), (B, K, A), (B, K, F)."""
        return self.replay(states, actions, features)

    def forward(
        self, state: Tensor, action: Tensor, features: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the accelerations (B, n) and the next carry."""
        remaining = list(carry)
        q = state.index_select(1, self.coordinate)
        measured = state.index_select(1, self.velocity)
        actions = action.unsqueeze(1)
        after = list[Tensor]()
        if self.delay:
            actions = torch.cat([remaining.pop(0), actions], dim=1)
            after.append(actions[:, 1:])
        v = self.estimate(q, measured, remaining.pop(0)) if self.has_observer else measured
        clipped = torch.clamp(v, -self.max_velocity, self.max_velocity)
        friction = self.equations.friction
        residual_carry = list[Tensor]()
        bristles = remaining.pop(0) if isinstance(friction, LuGre) else None
        acceleration = self.equations(q, clipped, actions, bristles)
        if self.residual is not None:
            rest, *residual_carry = self.residual(features, *remaining)
            acceleration = acceleration + rest * self.output_std
        next_v = torch.clamp(v + self.dt * acceleration, -self.max_velocity, self.max_velocity)
        if self.has_observer:
            mean_v = {"semi_implicit": next_v, "trapezoidal": (v + next_v) / 2.0}
            next_q = q + self.dt * mean_v.get(self.integrator, v)
            after.append(torch.cat([torch.ones_like(q[:, :1]), next_q, next_v], dim=1))
        if isinstance(friction, LuGre) and bristles is not None:
            after.append(friction.advance(bristles, clipped, next_v))
        # Relative to the measured velocity, so that integration from the state yields `next_v`.
        return (next_v - measured) / self.dt, *after, *residual_carry

    def estimate(self, q: Tensor, measured: Tensor, predicted: Tensor) -> Tensor:
        """Return the velocity (B, n), a blend of the measured and the predicted one."""
        is_known, expected_q, v = predicted.split([1, q.shape[1], q.shape[1]], dim=1)
        innovation = wrap_angles(q - expected_q, self.period)
        share = torch.sigmoid(self.velocity_gain)
        correction = (1.0 - share) * (v - measured) + self.position_gain / self.dt * innovation
        limit = self.max_correction  # a larger deviation is not measurement noise
        return measured + is_known * torch.clamp(correction, -limit, limit)


def make_equations(
    settings: _Settings,
    coordinates: Coordinates,
    layout: ModelLayout,
    scale: Mapping[str, Tensor],
    delay: int,
) -> Equations:
    """Return the equations of motion with initial parameters.

    Args:
        settings: of the model.
        coordinates: where positions, velocities and actions are.
        layout: of the task.
        scale: `state_std` (S,) in training.
        delay: longest delay of an action, rows.
    """
    hinges = tuple(layout.angles[column] for column in coordinates.positions)
    position_std = scale["state_std"][list(coordinates.positions)].float()
    velocity_std = scale["state_std"][list(coordinates.velocities)].float()
    filtered = settings.actuator == "filter"
    actuators = Actuators(coordinates.driven, len(hinges), delay, filtered=filtered)
    friction = make_friction(settings.friction, velocity_std, position_std, float(layout.dt))
    points = settings.position_curve
    curve = None
    if points:
        curve = PositionCurve(hinges, points, symmetric=settings.symmetric)
    if settings.mass == "chain":
        chain = Chain(hinges)
        if settings.symmetric:  # these parameters are zero if q, v, u -> -q, -v, -u changes nothing
            make_constant(chain, "tilt", *(() if all(hinges) else ("axis",)))
            make_constant(friction, "constant")
        return Equations(chain, actuators, friction, curve)
    return Equations(Free(hinges, position_std), actuators, friction, curve)


def make_constant(module: nn.Module, *names: str) -> None:
    """Turn parameters of a module into constants at their initial value."""
    for name in names:
        value = getattr(module, name).detach()
        delattr(module, name)
        module.register_buffer(name, value, persistent=False)
