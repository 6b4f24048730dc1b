"""Friction: its force while sliding, and joints that stick, by hand."""

import math

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models.networks.friction import LuGre, make_friction
from kinemill.models.rigid_body import RigidBody
from kinemill.train.layout import make_layout
from kinemill.train.relations import Output
from tests.conftest import learning_task
from tests.dataset.packing import PENDULUM

COULOMB, STICTION, VISCOUS, SPEED = 0.6, 0.4, 0.2, 0.3  # N·m, N·m more, N·m·s/rad, rad/s
DEFLECTION = 0.002  # rad
ONES = torch.ones(1)


def inverse(size: float) -> float:
    """Return x of softplus(x) = size."""
    return math.log(math.expm1(size))


def friction_of(kind, dt=0.02):
    friction = make_friction(kind, ONES, ONES, dt)
    with torch.no_grad():
        friction.viscous.fill_(inverse(VISCOUS))
        if kind != "viscous":
            friction.coulomb.fill_(inverse(COULOMB))
        if kind in {"stribeck", "lugre"}:
            friction.curve.stiction.fill_(inverse(STICTION))
            friction.curve.speed.fill_(math.log(SPEED / 0.1))
        if kind == "lugre":
            friction.deflection.fill_(math.log(DEFLECTION / 1e-3))
    return friction


def slide(friction, torque, steps, mass=0.5, dt=0.02, start=0.0):
    """Return position and velocity after some steps of a joint from a velocity, (steps, 2)."""
    q, v = torch.zeros(1, 1), torch.full((1, 1), start)
    bristles, inertia = torch.zeros(1, 1), torch.full((1, 1, 1), mass)
    visited = []
    with torch.no_grad():
        for _ in range(steps):
            a = friction.accelerate(inertia, torch.full((1, 1), torque), v, bristles)
            next_v = v + dt * a
            if isinstance(friction, LuGre):
                bristles = friction.advance(bristles, v, next_v)
            v, q = next_v, q + dt * next_v
            visited.append((q.item(), v.item()))
    return torch.tensor(visited)


@pytest.mark.parametrize(
    ("kind", "dry"),
    [
        ("viscous", 0.0),
        ("coulomb", COULOMB),
        ("stribeck", COULOMB + STICTION * math.exp(-((1.5 / SPEED) ** 2))),
    ],
)
def test_the_force_while_sliding(kind, dry):
    result = friction_of(kind)(torch.tensor([[1.5], [-1.5]])).flatten().tolist()
    assert result == pytest.approx([VISCOUS * 1.5 + dry, -VISCOUS * 1.5 - dry], rel=1e-5)


def test_the_stribeck_curve_falls_with_the_velocity():
    friction = friction_of("stribeck")
    still, motion = friction.dry(torch.tensor([[0.0]])), friction.dry(torch.tensor([[0.3]]))
    assert still.item() == pytest.approx(COULOMB + STICTION)
    assert motion.item() == pytest.approx(COULOMB + STICTION / math.e)


@pytest.mark.parametrize("torque", [0.95, -0.5])
@pytest.mark.parametrize("mass", [1e-4, 0.5])
def test_a_joint_below_the_stiction_sticks_for_3_s(torque, mass):
    path = slide(friction_of("lugre"), torque, 150, mass)
    limit = DEFLECTION * abs(torque) / (COULOMB + STICTION)
    assert path[-1, 0].item() == pytest.approx(math.copysign(limit, torque), rel=0.02)
    assert path[-1, 1].abs() < 1e-5


def test_viscous_and_coulomb_friction_do_not_hold_it():
    for kind in ("viscous", "coulomb"):
        assert slide(friction_of(kind), 0.55, 150)[-1, 0].abs() > 0.05


def test_a_joint_above_the_stiction_slides_against_the_curve():
    """While it slides, 0.5 dv/dt = 1.2 - 0.2 v - 0.6 - 0.4 exp(-(v / 0.3)²)."""
    speed = slide(friction_of("lugre"), 1.2, 100)[:, 1].double()
    for step in (20, 40, 80):
        v = speed[step].item()
        dry = COULOMB + STICTION * math.exp(-((v / SPEED) ** 2))
        acceleration = (speed[step + 1].item() - v) / 0.02
        assert acceleration == pytest.approx((1.2 - VISCOUS * v - dry) / 0.5, rel=1e-3)


def test_a_fast_joint_that_turns_around_is_not_held_by_more_than_the_stiction():
    """From 0.01 rad/s under -10 N·m the bristles may not stop it, whatever the time step."""
    path = slide(friction_of("lugre"), -10.0, 1, start=0.01)
    assert path[0, 1].item() < 0.01 - 0.02 * (10.0 - COULOMB - STICTION - 0.01) / 0.5 + 1e-3


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 0.02, 0.5])
def test_any_time_step_is_stable(dt):
    path = slide(friction_of("lugre", dt), 0.0, 400, mass=0.01, dt=dt, start=0.02)
    assert path[:, 1].abs().max() <= 0.0201
    assert path[-1, 1].abs() < path[0, 1].abs() + 1e-9


def test_bristles_are_refused_with_rk4():
    task = learning_task("arm", 0.02, PENDULUM)
    alpha = {"alpha": Output(relation="derivative", of="velocity")}
    layout = make_layout(task, alpha, "rk4", 3)
    with pytest.raises(BadInput, match=r"friction: lugre, with learn.integrator: rk4"):
        RigidBody(friction="lugre").build_for(layout, {})
