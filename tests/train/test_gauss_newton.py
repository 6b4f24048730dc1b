"""Fitting by Gauss and Newton's method: a pendulum whose equation is known, and what it refuses."""

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.train.batches import MEMBER_STRIDE
from kinemill.train.data import make_windows, scale_of
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.gauss_newton import fit_rollouts
from kinemill.train.layout import layout_of
from kinemill.train.objectives._dynamics_setup import error_of
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
        subset = {"windows": 16, "iterations": 2, "starts": starts}
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
