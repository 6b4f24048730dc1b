"""Conformal correction with a known Gaussian, with too few windows, and in an exported model."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.export.conformal import HORIZON, conform, correction_of
from kinemill.export.interface import describe, with_conformal
from kinemill.export.step_files import write_model
from kinemill.runtime import load, wrapped
from kinemill.runtime.interval_tracker import OnlineIntervals
from kinemill.runtime.uncertainty import corrected
from kinemill.runtime.window_metrics import cut_windows
from kinemill.train.ensemble import Ensemble
from kinemill.train.ensemble_member import Member, Noise
from kinemill.verify.calibration import calibrate, calibration_of, online_factors
from tests.export.conftest import DESCRIPTION, own_rows

W, T = 20_000, 3
MANY = np.full(T, 1e9)


def gaussian(seed, scale):
    """Return errors (W, T, 2) and their stated deviations, which are `scale` times too small."""
    random = np.random.default_rng(seed)
    std = np.exp(random.normal(size=(W, T, 2))) * np.arange(1, T + 1)[:, None]
    return random.normal(size=std.shape) * std, np.square(std / scale)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_intervals_of_any_size_become_those_of_90_percent(scale):
    conformal = correction_of(*gaussian(0, scale), MANY)
    errors, variance = gaussian(1, scale)
    deviation = np.sqrt(corrected(conformal, variance))
    result = calibration_of(["angle", "velocity"], errors, deviation).coverage["0.9"]
    # 0.0064 is three standard deviations of a share of 20,000, and twice the shares are estimated.
    np.testing.assert_allclose([*result.values()], 0.9, atol=0.0128)


def test_few_independent_windows_widen_the_intervals():
    """With n = 19 the quantile is at 0.9 (1 + 1/19) = 0.947; with 9 or fewer it is the maximum."""
    errors, variance = np.linspace(0.0, 1.0, 1001)[:, None, None], np.full((1001, 1, 1), 1e6)
    scales = [
        correction_of(errors, variance, np.array([n])).scale[0][0] for n in (1e9, 19.0, 9.0, 1.0)
    ]
    np.testing.assert_allclose(
        np.array(scales) / scales[-1], [0.9, 0.9 * 20 / 19, 1.0, 1.0], rtol=1e-3
    )


def test_a_state_without_errors_keeps_its_deviation():
    conformal = correction_of(np.zeros((9, 1, 2)), np.ones((9, 1, 2)), np.ones(1))
    assert (conformal.scale, conformal.floor) == (((1.0, 1.0),), ((0.0, 0.0),))


def test_members_that_agree_have_the_floor():
    errors = np.random.default_rng(0).normal(size=(W, 1, 1))
    conformal = correction_of(errors, np.zeros((W, 1, 1)), np.array([1e9]))
    assert conformal.floor[0][0] == pytest.approx(0.1, rel=0.02)
    deviation = np.sqrt(corrected(conformal, np.zeros((W, 1, 1))))
    (result,) = calibration_of(["angle"], errors, deviation).coverage["0.9"]["angle"]
    assert result == pytest.approx(0.9, abs=1e-3)


def test_steps_after_the_last_have_the_correction_of_the_last():
    conformal = correction_of(*gaussian(0, 1.0), MANY)
    variance = corrected(conformal, np.ones((1, T + 2, 2)))
    np.testing.assert_array_equal(variance[:, T:], variance[:, [T - 1, T - 1]])


@pytest.fixture(scope="module")
def noisy_rows():
    """Return two members, a dataset of one of them with noise, and its validation half."""
    step, rows = own_rows(800)
    random = np.random.default_rng(1)
    rows.values[:, :2] += random.normal(size=(len(rows.values), 2)) * [0.01, 0.05]
    (whole,) = rows.episodes
    halves = [
        replace(whole, id=split, split=split, start=first, stop=first + 400)
        for split, first in (("validation", 0), ("test", 400))
    ]
    changed = copy.deepcopy(step)
    with torch.no_grad():
        for value in changed.parameters():
            value.mul_(0.9)
    module = Ensemble([Member(entry, Noise(4, 2, 2)) for entry in (step, changed)]).eval()
    return module, replace(rows, episodes=halves)


@pytest.mark.ci
def test_the_files_carry_the_correction_and_the_simulator_applies_it(noisy_rows, tmp_path):
    module, rows = noisy_rows
    interface = describe(DESCRIPTION, module)
    conformal = conform(module, interface, rows)
    assert np.shape(conformal.scale) == (HORIZON, 2)
    write_model(copy.deepcopy(module), with_conformal(interface, conformal), tmp_path)
    simulator = load(tmp_path)
    assert simulator.interface.belief.conformal == conformal
    starts = rows.window_starts("validation", simulator.history + HORIZON)
    windows = cut_windows(rows.values, 2, starts, simulator.history, HORIZON)
    result = calibrate(simulator, windows, starts)
    # The same windows: at least 90 %, and few more, since (1 + 1/n) is at most 8/7 here.
    covered, uncorrected = (
        np.array([*coverage["0.9"].values()]) for coverage in (result.coverage, result.uncorrected)
    )
    assert (covered >= 0.899).all()
    assert not np.allclose(covered, uncorrected)
    parts = windows.states, windows.past_actions, windows.actions
    _, deviation = simulator.rollout_deviation(*parts)
    _, stated = simulator.rollout_deviation(*parts, conformal=False)
    variance = corrected(conformal, np.square(stated, dtype=float))
    np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-5)


def test_a_model_without_uncertainty_has_nothing_to_correct(noisy_rows):
    module, rows = noisy_rows
    with pytest.raises(BadInput, match=r"learn\.ensemble"):
        conform(module.member.step, describe(DESCRIPTION, module), rows)


def test_predictions_that_diverge_are_refused(noisy_rows):
    module, rows = noisy_rows
    values = rows.values.copy()
    values[100, 2] = np.nan
    with pytest.raises(BadInput, match="not finite"):
        conform(module, describe(DESCRIPTION, module), replace(rows, segments=[values]))


def test_validation_episodes_that_are_too_short_are_refused(noisy_rows):
    module, rows = noisy_rows
    short = [replace(episode, stop=episode.start + module.rows) for episode in rows.episodes]
    interface = describe(DESCRIPTION, module)
    for too_few in (replace(rows, episodes=short), replace(rows, episodes=[]), None):
        with pytest.raises(BadInput, match="more than the history"):
            conform(module, interface, too_few)
    longer = [replace(entry, stop=entry.stop + 7) for entry in short]
    result = conform(module, interface, replace(rows, episodes=longer))
    assert np.shape(result.scale) == (7, 2)


@pytest.mark.slow
def test_a_robot_and_the_verification_have_the_same_online_intervals(noisy_rows, tmp_path):
    module, rows = noisy_rows
    interface = describe(DESCRIPTION, module)
    conformal = replace(conform(module, interface, rows), online=True)
    write_model(copy.deepcopy(module), with_conformal(interface, conformal), tmp_path)
    simulator = load(tmp_path)
    assert simulator.interface.belief.conformal.online
    history = simulator.history
    starts = rows.window_starts("test", history + HORIZON)
    windows = cut_windows(rows.values, 2, starts, history, HORIZON)
    parts = windows.states, windows.past_actions, windows.actions
    predicted, deviation = simulator.rollout_deviation(*parts)
    angle = np.array([name in interface.angles for name in interface.states])
    errors = wrapped(predicted - windows.truth, angle)
    factors = online_factors(errors, deviation, starts)
    values, intervals = rows.values[starts[0] :].astype(np.float32), OnlineIntervals(simulator)
    for present in range(2, history + 200):
        newest = values[present - 2 : present]
        intervals.observe(newest[:, :2], newest[:1, 2:])
    # The prediction from the newest row is that of window 199.
    np.testing.assert_allclose(intervals.factor(HORIZON), factors[199], rtol=1e-3)
    assert np.abs(np.log(factors[199])).max() > 0.2
    after_a_gap = values[300:302]
    before = intervals.factor(HORIZON)
    intervals.observe(after_a_gap[:, :2], after_a_gap[:1, 2:])
    np.testing.assert_array_equal(intervals.factor(HORIZON), before)
