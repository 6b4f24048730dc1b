"""Sampled checks of long logs give the same results as full checks of short ones."""

import numpy as np
import pytest

from kinemill.validate.apply_checks import apply_checks_to_track
from kinemill.validate.duplicates.similarity import sketch
from kinemill.validate.faults import measuring_checks
from kinemill.validate.motion import sensor_noise
from kinemill.validate.time_lag import lag
from tests.validate.conftest import make_task

ROWS, DT = 200_000, 0.01


@pytest.fixture(scope="module")
def long_swing():
    """Three sines that never repeat, half an hour of them and more, with its derivative."""
    time = DT * np.arange(ROWS)
    rate, size = np.array([1.3, 2.9, 4.7]), np.array([0.5, 0.3, 0.2])
    turned = np.outer(time, rate)
    random = np.random.default_rng(0)
    return {
        "angle": np.sin(turned) @ size,
        "velocity": np.cos(turned) @ (size * rate) + 0.05 * random.standard_normal(ROWS),
        "torque": random.standard_normal(ROWS),
    }


def test_noise_of_a_long_log_is_that_which_was_added(long_swing):
    noise = sensor_noise(long_swing["velocity"], long_swing["angle"], DT)
    assert noise == pytest.approx(0.05, rel=0.02)
    task = make_task()
    own = sketch([long_swing], task).noise
    assert own[task.states.index("velocity")] == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("late", [-4, 0, 7])
def test_the_lag_of_a_long_log_is_known_to_a_tenth_of_a_row(long_swing, late):
    velocity = np.roll(long_swing["velocity"], late)
    assert lag(velocity, long_swing["angle"], DT) == pytest.approx(late * DT, abs=0.1 * DT)


def test_the_step_of_a_sensor_is_found_though_it_rests_at_first(long_swing):
    angle = 0.01 * np.round(long_swing["angle"] / 0.01)
    angle[:30_000] = 0.0
    result = measuring_checks(make_task())["quantization"].measure(
        {**long_swing, "angle": angle}, make_task()
    )
    assert result["angle:step"] == pytest.approx(0.01)


def test_a_spike_and_a_slip_anywhere_in_a_long_log_are_found(long_swing):
    clean = apply_checks_to_track(long_swing, make_task())
    assert (clean.findings, clean.pieces) == ([], [(0, ROWS)])
    angle, velocity = long_swing["angle"].copy(), long_swing["velocity"].copy()
    angle[150_001:] += 1.0
    velocity[77_777] += 12.0
    result = apply_checks_to_track(
        {**long_swing, "angle": angle, "velocity": velocity}, make_task()
    ).findings
    expected = {("slip", 150_000, 150_002), ("spike", 77_777, 77_778)}
    assert {(item.check, item.fault.start, item.fault.stop) for item in result} == expected


def test_numbers_whose_squares_overflow_have_no_lag():
    time = DT * np.arange(2000)
    assert lag(np.cos(time), 1e178 * np.sin(time), DT) == 0.0
