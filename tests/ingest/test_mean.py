"""Resampling by the mean over a time step, as an anti-aliasing filter of fast logs."""

import numpy as np
import pytest

from kinemill.ingest.channels import on_grid
from tests.conftest import learning_task

CHANNELS = {
    "q": {"role": "state", "kind": "angle", "unit": "rad"},
    "v": {"role": "state", "unit": "rad/s"},
    "u": {"role": "action", "unit": "N*m"},
}
TASK = learning_task("arm", 0.01, CHANNELS, ingest={"resample": {"method": "mean"}})
SECONDS = 0.001 * np.arange(2001)
GRID = 0.01 * np.arange(201)


def resampled(task=TASK, seconds=SECONDS, **values):
    return on_grid(values, seconds, GRID, task)


def test_a_signal_above_half_the_new_rate_is_not_aliased():
    """Every tenth row of 90 Hz at 1 kHz is 10 Hz in full size; the mean leaves sin(0.9 π)/0.9 π."""
    wave = np.sin(2.0 * np.pi * 90.0 * SECONDS)
    plain = learning_task("arm", 0.01, CHANNELS)
    inner = slice(1, -1)
    assert np.abs(resampled(plain, v=wave)["v"][inner]).max() == pytest.approx(0.95, abs=0.05)
    assert np.abs(resampled(v=wave)["v"][inner]).max() == pytest.approx(0.109, abs=0.01)


def test_states_are_not_shifted_and_actions_are_means_of_the_step_that_follows():
    ramp = 3.0 + 2.0 * SECONDS
    out = resampled(v=ramp, u=ramp)
    assert out["v"] == pytest.approx(3.0 + 2.0 * GRID, abs=1e-12)  # also at both ends
    assert out["u"][:-1] == pytest.approx(3.0 + 2.0 * (GRID[:-1] + 0.005), abs=1e-12)


def test_noise_falls_with_the_root_of_the_rows():
    noise = np.random.default_rng(0).normal(size=len(SECONDS))
    assert resampled(v=noise)["v"][1:-1].std() == pytest.approx(1.0 / np.sqrt(10.0), rel=0.15)


def test_wrapped_angles_are_averaged_as_turns():
    turning = 9.0 * SECONDS
    wrapped = np.mod(turning + np.pi, 2.0 * np.pi) - np.pi
    out = resampled(q=wrapped)["q"]
    assert np.mod(out - 9.0 * GRID + np.pi, 2.0 * np.pi) - np.pi == pytest.approx(0.0, abs=1e-9)


def test_a_missing_value_affects_the_steps_that_contain_it_alone():
    values = np.ones(len(SECONDS))
    values[1003] = np.nan  # 1.003 s, within the step at 1.00 s of 0.995 to 1.005 s
    out = resampled(v=values)["v"]
    assert np.flatnonzero(~np.isfinite(out)).tolist() == [100]
    assert out[np.isfinite(out)] == pytest.approx(1.0)


def test_values_far_from_zero_and_jittered_stamps_keep_their_precision():
    random = np.random.default_rng(1)
    seconds = np.sort(SECONDS + random.uniform(-4e-4, 4e-4, len(SECONDS)))
    seconds[[0, -1]] = SECONDS[[0, -1]]
    out = resampled(seconds=seconds, v=5e6 + seconds)["v"]
    assert out == pytest.approx(5e6 + GRID, abs=1e-8)
