"""Inputs of training rollouts and weights of their errors, computed by hand from the module."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kinemill.errors import TaskError
from kinemill.train.data import make_windows
from kinemill.train.dynamics_settings import TeacherForcing
from kinemill.train.loop import fit
from kinemill.train.noise import KeyedNoise
from tests.train.conftest import CPU, QUIET, pendulum_task


def prepared(packed, **learn):
    task = pendulum_task(**learn)
    return *task.learn.prepare(task, packed, packed, CPU), task.learn


def wrapped(error):
    error[..., 0] = (error[..., 0] + np.pi) % (2 * np.pi) - np.pi
    return error


def everything(module, packed):
    windows = make_windows(packed, "train", module.layout, 4)
    return windows.gather(torch.arange(len(windows)))


def test_the_probability_of_truth_falls_evenly():
    forcing = TeacherForcing(first=1.0, last=0.2, steps=80)
    assert [forcing.at(step) for step in (0, 40, 80, 500)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_with_truth_at_every_step_the_loss_is_that_of_single_steps(packed):
    """Teacher forcing: each step starts from the measured state, its memory goes on."""
    module, objective, _ = prepared(packed, teacher_forcing={"first": 1, "last": 1})
    states, past, actions, truth = everything(module, packed)
    rows, acted = torch.cat([states, truth], 1), torch.cat([past, actions], 1)
    errors = []
    with torch.no_grad():
        for k in range(4):
            is_known, original = rows[:, k : k + 3], acted[:, k : k + 2]
            errors.append(
                module.rollout(is_known, original, acted[:, k + 2 : k + 3])[:, 0] - truth[:, k]
            )
    expected = (wrapped(torch.stack(errors, 1).numpy()) / packed.std[:2]) ** 2
    result = objective.loss(torch.arange(objective.windows), 0).item()
    assert result == pytest.approx(expected.mean(), rel=1e-4)


def test_without_truth_the_loss_is_that_of_plain_rollouts(packed):
    which = torch.arange(40)
    plain = prepared(packed)[1].loss(which, 3).item()
    assert (
        prepared(packed, teacher_forcing={"first": 0, "last": 0})[1].loss(which, 3).item() == plain
    )


def test_a_coin_falls_as_often_as_it_should_and_the_same_way_again():
    one, again = (KeyedNoise(5, 7, CPU).below(0.3, 200, 100) for _ in range(2))
    assert torch.equal(one, again)
    assert one.double().mean().item() == pytest.approx(0.3, abs=0.01)  # 3 σ of 20,000 tosses
    assert not torch.equal(one, KeyedNoise(5, 8, CPU).below(0.3, 200, 100))


def test_noise_goes_into_what_is_known_in_the_units_of_its_channel(packed):
    """The truth stays clean: with noise the loss is that of disturbed histories against it."""
    module, objective, learn = prepared(packed, noise={"velocity": 0.3, "torque": 0.5})
    assert learn.noise == {"velocity": 0.3, "torque": 0.5}
    states, past, actions, truth = everything(module, packed)
    noise_ = KeyedNoise(0, 11, CPU)
    drawn = [noise_.normal(*part.shape) for part in (states, past, actions)]
    sizes = (torch.tensor([0.0, 0.3]), torch.tensor([0.5]), torch.tensor([0.5]))
    arguments = [p + s * d for p, s, d in zip((states, past, actions), sizes, drawn, strict=True)]
    with torch.no_grad():
        error = wrapped((module.rollout(*arguments) - truth).numpy()) / packed.std[:2]
    result = objective.loss(torch.arange(objective.windows), 11).item()
    assert result == pytest.approx((error**2).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("weights", "shares"),
    [("unit", "std"), ({"velocity": 3.0}, [0.5, 1.5]), ({"velocity": 0.0}, [2.0, 0.0])],
)
def test_errors_count_by_unit_or_as_they_are_told_to(packed, weights, shares):
    """Weights have a mean of 1; `unit` undoes the division by the spread."""
    module, objective, _ = prepared(packed, weights=weights)
    if shares == "std":
        shares = packed.std[:2] ** 2 / (packed.std[:2] ** 2).mean()
    states, past, actions, truth = everything(module, packed)
    with torch.no_grad():
        error = wrapped((module.rollout(states, past, actions) - truth).numpy()) / packed.std[:2]
    result = objective.loss(torch.arange(objective.windows), 0).item()
    assert result == pytest.approx((error**2 * shares).mean(), rel=1e-4)


def test_the_gaussian_loss_is_the_likelihood_of_errors_whose_variance_adds_up(packed):
    """Outputs are deltas, so a variance q a step makes k q after k; r is that of a measurement."""
    module, objective, _ = prepared(packed, loss="gaussian")
    noise = module.apart().copies[0].noise
    q = torch.exp(noise(torch.zeros(1, 4))[0].detach()) * torch.tensor(packed.delta_std) ** 2
    r = (0.02 * torch.tensor(packed.std[:2])) ** 2
    states, past, actions, truth = everything(module, packed)
    with torch.no_grad():
        error = wrapped((module.rollout(states, past, actions) - truth).numpy())
    variance = (q * torch.arange(1, 5).unsqueeze(1) + r).numpy() / packed.std[:2] ** 2
    terms = 0.5 * ((error / packed.std[:2]) ** 2 / variance + np.log(variance))
    slack = 0.01 * 2 * 10.5  # two outputs, bounds of -10 and 0.5
    result = objective.loss(torch.arange(objective.windows), 0).item()
    assert result == pytest.approx(terms.mean() + slack, rel=1e-3)


def test_a_noise_that_is_there_is_found(packed, tmp_path):
    """Velocity measured with a std of 0.2 rad/s, angle almost exactly: the variance says so."""
    random = np.random.default_rng(0)
    values = packed.values.copy()
    values[:, 1] += 0.2 * random.standard_normal(len(values)).astype(np.float32)
    noisy = replace(packed, segments=[values])
    module, objective, learn = prepared(
        noisy,
        loss="gaussian",
        steps=200,
        optimizer={"lr": 1e-2},
        patience=None,
        checkpoint="likelihood",
        eval_every=50,
        model={"type": "mlp", "hidden_sizes": [32]},
    )
    state, best = fit(module, objective, learn, tmp_path, QUIET)
    module.load_state_dict(best)
    windows = make_windows(noisy, "validation", module.layout, 4)
    states, past, actions, truth = windows.gather(torch.arange(len(windows)))
    with torch.no_grad():
        result, _, variance = module.bundle(states, past, actions)
    share = ((result - truth).abs() <= 1.645 * variance.sqrt())[..., 1].double().mean().item()
    assert 0.8 < share < 0.97  # 90 % of 144 windows of one episode
    assert 0.15 < variance[..., 1].sqrt().mean().item() < 0.45
    assert state.best < 0


def test_names_that_are_no_channel_and_weights_of_nothing_are_refused():
    def problems(**learn):
        task = pendulum_task(**learn)
        return [what for _, what in task.learn.problems(task.channels)]

    assert any("did you mean 'velocity'" in what for what in problems(noise={"velocty": 0.1}))
    assert any("unknown channel" in what for what in problems(weights={"torque": 1.0}))
    assert any("zero for every" in what for what in problems(weights={"angle": 0, "velocity": 0}))
    assert any("gaussian" in what for what in problems(checkpoint="likelihood"))
    with pytest.raises((ValidationError, TaskError)):
        pendulum_task(noise={"velocity": -1.0})
