"""Equations of motion against MuJoCo and the conservation of energy, and learned parameters."""

import math

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput, TaskError
from kinemill.models.networks.mechanics import Chain, Free, solve
from kinemill.models.networks.rigid_body import Actuators
from kinemill.models.rigid_body import RigidBody
from kinemill.task import make_task
from kinemill.task.document import Task
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.layout import layout_of, make_layout
from kinemill.train.relations import Output
from kinemill.train.step import SCALES
from tests.conftest import load_task_in
from tests.dataset.packing import PENDULUM

# Point masses on massless rods: m1 = 1.2 kg at l1 = 0.5 m, m2 = 0.7 kg at l2 = 0.4 m behind it.
M1, L1, M2, L2, G = 1.2, 0.5, 0.7, 0.4, 9.81
MJCF = f"""
<mujoco>
  <option gravity="0 0 -{G}"><flag contact="disable"/></option>
  <worldbody>
    <body>
      <joint name="one" type="hinge" axis="0 -1 0"/>
      <inertial pos="0 0 -{L1}" mass="{M1}" diaginertia="1e-9 1e-9 1e-9"/>
      <body pos="0 0 -{L1}">
        <joint name="two" type="hinge" axis="0 -1 0"/>
        <inertial pos="0 0 -{L2}" mass="{M2}" diaginertia="1e-9 1e-9 1e-9"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def double_pendulum() -> Chain:
    """H = [[(m1 + m2) l1², m2 l1 l2], [m2 l1 l2, m2 l2²]], weights (m1 + m2) g l1 and m2 g l2."""
    chain = Chain((True, True)).double()
    constant = [[(M1 + M2) * L1**2, M2 * L1 * L2], [M2 * L1 * L2, M2 * L2**2]]
    root = torch.linalg.cholesky(torch.tensor(constant).double())
    with torch.no_grad():
        chain.inertia.copy_(torch.log(root.diagonal()))
        chain.coupling.copy_(torch.tril(root, -1))
        chain.weight.copy_(torch.tensor([(M1 + M2) * G * L1, M2 * G * L2]))
    return chain


def test_a_chain_accelerates_as_mujoco_says():
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_string(MJCF)
    data, random, chain = mujoco.MjData(model), np.random.default_rng(0), double_pendulum()
    for _ in range(20):
        data.qpos[:], data.qvel[:] = random.uniform(-4, 4, 2), random.uniform(-8, 8, 2)
        data.qfrc_applied[:] = random.uniform(-3, 3, 2)
        mujoco.mj_forward(model, data)
        q, v, force = (torch.tensor(x)[None] for x in (data.qpos, data.qvel, data.qfrc_applied))
        mass, forces = chain(q, v)
        result = solve(mass, force - forces)
        # MuJoCo's bodies have an inertia of 1e-9 kg·m² of their own.
        np.testing.assert_allclose(result[0].detach().numpy(), data.qacc, rtol=1e-6)


def test_a_cart_with_a_pole_is_a_slide_and_a_hinge():
    """(M + m) ẍ + m l cos θ θ̈ - m l sin θ θ̇² = F, l θ̈ + cos θ ẍ + g sin θ = 0, by hand."""
    cart, pole, length, theta, rate, force = 1.0, 0.3, 0.6, 0.8, 1.7, 2.5
    chain = Chain((False, True)).double()
    constant = [[cart + pole, pole * length], [pole * length, pole * length**2]]
    root = torch.linalg.cholesky(torch.tensor(constant).double())
    with torch.no_grad():
        chain.inertia.copy_(torch.log(root.diagonal()))
        chain.coupling.copy_(torch.tril(root, -1))
        chain.weight.copy_(torch.tensor([0.0, pole * G * length]))
    mass, forces = chain(
        torch.tensor([[0.3, theta]]).double(), torch.tensor([[0.4, rate]]).double()
    )
    x, angle = solve(mass, torch.tensor([[force, 0.0]]).double() - forces)[0].tolist()
    push = force + pole * length * math.sin(theta) * rate**2
    assert (cart + pole) * x + pole * length * math.cos(theta) * angle == pytest.approx(push)
    assert length * angle + math.cos(theta) * x == pytest.approx(-G * math.sin(theta))


@pytest.mark.ci
@pytest.mark.parametrize("hinges", [(True, True), (True, False, True)])
def test_any_free_mass_matrix_keeps_the_energy(hinges):
    """RK4 at 1 ms for 0.5 s: Coriolis terms that are consistent with M keep the energy to 1e-6."""
    torch.manual_seed(3)
    free = Free(hinges, torch.ones(len(hinges))).double()
    with torch.no_grad():
        free.bumps.weight.mul_(2.0)

    def energy(q, v):
        mass, _ = free(q, v)
        inputs, _ = free._inputs(q)
        height = free.height(torch.tanh(free.hills(inputs))) * torch.exp(2 * free.size)
        return (0.5 * v[:, None] @ mass @ v[:, :, None]).flatten() + height.flatten()

    def law(q, v):
        mass, forces = free(q, v)
        return solve(mass, -forces)

    with torch.no_grad():
        q, v, dt = torch.randn(5, len(hinges)).double(), torch.randn(5, len(hinges)).double(), 1e-3
        first = energy(q, v)
        for _ in range(500):
            k1 = law(q, v)
            k2 = law(q + dt / 2 * v, v + dt / 2 * k1)
            k3 = law(q + dt / 2 * v + dt**2 / 4 * k1, v + dt / 2 * k2)
            k4 = law(q + dt * v + dt**2 / 2 * k2, v + dt * k3)
            q = q + dt * v + dt**2 / 6 * (k1 + k2 + k3)
            v = v + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        torch.testing.assert_close(energy(q, v), first, rtol=1e-6, atol=1e-6)


def test_the_unrolled_solution_is_that_of_lapack():
    root = torch.randn(9, 5, 5, generator=torch.Generator().manual_seed(0)).double()
    mass = root @ root.transpose(1, 2) + torch.eye(5).double()
    forces = torch.randn(9, 5, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(solve(mass, forces), torch.linalg.solve(mass, forces))


def test_an_action_acts_after_its_delay():
    """A gain of 2 and 1.25 rows: three quarters of the row before, one of the row before that."""
    actuators = Actuators((0,), 1, 3, filtered=False)
    with torch.no_grad():
        actuators.gain.fill_(2.0)
        actuators.delay.fill_(math.log(1.25 / 3 / (1 - 1.25 / 3)))
        result = actuators(torch.tensor([[[1.0], [10.0], [100.0], [1000.0]]]))
    assert result.item() == pytest.approx(2 * (0.75 * 100 + 0.25 * 10), rel=1e-6)


TASK = {
    "task": "swing",
    "dt": 0.02,
    "channels": PENDULUM | {"other": {"role": "action", "unit": "N*m"}},
    "learn": {"type": "dynamics", "model": {"type": "mlp"}},
}
ALPHA = {"alpha": Output(relation="derivative", of="velocity")}


def build(settings: RigidBody, outputs=None, integrator="semi_implicit"):
    layout = make_layout(Task.model_validate(TASK), outputs or ALPHA, integrator, 4)
    sizes = (2, layout.features, layout.features, len(layout.outputs), len(layout.outputs))
    scale = {key: torch.ones(size).double() for key, size in zip(SCALES, sizes, strict=True)}
    return settings.build_for(layout, scale)


def test_what_does_not_fit_the_equations_is_refused():
    drives = {"other": "angle"}
    assert build(RigidBody(drives=drives)).equations.actuators.target.tolist() == [[1.0], [1.0]]
    with pytest.raises(BadInput, match="drives: other"):
        build(RigidBody())
    with pytest.raises(BadInput, match="expected the derivative of the velocity"):
        build(RigidBody(drives=drives), {"step": Output(relation="delta", of="velocity")})
    crane = {
        "cart": {"role": "state", "unit": "m"},
        "cart_velocity": {"role": "state", "unit": "m/s", "derivative_of": "cart"},
    }
    task = Task.model_validate(TASK | {"channels": TASK["channels"] | crane})
    runs = ALPHA | {"push": Output(relation="derivative", of="cart_velocity")}
    with pytest.raises(BadInput, match="a slide follows the hinge 'angle'"):
        RigidBody().build_for(make_layout(task, runs, "semi_implicit", 4), {})
    with pytest.raises(BadInput, match="updated once a step"):
        build(RigidBody(drives=drives, observer=True), integrator="rk4")
    problems = RigidBody(drives=drives, symmetric=True, mass="free").problems(task.channels)
    assert problems == [(("symmetric",), "needs `mass: chain`, not free")]


def test_a_task_without_outputs_predicts_the_acceleration_of_each_velocity():
    learn = {"type": "dynamics", "model": {"type": "rigid_body"}}
    layout = layout_of(Task.model_validate(TASK | {"learn": learn}))
    assert layout.outputs == (("velocity_rate", ALPHA["alpha"]),)
    assert RigidBody().output_problems(dict(layout.outputs)) == []


def test_a_gauss_newton_fit_is_the_default_without_a_residual_network():
    def fit(**learn):
        learn = {"type": "dynamics", "model": {"type": "rigid_body"}, **learn}
        return Task.model_validate(TASK | {"learn": learn}).learn.gauss_newton

    assert fit() == GaussNewton()
    assert fit(gauss_newton=None) is None
    assert fit(model={"type": "mlp"}) is None
    assert fit(model={"type": "rigid_body", "residual": {"type": "mlp"}}) is None
    with pytest.raises(TaskError) as refused:
        make_task({**TASK, "learn": {"type": "dynamics", "model": {"type": "rigid"}}})
    assert len(refused.value.problems) == 1


def test_a_task_whose_velocities_are_unknown_is_refused_when_it_is_read(tmp_path):
    channels = {name: dict(one) for name, one in TASK["channels"].items()}
    del channels["velocity"]["derivative_of"]
    learn = {"type": "dynamics", "model": {"type": "rigid_body"}}
    with pytest.raises(TaskError, match=r"learn\.model: rigid_body predicts acc.*derivative_of"):
        load_task_in(tmp_path, TASK | {"channels": channels, "learn": learn})


@pytest.mark.parametrize("friction", ["coulomb", "lugre"])
@pytest.mark.parametrize("names", [("angle",), ("cart", "angle")])
def test_a_symmetric_chain_moves_as_its_mirror_image(names, friction):
    """For any weights; without the setting, constant forces break the symmetry."""
    torch.manual_seed(0)
    units = {"cart": ("m", "linear"), "angle": ("rad", "angle")}
    channels = {"torque": {"role": "action", "unit": "N*m"}}
    for name in names:
        unit, kind = units[name]
        rate = {"role": "state", "unit": f"{unit}/s", "derivative_of": name}
        channels |= {name: {"role": "state", "kind": kind, "unit": unit}, f"{name}_rate": rate}
    task = Task.model_validate(TASK | {"channels": channels})
    outputs = {f"{name}_a": Output(relation="derivative", of=f"{name}_rate") for name in names}
    layout = make_layout(task, outputs, "semi_implicit", 4)
    count = len(layout.states)
    scale = {"state_std": torch.ones(count), "output_std": torch.ones(len(names))}
    states, actions = torch.randn(6, 4, count), torch.randn(6, 4, 1)
    differences = {}
    for symmetric in (True, False):
        curve = {"position_curve": 5, "friction": friction}
        settings = RigidBody(symmetric=symmetric, observer=True, **curve)
        network = settings.build_for(layout, scale)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        total = 0.0
        for sign in (1.0, -1.0):
            rows, acting = sign * states, sign * actions
            carry = network.warm_up(rows[:, :-1], acting[:, :-1], rows[:, :-1])
            total = total + network(rows[:, -1], acting[:, -1], rows[:, -1], *carry)[0]
        differences[symmetric] = float(total.detach().abs().max())
    assert differences[True] < 1e-4 < 1e-2 < differences[False]


def test_the_observer_finds_the_velocity_behind_noise():
    """At 1 rad/s with noise of 0.1, the error after 30 rows is under a quarter of the noise."""
    network = build(RigidBody(drives={"other": "angle"}, observer=True, delay=0))
    with torch.no_grad():
        network.equations.mechanics.weight.zero_()
        network.equations.friction.viscous.fill_(-20.0)
        network.equations.friction.coulomb.fill_(-20.0)
        network.velocity_gain.fill_(-3.0)
        network.position_gain.fill_(0.05)
        random, dt = torch.Generator().manual_seed(0), 0.02
        angle = 0.1 + dt * torch.arange(31.0).repeat(400, 1)
        noisy = 1.0 + 0.1 * torch.randn(400, 31, generator=random)
        states, still = torch.stack([angle, noisy], 2), torch.zeros(400, 31, 2)
        carry = network.warm_up(states[:, :-1], still[:, :-1], still[:, :-1])
        acceleration, *_ = network(states[:, -1], still[:, -1], still[:, -1], *carry)
    result = noisy[:, -1] + dt * acceleration[:, 0]
    assert (result - 1.0).square().mean().sqrt() < 0.25 * 0.1
