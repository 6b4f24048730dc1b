"""Unknown forces of positions in equations of motion."""

import math

import numpy as np
import pytest
import torch

from kinemill.errors import TaskError
from kinemill.models.networks.position_curve import PositionCurve
from kinemill.task import make_task
from kinemill.train.layout import layout_of
from kinemill.train.objectives._dynamics_setup import error_of, fit_network
from kinemill.train.step import make_step
from tests.dataset.packing import PENDULUM
from tests.models import systems

HISTORY, HORIZON, DT = 2, 20, 0.02
TASK = {
    "task": "valve",
    "dt": DT,
    "channels": PENDULUM,
    "learn": {
        "type": "dynamics",
        "history": HISTORY,
        "horizon": HORIZON,
        "integrator": "semi_implicit",
        "model": {"type": "rigid_body", "delay": 0},
    },
}


def curve_of(low, high, *, is_hinge, symmetric=False, points=9):
    curve = PositionCurve((is_hinge,), points, symmetric=symmetric)
    curve.initialize(torch.tensor([low]), torch.tensor([high]), torch.ones(1))
    return curve


def spring(angle):
    """Return the force of a spring that hardens, with a cogging torque, N·m."""
    return 4.0 * angle + 2.0 * angle**3 + 0.5 * np.sin(8.0 * angle)


def valve(rows, seed):
    """Return angle, velocity, torque of a joint of 0.05 kg·m² against the spring."""
    random, angle, velocity, result = np.random.default_rng(seed), 0.0, 0.0, []
    for torque in np.repeat(random.uniform(-5.0, 5.0, rows // 8), 8):
        result.append((angle, velocity, torque))
        velocity += DT * (torque - spring(angle) - 0.2 * velocity) / 0.05
        angle += DT * velocity
    return torch.tensor(np.array(result), dtype=torch.float32)


def windows_of(rows):
    return systems.windows_of(rows, HISTORY, HORIZON, 2)


def error_after_fit(points, symmetric):
    """Fit a chain to one recording, and return its error on another one."""
    model = {"type": "rigid_body", "delay": 0, "position_curve": points, "symmetric": symmetric}
    task = make_task(TASK | {"learn": {**TASK["learn"], "model": model}})
    rows = valve(1600, 0)
    change = torch.diff(rows[:, 1]) / DT
    layout = layout_of(task)
    mean, std = torch.zeros(layout.features), torch.ones(layout.features)
    parts = (rows[:, :2].std(0), mean, std, change.mean()[None], change.std()[None])
    step = make_step(task.learn.model, layout, systems.scale_of(*parts))
    windows = windows_of(rows)
    fit_network(step, windows, torch.arange(len(windows)))
    systems.fit(step, windows, windows=100, iterations=30)
    return error_of(step, windows_of(valve(1600, 1)))


@pytest.mark.ci
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_joint_against_a_spring_with_cogging_is_identified(symmetric):
    assert error_after_fit(15, symmetric) < 0.1 * error_after_fit(0, symmetric)


def test_a_curve_starts_at_zero_and_follows_any_smooth_force():
    curve = curve_of(-0.8, 0.9, is_hinge=True, points=15)
    q = torch.linspace(-0.8, 0.9, 400).unsqueeze(1)
    assert not curve(q).any()
    bumps = torch.func.jacrev(lambda one: torch.func.functional_call(curve, {"height": one}, q))(
        curve.height.detach()
    ).reshape(len(q), -1)
    force = torch.tensor(spring(q.numpy()))
    heights = torch.linalg.lstsq(bumps, force).solution
    assert (bumps @ heights - force).abs().max() < 0.02 * force.abs().max()


def test_a_curve_of_a_hinge_that_turns_repeats_every_turn():
    curve = curve_of(-9.0, 20.0, is_hinge=True)
    torch.nn.init.normal_(curve.height, generator=torch.Generator().manual_seed(0))
    q = torch.linspace(-math.pi, math.pi, 50).unsqueeze(1)
    torch.testing.assert_close(curve(q), curve(q + 2.0 * math.pi))
    assert curve(q).std() > 0.3


def test_a_slide_feels_no_force_far_from_the_positions_in_training():
    curve = curve_of(0.0, 2.0, is_hinge=False)
    torch.nn.init.ones_(curve.height)
    near, far = curve(torch.tensor([[1.0]])), curve(torch.tensor([[2.0 + 2.0 * math.pi]]))
    assert near > 2.0
    assert far < 1e-6


@pytest.mark.parametrize("is_hinge", [True, False])
def test_a_symmetric_curve_is_odd(is_hinge):
    curve = curve_of(-1.0, 0.4, is_hinge=is_hinge, symmetric=True)
    torch.nn.init.normal_(curve.height, generator=torch.Generator().manual_seed(0))
    q = torch.linspace(-1.0, 1.0, 50).unsqueeze(1)
    torch.testing.assert_close(curve(q), -curve(-q))
    assert curve(q).abs().max() > 0.3


def test_three_points_are_no_curve():
    learn = {**TASK["learn"], "model": {"type": "rigid_body", "position_curve": 3}}
    with pytest.raises(TaskError, match=r"position_curve: 3 points; expected 0, or 4 or more"):
        make_task(TASK | {"learn": learn})
