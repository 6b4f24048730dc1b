import dataclasses

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.runtime import wrapped
from kinemill.verify import evaluate
from kinemill.verify.baselines import Persistence
from tests.verify.conftest import DT, pack, swing


def ramp(rows: int, speed: float = 2.0) -> np.ndarray:
    """Turning at `speed` rad/s: angle, velocity, no torque."""
    time = np.arange(rows) * DT
    return np.stack([speed * time, np.full(rows, speed), 0 * time], axis=1)


def test_persistence_on_a_steady_turn_is_off_by_speed_times_time():
    dataset = pack({"train": [ramp(60)], "test": [ramp(100)]})
    errors = evaluate(Persistence(), dataset, "test", horizon=25, stride=5)
    # 2 rad/s for 25 x 0.02 s is 1 rad; the velocity never changes.
    np.testing.assert_allclose(errors.rmse, [1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(errors.mae, [1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(errors.mse, [1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(errors.by_step[:, 0], 0.04 * np.arange(1, 26), atol=1e-5)
    np.testing.assert_allclose(errors.mean, [0.04 * 13, 0.0], atol=1e-5)
    # 100 rows, windows of 1 + 25 from every fifth row on: 0, 5, ... 70.
    assert errors.starts.tolist() == (60 + np.arange(0, 75, 5)).tolist()
    # The velocity is constant, so the angle's spread alone counts: uniform over 99 x 0.04 rad.
    assert errors.nrmse == pytest.approx(1.0 / (0.04 * np.sqrt((100**2 - 1) / 12)), rel=1e-4)


def test_an_angle_off_by_a_turn_is_right():
    angle = np.array([True, False])
    found = wrapped(np.array([[2 * np.pi + 0.1, 2 * np.pi + 0.1], [6.2, 6.2]]), angle)
    np.testing.assert_allclose(found, [[0.1, 2 * np.pi + 0.1], [6.2 - 2 * np.pi, 6.2]])
    # From 3.1 rad to -3.1 rad is 0.083 rad, for all contestants.
    dataset = pack({"train": [ramp(60)], "test": [ramp(100, speed=2 * np.pi / 0.5)]})
    once_around = evaluate(Persistence(), dataset, "test", horizon=25)
    assert once_around.rmse[0] < 1e-4
    raw = dataclasses.replace(dataset, angles=[])
    assert evaluate(Persistence(), raw, "test", horizon=25).rmse[0] == pytest.approx(2 * np.pi)


def test_contestants_with_other_histories_predict_the_same_rows(pendulum):
    short = evaluate(Persistence(), pendulum, "test", 10, 5, history=8)
    long = evaluate(Persistence(history=8), pendulum, "test", 10, 5)
    np.testing.assert_array_equal(short.starts, long.starts)
    np.testing.assert_array_equal(short.errors, long.errors)


def test_intervals_draw_episodes_when_there_are_five_and_else_blocks_of_a_second(pendulum):
    many = evaluate(Persistence(), pendulum, "test", 10, 5)
    assert (many.grouped_by, many.effective_n) == ("episodes", 6)
    few = evaluate(
        Persistence(), pack({"train": [swing(200, 0)], "test": [swing(300, 1)]}), "test", 10
    )
    # 290 rows of starts at 50 rows (1 s) a block.
    assert (few.grouped_by, few.effective_n) == ("blocks", 6)
    # A block is at least one horizon: 200 rows of starts at 100 rows a block.
    lone = pack({"train": [swing(9, 0)], "test": [swing(300, 1)]})
    far = evaluate(Persistence(), lone, "test", 100)
    assert (far.grouped_by, far.effective_n) == ("blocks", 2)
    for errors in (many, few):
        by_channel, whole = errors.intervals()
        assert (by_channel[:, 0] < errors.rmse).all()
        assert (errors.rmse < by_channel[:, 1]).all()
        assert whole[0] < errors.nrmse < whole[1]
    assert many.ratio_interval(many) == (1.0, 1.0)  # the draws are paired


def test_one_group_has_no_interval_rather_than_a_narrow_one():
    dataset = pack({"train": [ramp(60)], "test": [ramp(60)]})
    errors = evaluate(Persistence(), dataset, "test", 25)
    assert errors.effective_n == 1
    assert np.isnan(errors.intervals()[0]).all()


def test_an_interval_covers_the_truth_nineteen_times_in_twenty():
    """Errors of unit normal noise have an RMSE of 1: 200 trials of 12 episodes of 1 window."""
    random, inside = np.random.default_rng(1), 0
    template = evaluate(
        Persistence(), pack({"train": [ramp(60)], "test": [ramp(60)] * 12}), "test", 59
    )
    for _ in range(200):
        errors = dataclasses.replace(template, errors=random.standard_normal((12, 2)))
        low, high = errors.intervals()[0][0]
        inside += low < 1.0 < high
    assert 160 <= inside <= 200  # percentile intervals of 12 squares are known to be narrow


def test_a_test_split_too_short_says_what_it_takes(pendulum):
    with pytest.raises(
        BadInput, match=r"its longest episode has 120 rows; expected at least .* 121"
    ):
        evaluate(Persistence(), pendulum, "test", horizon=120)


def test_a_model_of_other_channels_is_refused(pendulum):
    class Other(Persistence):
        states = ("velocity", "angle")

    with pytest.raises(BadInput, match=r"states of the model: are \['velocity', 'angle'\]"):
        evaluate(Other(), pendulum, "test", horizon=5)


@pytest.mark.filterwarnings("error")
def test_a_predictor_that_runs_away_is_infinitely_off_and_no_warning(pendulum):
    class Runaway(Persistence):
        def rollout(self, states, past_actions, actions):
            return 1e300 * super().rollout(states, past_actions, actions)

    errors = evaluate(Runaway(), pendulum, "test", horizon=5)
    assert np.isinf(errors.nrmse)
    steady = evaluate(Persistence(), pendulum, "test", horizon=5)
    assert np.isnan(errors.intervals()[0]).all()
    assert np.isnan(steady.ratio_interval(errors)).all()
