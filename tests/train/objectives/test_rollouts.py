"""Free runs over rows that are left out: their lengths, and errors that we know."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kinemill.errors import TaskError
from kinemill.train.data import Windows, make_windows
from kinemill.train.loop import fit
from kinemill.train.noise import KeyedNoise
from kinemill.train.objectives._rollouts import FreeRuns, is_left_out
from tests.train.conftest import CPU, QUIET, pendulum_task, ready


def windows_of(lengths, history=3, horizon=4):
    """Episodes of some lengths, one behind the other; the state of row n is n."""
    rows, starts, first = history + horizon, [], 0
    for length in lengths:
        starts += range(first, first + length - rows + 1)
        first += length
    values = torch.stack([torch.arange(float(first)), torch.ones(first)], dim=1)
    return Windows(values, torch.tensor(starts), history, horizon, 1)


class Shifted:
    """Counts on with an error that grows by a constant in each step."""

    state_std = torch.tensor([2.0])

    def __init__(self, schedule):
        self.schedule, self.steps = schedule, 0

    def wrap(self, values):
        return values

    def rollout(self, states, past_actions, actions):
        assert states.shape[1:] == (3, 1)
        assert past_actions.shape[1:] == (2, 1)
        self.steps = actions.shape[1]
        count = torch.arange(1.0, self.steps + 1)
        return states[:, -1:] + ((1.0 + self.schedule) * count)[None, :, None]


def test_a_fifth_of_the_windows_is_left_out_in_two_blocks():
    mask = is_left_out(windows_of([106]))
    assert mask.nonzero().flatten().tolist() == [*range(20, 30), *range(70, 80)]
    assert is_left_out(windows_of([8])).tolist() == [False, True]


@pytest.mark.parametrize(("lengths", "steps"), [([1006], 103), ([56] * 20, 53)])
def test_a_run_ends_with_its_block_or_with_its_episode(lengths, steps):
    windows = windows_of(lengths)
    runs, step = FreeRuns(windows, is_left_out(windows)), Shifted(0.0)
    assert runs.error_of(step) < 1e-12
    assert step.steps == steps


def test_the_error_is_a_geometric_mean_over_doubling_steps():
    """0.02 k standard deviations after k steps: the mean of 1, 2, ... 64 of these is 8."""
    windows = windows_of([1006])
    runs = FreeRuns(windows, is_left_out(windows))
    assert runs.error_of(Shifted(0.04)) == pytest.approx(0.02 * 8, rel=1e-4)


def test_a_run_that_is_not_finite_counts_as_the_largest_error():
    windows = windows_of([1006])
    runs = FreeRuns(windows, is_left_out(windows))
    assert runs.error_of(Shifted(np.nan)) == pytest.approx(10.0)


def wrapped(error):
    error[..., 0] = (error[..., 0] + np.pi) % (2 * np.pi) - np.pi
    return error


def everything(module, packed):
    windows = make_windows(packed, "train", module.layout, 4)
    return windows.gather(torch.arange(len(windows)))


def test_noise_goes_into_what_is_known_in_the_units_of_its_channel(packed):
    """The truth stays clean: with noise the loss is that of disturbed histories against it."""
    module, objective, learn = ready(packed, noise={"velocity": 0.3, "torque": 0.5})
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
    module, objective, _ = ready(packed, weights=weights)
    if shares == "std":
        shares = packed.std[:2] ** 2 / (packed.std[:2] ** 2).mean()
    states, past, actions, truth = everything(module, packed)
    with torch.no_grad():
        error = wrapped((module.rollout(states, past, actions) - truth).numpy()) / packed.std[:2]
    result = objective.loss(torch.arange(objective.windows), 0).item()
    assert result == pytest.approx((error**2 * shares).mean(), rel=1e-4)


def test_the_gaussian_loss_is_the_likelihood_of_errors_whose_variance_adds_up(packed):
    """Outputs are deltas, so a variance q a step makes k q after k; r is that of a measurement."""
    module, objective, _ = ready(packed, loss="gaussian")
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
    module, objective, learn = ready(
        noisy,
        loss="gaussian",
        steps=200,
        optimizer={"lr": 1e-2},
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
