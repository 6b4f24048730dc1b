"""Fitting by Gauss and Newton's method: a pendulum whose equation is known, and what it refuses."""

import copy

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.task.protocols import WarmStart
from kinemill.train import gauss_newton, time_limit
from kinemill.train.batches import MEMBER_STRIDE
from kinemill.train.data import make_windows
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.gauss_newton import Rollouts, fit_rollouts
from kinemill.train.layout import layout_of
from kinemill.train.objectives import _dynamics_setup
from kinemill.train.objectives._dynamics_setup import error_of, fit_network
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from tests.train.conftest import pendulum_task

ALPHA = {"alpha": {"relation": "derivative", "of": "velocity"}}


def make(packed, model, **learn):
    torch.manual_seed(0)
    task = pendulum_task(model=model, history=3, horizon=20, **learn)
    layout = layout_of(task)
    step = make_step(task.learn.model, layout, scale_of(packed, layout))
    return step, make_windows(packed, "train", layout, 20)


def test_it_finds_the_equation_of_the_pendulum(packed):
    """The rows obey dv/dt = -9 sin q - 0.2 v + u exactly, so nothing is left over."""
    step, windows = make(packed, {"type": "rigid_body", "delay": 0}, outputs=ALPHA)
    fit_rollouts(step, windows, torch.arange(len(windows)), GaussNewton(windows=128))
    law = step.network.equations
    q, v, u = (torch.tensor([value]) for value in ([[0.7]], [[0.0]], [[0.0]]))
    still = law(q[0], v[0], torch.zeros(1, 1, 1)).item()
    assert still == pytest.approx(-9 * torch.sin(torch.tensor(0.7)).item(), rel=1e-2)
    changing = law(q[0], v[0] + 2.0, torch.zeros(1, 1, 1)).item()
    assert changing - still == pytest.approx(-0.2 * 2.0, rel=5e-2)
    assert law(q[0], v[0], u + 1.5).item() - still == pytest.approx(1.5, rel=1e-2)
    result = step.rollout(*windows.gather(torch.arange(8))[:3])
    truth = windows.gather(torch.arange(8))[3]
    assert step.wrap(result - truth).abs().max() < 0.01  # rad, rad/s after 20 steps of 0.02 s


def test_a_ridge_keeps_parameters_where_they_were(packed):
    moved = []
    for ridge in (0.0, 1e3):
        step, windows = make(packed, {"type": "rigid_body", "delay": 0}, outputs=ALPHA)
        original = [value.detach().clone() for value in step.parameters()]
        settings = GaussNewton(windows=32, iterations=5, ridge=ridge)
        fit_rollouts(step, windows, torch.arange(len(windows)), settings)
        pairs = zip(original, step.parameters(), strict=True)
        moved.append(max((b - a).abs().max().item() for a, b in pairs))
    assert moved[1] < 1e-3 < 0.1 < moved[0]


def test_a_network_of_many_parameters_is_refused(packed):
    step, windows = make(packed, {"type": "mlp", "hidden_sizes": [128]})
    with pytest.raises(BadInput, match="at most 1000"):
        fit_rollouts(step, windows, torch.arange(4), GaussNewton())


def test_of_several_starts_the_best_in_validation_is_taken(packed):
    """Each start is what its own seed alone gives; the chosen one errs least on validation rows."""
    errors = []
    for seed, starts in ((0, 1), (MEMBER_STRIDE, 1), (2 * MEMBER_STRIDE, 1), (0, 3)):
        subset = {"windows": 16, "iterations": 2, "n_init": starts}
        model = {"type": "latent", "size": 2, "hidden_size": 3}
        task = pendulum_task(
            model=model,
            history=3,
            horizon=10,
            gauss_newton=subset,
            seed=seed,
            outputs={
                "angle": {"relation": "delta", "of": "angle"},
                "velocity": {"relation": "delta", "of": "velocity"},
            },
        )
        module, _ = task.learn.prepare(task, packed, packed, torch.device("cpu"))
        watch = make_windows(packed, "validation", layout_of(task), 10, most=2048)
        errors.append(error_of(module, watch))
    assert errors[3] == min(errors[:3])
    assert len(set(errors[:3])) == 3


@pytest.mark.parametrize(
    ("model", "learn"),
    [
        ({"type": "rigid_body", "delay": 2, "observer": True}, {"outputs": ALPHA}),
        (
            {"type": "rigid_body", "delay": 0, "friction": "lugre", "position_curve": 5},
            {"outputs": ALPHA},
        ),
        ({"type": "latent", "size": 3, "hidden_size": 4}, {}),
        ({"type": "pnlss", "size": 2}, {}),
        ({"type": "gru", "hidden_size": 4}, {"window": "sliding"}),
        ({"type": "physics"}, {"outputs": ALPHA, "integrator": "rk4"}),
    ],
)
def test_slopes_by_sensitivities_are_those_along_the_rollout(packed, model, learn, monkeypatch):
    """Two ways to the same normal equations: step by step, and through the whole rollout."""
    step, windows = make(packed, model, **learn)
    if hasattr(step.network, "fit"):
        fit_network(step, windows, torch.arange(len(windows)))
    window = tuple(part.double() for part in windows.gather(torch.arange(0, 60, 10)))
    rollouts = Rollouts(copy.deepcopy(step).double(), window)
    flat = torch.cat([value.detach().double().flatten() for value in step.parameters()])
    square, gradient = rollouts.normal(flat, 20)
    monkeypatch.setattr(gauss_newton, "MOST_VALUES", 0)
    expected, expected_gradient = rollouts.normal(flat, 20)
    torch.testing.assert_close(square, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-8)


def test_gradients_are_those_of_finite_differences(packed):
    step, windows = make(packed, {"type": "rigid_body", "delay": 0}, outputs=ALPHA)
    window = tuple(part.double() for part in windows.gather(torch.arange(0, 60, 10)))
    rollouts = Rollouts(copy.deepcopy(step).double(), window)
    flat = torch.cat([value.detach().double().flatten() for value in step.parameters()])
    _, gradient = rollouts.normal(flat, 20)
    for index in range(len(flat)):
        change = torch.zeros_like(flat)
        change[index] = 1e-6
        up, down = (rollouts.errors(flat + sign * change, 20).square().sum() for sign in (1, -1))
        assert float(up - down) / 4e-6 == pytest.approx(float(gradient[index]), rel=1e-4, abs=1e-6)


class Clock:
    """Each look at it takes a second."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.0, 200.0])
def test_a_deadline_ends_it_with_the_best_parameters_so_far(packed, seconds, monkeypatch):
    """After any interruption, errors are not larger than before; without one they are equal."""
    clock = Clock()
    monkeypatch.setattr(time_limit, "time", clock)
    step, windows = make(packed, {"type": "rigid_body", "delay": 0}, outputs=ALPHA)
    which, settings = torch.arange(len(windows)), GaussNewton(windows=32, iterations=5)
    unlimited = copy.deepcopy(step)
    fit_rollouts(unlimited, windows, which, settings)
    initial = error_of(step, windows)
    fit_rollouts(step, windows, which, settings, seconds)
    after = error_of(step, windows)
    assert clock.now <= seconds + 3.0
    if seconds == 1.0:
        assert after == initial
    else:
        assert after <= initial
    if seconds == 200.0:
        for one, other in zip(step.parameters(), unlimited.parameters(), strict=True):
            assert torch.equal(one, other)


@pytest.fixture
def limits(monkeypatch):
    """The time limit of each fit, which does nothing."""
    limits = []
    monkeypatch.setattr(_dynamics_setup, "fit_rollouts", lambda *args: limits.append(args[4]))
    return limits


def test_the_time_limit_is_shared_by_all_initializations(packed, limits):
    model = {"type": "latent", "size": 2, "hidden_size": 3}
    newton = {"n_init": 3, "seconds": 12.0}
    task = pendulum_task(model=model, gauss_newton=newton, ensemble=2)
    task.learn.prepare(task, packed, packed, torch.device("cpu"))
    assert limits == [2.0] * 6


def test_a_warm_start_is_fitted_once_within_the_whole_time_limit(packed, limits, monkeypatch):
    """No second fit from random weights: a warm start costs one Gauss-Newton fit."""
    monkeypatch.setattr(_dynamics_setup, "start_weights", lambda module, start, units: None)
    newton = {"n_init": 3, "seconds": 12.0}
    model = {"type": "rigid_body", "delay": 0}
    task = pendulum_task(model=model, gauss_newton=newton, history=3, outputs=ALPHA)
    start = WarmStart("x", "y", "z")
    task.learn.prepare(task, packed, packed, torch.device("cpu"), start)
    assert limits == [12.0]
