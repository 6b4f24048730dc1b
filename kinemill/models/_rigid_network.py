"""The network of `rigid_body`: forces, friction, actuators and observer around the mechanics.

Symbols: B batch, n coordinates q, v their rates, A actions, D rows of delay, Δ time step.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.errors import BadInput
from kinemill.models._body_tree import Tree
from kinemill.models._mechanics import Chain, Free, solve
from kinemill.models._mjcf import TreeJoint

SMALL = -3.0  # softplus of it is 0.05: friction to start with
# Times the fastest velocity in training; faster ones are cut off, as explicit integration of them
# runs away.
FASTEST = 1.5
# In spreads of a velocity:
DOUBT = 0.5  # what its measurement is off by at most; more is no noise
SHARP = 0.01  # within which Coulomb's friction changes sides


class Actuators(nn.Module):
    """Forces from the last 1 + D actions: a gain and a delay of 0 to D rows for each action.

    Between two rows lies a share of both.

    Args:
        driven: coordinate that each action acts on.
        coordinates: n.
        delay: D.
        filtered: each row has a weight of its own instead.
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
            usual = torch.tensor(min(0.5, 0.5 * delay) / delay)
            self.delay = nn.Parameter(torch.logit(usual).repeat(len(driven)))

    def forward(self, window: Tensor) -> Tensor:
        """(B, 1 + D, A) -> (B, n)."""
        if self.filtered:
            return (window * self.weight).sum(1) @ self.target
        acting = window[:, -1]
        if self.longest:
            apart = (self.age - self.longest * torch.sigmoid(self.delay)).abs()
            acting = (window * torch.clamp(1.0 - apart, min=0.0)).sum(1)
        return (self.gain * acting) @ self.target


class Friction(nn.Module):
    """d v + k tanh(v / ε) + a constant, for each coordinate; d, k are positive.

    Args:
        sharpest: least ε, (n,); below it rollouts would have kinks that no method descends.
    """

    sharpest: Tensor

    def __init__(self, sharpest: Tensor) -> None:
        super().__init__()
        self.register_buffer("sharpest", sharpest)
        coordinates = len(sharpest)
        self.viscous = nn.Parameter(torch.full((coordinates,), SMALL))
        self.coulomb = nn.Parameter(torch.full((coordinates,), SMALL))
        self.width = nn.Parameter(torch.full((coordinates,), 2.0))  # ln(ε / ε_least - 1)
        self.constant = nn.Parameter(torch.zeros(coordinates))

    def forward(self, v: Tensor) -> Tensor:
        """(B, n) -> (B, n)."""
        width = self.sharpest * (1.0 + torch.exp(self.width))
        dry = functional.softplus(self.coulomb) * torch.tanh(v / width)
        return functional.softplus(self.viscous) * v + dry + self.constant


class Equations(nn.Module):
    """Accelerations (B, n) of q, v (B, n) under the last 1 + D actions (B, 1 + D, A)."""

    def __init__(self, mechanics: nn.Module, actuators: Actuators, friction: Friction) -> None:
        super().__init__()
        self.mechanics, self.actuators, self.friction = mechanics, actuators, friction

    def forward(self, q: Tensor, v: Tensor, actions: Tensor) -> Tensor:
        mass, forces = self.mechanics(q, v)
        return solve(mass, self.actuators(actions) - self.friction(v) - forces)


class Network(nn.Module):
    """`(state (B, S), action (B, A), features (B, F), carry...) -> accelerations (B, n), carry`.

    What is carried: the last D actions (if D > 0), the observer's (1, q, v) of the row to come (if
    there is one), and what the residual carries.
    """

    physical = True
    coordinate: Tensor
    velocity: Tensor
    turn: Tensor
    spread: Tensor
    fastest: Tensor
    doubt: Tensor

    def __init__(
        self, settings: Any, places: Any, layout: Any, scale: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        count, self.dt = len(places.coordinates), float(layout.dt)
        self.delay = min(settings.delay, layout.history - 1)
        self.integrator, self.observer = layout.integrator, settings.observer
        hinges = tuple(layout.angles[column] for column in places.coordinates)
        own, rates = (
            scale["state_std"][list(at)] for at in (places.coordinates, places.velocities)
        )
        kept = {
            "coordinate": torch.tensor(places.coordinates),
            "velocity": torch.tensor(places.velocities),
            "turn": 2.0 * torch.pi * torch.tensor(hinges).float(),
            "spread": scale["output_std"].float(),
            "fastest": 10.0 * rates.float(),  # until `fit` knows better
            "doubt": DOUBT * rates.float(),
        }
        for name, value in kept.items():
            self.register_buffer(
                name, value, persistent=value.is_floating_point() and name != "turn"
            )
        filtered = settings.actuator == "filter"
        actuators = Actuators(places.driven, count, self.delay, filtered=filtered)
        friction = Friction(SHARP * rates.float())
        mechanics: nn.Module = Free(hinges, own)
        if settings.mass == "chain":
            mechanics = Chain(hinges)
        elif settings.mjcf is not None:
            mechanics = Tree(settings.mjcf, places.joints)
            start_as_told(actuators, friction, settings.mjcf.joints, places)
        self.equations = Equations(mechanics, actuators, friction)
        if self.observer:
            self.trust = nn.Parameter(torch.full((count,), 1.0))  # of a velocity, before sigmoid
            self.pull = nn.Parameter(torch.zeros(count))  # of a coordinate, 1/Δ
        self.residual = None
        if settings.residual is not None:
            self.residual = settings.residual.build(layout.features, count, layout.history)
            for value in self.residual.head.parameters():
                nn.init.zeros_(value)
        actions = ((self.delay, len(layout.actions)),) if self.delay else ()
        watch = ((1 + 2 * count,),) if self.observer else ()
        rest = tuple(self.residual.carry_shapes) if self.residual is not None else ()
        self.carry_shapes = (*actions, *watch, *rest)

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Let inertia start at the spread of the forces over that of the accelerations."""
        actuators: Any = self.equations.actuators
        target, fastest = actuators.target, torch.zeros_like(self.fastest)
        pushes, reached = list[Tensor](), list[Tensor]()
        for states, actions, *_ in batches:
            v = states.index_select(2, self.velocity)
            fastest = torch.maximum(fastest, v.abs().amax((0, 1)))
            pushes.append((actions[:, -1] @ target).std(0))
            reached.append(((v[:, 1:] - v[:, :-1]) / self.dt).flatten(0, 1).std(0))
        self.fastest.copy_(FASTEST * fastest)
        push, met = torch.stack(pushes).mean(0), torch.stack(reached).mean(0)
        driven = (push > 0.0) & (met > 0.0)
        if driven.any():
            mechanics: Any = self.equations.mechanics
            mechanics.start((push[driven] / met[driven]).mean())

    def warm_up(self, states: Tensor, actions: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        carry = tuple(states.new_zeros(states.shape[0], *shape) for shape in self.carry_shapes)
        if not carry:
            return carry
        rows = zip(states.unbind(1), actions.unbind(1), features.unbind(1), strict=True)
        for state, action, seen in rows:
            _, *rest = self(state, action, seen, *carry)
            carry = tuple(rest)
        return carry

    def forward(
        self, state: Tensor, action: Tensor, features: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        left = list(carry)
        q = state.index_select(1, self.coordinate)
        measured = state.index_select(1, self.velocity)
        window, after = action.unsqueeze(1), list[Tensor]()
        if self.delay:
            window = torch.cat([left.pop(0), window], dim=1)
            after.append(window[:, 1:])
        v = self.estimate(q, measured, left.pop(0)) if self.observer else measured
        slower = torch.clamp(v, -self.fastest, self.fastest)
        acceleration, kept = self.equations(q, slower, window), list[Tensor]()
        if self.residual is not None:
            rest, *kept = self.residual(features, *left)
            acceleration = acceleration + rest * self.spread
        later = torch.clamp(v + self.dt * acceleration, -self.fastest, self.fastest)
        if self.observer:
            moved = q + self.dt * (later if self.integrator == "semi_implicit" else v)
            after.append(torch.cat([torch.ones_like(q[:, :1]), moved, later], dim=1))
        return (later - measured) / self.dt, *after, *kept

    def estimate(self, q: Tensor, measured: Tensor, foreseen: Tensor) -> Tensor:
        """Return the velocity (B, n) between what was foreseen for this row and measured."""
        known, expected, v = foreseen.split([1, q.shape[1], q.shape[1]], dim=1)
        missed = q - expected
        missed = missed - self.turn * torch.round(missed / (2.0 * torch.pi))
        share = torch.sigmoid(self.trust)
        wanted = (1.0 - share) * (v - measured) + self.pull / self.dt * missed
        return measured + known * torch.clamp(wanted, -self.doubt, self.doubt)


def start_as_told(
    actuators: Actuators, friction: Friction, joints: Sequence[TreeJoint], places: Any
) -> None:
    """Let gears and friction of a MuJoCo model be what is learned from; friction is above 0."""
    by_coordinate = dict(zip(places.joints, joints, strict=True))
    with torch.no_grad():
        for column, joint in by_coordinate.items():
            told = {friction.viscous: joint.viscous, friction.coulomb: joint.coulomb}
            for value, size in told.items():
                if size > 0.0:
                    value[column] = math.log(math.expm1(size))
        gears = torch.tensor([by_coordinate[column].gear for column in places.driven])
        if actuators.filtered:
            actuators.weight.mul_(gears)
        else:
            actuators.gain.copy_(gears)


def make_network(settings: Any, places: Any, layout: Any, scale: Mapping[str, Tensor]) -> Network:
    """Make it.

    Raises:
        BadInput: an observer and an integrator that asks between the rows.
    """
    if settings.observer and layout.integrator == "rk4":
        raise BadInput(
            "learn.model.observer",
            "true, with learn.integrator: rk4",
            expected="semi_implicit or euler: it is asked once a step",
        )
    return Network(settings, places, layout, scale)
