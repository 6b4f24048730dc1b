"""Scale of errors: standard deviation of the training rows, and sensor resolution."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.dataset.scale import noise_of, training_scale
from kinemill.selection.references.baselines import Persistence
from kinemill.verify.accuracy import evaluate
from kinemill.verify.analysis import accuracy, stated_scale
from tests.verify.conftest import pack, swing

NO_ANGLE = np.array([False, False])


def test_the_spread_is_that_of_the_training_rows_whatever_the_test_rows_do():
    training = [swing(200, 0), swing(300, 1)]
    still = np.zeros((50, 3))
    dataset = pack({"train": training, "test": [still]})
    expected = np.concatenate(training)[:, :2].std(axis=0)
    np.testing.assert_allclose(training_scale(dataset).std, expected, rtol=1e-5)


def test_a_joint_that_turns_for_ever_has_the_spread_of_a_circle():
    rows = np.zeros((1000, 3))
    rows[:, 0] = np.arange(1000) * 0.1
    # Uniform over a turn: pi over the root of 3.
    assert training_scale(pack({"train": [rows]})).std[0] == pytest.approx(np.pi / 3**0.5, rel=0.01)
    plain = training_scale(pack({"train": [rows]}, angles=())).std[0]
    assert plain == pytest.approx(100 / 12**0.5, rel=0.01)


def test_an_encoder_has_the_resolution_of_its_counts_and_a_simulator_that_of_float32():
    smooth = swing(400, 2)
    counts = smooth.copy()
    counts[:, 0] = np.round(smooth[:, 0] / 0.01) * 0.01
    result = training_scale(pack({"train": [counts]})).resolution
    assert result[0] == pytest.approx(0.01, rel=1e-4)
    assert result[1] < 1e-6
    assert training_scale(pack({"train": [smooth]})).resolution[0] < 1e-6


def test_levels_two_and_three_steps_apart_lie_on_the_grid_of_one():
    """A velocity in counts of another clock: the smallest gap between levels is not one step."""
    rows = swing(400, 2)
    counts = np.cumsum(np.random.default_rng(0).choice([2, 3], size=60)) - 70
    rows[:, 1] = 0.011 * np.random.default_rng(1).choice(counts, size=400)
    assert training_scale(pack({"train": [rows]})).resolution[1] == pytest.approx(0.011, rel=1e-3)


def test_a_sensor_that_hardly_leaves_its_codes_is_divided_by_its_resolution():
    rows = np.zeros((500, 3))
    rows[100:103, 1] = [0.5, 1.0, 1.5]
    scale = training_scale(pack({"train": [rows]}))
    assert scale.resolution[1] == 0.5
    assert scale.std[1] == 0.5  # its standard deviation is 0.08
    assert scale.std[0] == 0.0  # never moves


def test_noise_of_a_smooth_motion_is_that_of_the_sensor():
    random = np.random.default_rng(0)
    time = np.arange(4000) * 0.01
    smooth = np.stack([np.sin(3.0 * time), np.cos(2.0 * time)], axis=1)
    noisy = smooth + [0.005, 0.0] * random.normal(size=smooth.shape)
    noise = noise_of([noisy[:1500].astype(np.float32), noisy[1500:].astype(np.float32)], NO_ANGLE)
    assert noise[0] == pytest.approx(0.005, rel=0.1)
    assert noise[1] < 1e-4


def test_jumps_of_an_angle_by_a_turn_are_no_noise():
    turning = ((np.arange(3000) * 0.05 + np.pi) % (2.0 * np.pi) - np.pi)[:, None]
    assert noise_of([turning.astype(np.float32)], np.array([True]))[0] < 1e-4


def test_tolerance_is_the_largest_of_resolution_noise_and_a_hundredth_of_the_range():
    rows = swing(400, 2)
    scale = training_scale(pack({"train": [rows]}))
    span = np.ptp(rows[:, 1])
    assert scale.tolerance[1] == pytest.approx(0.01 * span, rel=1e-3)
    loud = rows + np.array([0.0, 0.05, 0.0]) * np.random.default_rng(1).normal(size=rows.shape)
    noisy = training_scale(pack({"train": [loud]}))
    assert noisy.noise[1] == pytest.approx(0.05, rel=0.2)
    assert noisy.tolerance[1] >= noisy.noise[1]


def test_joint_that_rests_while_others_of_its_unit_move_is_left_out():
    rows = swing(400, 2)
    rows[:, 1] = 1e-4 * np.random.default_rng(3).normal(size=400)
    dataset = replace(pack({"train": [rows]}), units={"angle": "rad", "velocity": "rad"})
    scale = training_scale(dataset)
    assert scale.std[1] == 0.0
    assert scale.std[0] > 0.0


def test_the_scale_of_a_model_is_read_from_its_verification():
    dataset = pack({"train": [swing(200, 0)], "test": [swing(200, 1)]})
    errors = evaluate(Persistence(), dataset, "test", 10)
    document = {"model": accuracy(errors)}
    result = stated_scale(document, dataset.states)
    assert result is not None
    np.testing.assert_array_equal(result.std, errors.std)
    np.testing.assert_array_equal(result.resolution, errors.scale.resolution)
    assert stated_scale(document, ["angle", "height"]) is None
    assert stated_scale({}, ["angle"]) is None


def test_two_levels_are_a_mode_and_no_resolution():
    rows = np.zeros((500, 3))
    rows[::2, 1] = 1.0
    assert training_scale(pack({"train": [rows]})).std[1] == pytest.approx(0.5)
