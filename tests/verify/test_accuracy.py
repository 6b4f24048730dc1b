import dataclasses

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.runtime import wrapped
from kinemill.selection.references import Persistence
from kinemill.verify.accuracy import evaluate
from tests.verify.conftest import DT, pack, swing


def ramp(rows: int, speed: float = 2.0) -> np.ndarray:
    """Return rows (rows, 3) that turn at `speed` rad/s: angle, velocity, torque 0."""
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
    # The velocity is constant, so the angle's spread in training alone counts: uniform over
    # 59 x 0.04 rad.
    assert errors.nrmse == pytest.approx(1.0 / (0.04 * np.sqrt((60**2 - 1) / 12)), rel=1e-4)
    assert errors.constant == ("velocity",)
    assert "left out" in errors.notes()["velocity"]


def test_an_angle_off_by_a_turn_is_right():
    angle = np.array([True, False])
    result = wrapped(np.array([[2 * np.pi + 0.1, 2 * np.pi + 0.1], [6.2, 6.2]]), angle)
    np.testing.assert_allclose(result, [[0.1, 2 * np.pi + 0.1], [6.2 - 2 * np.pi, 6.2]])
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


def test_intervals_count_independent_episodes_or_blocks(pendulum):
    many = evaluate(Persistence(), pendulum, "test", 10, 5)
    some = evaluate(
        Persistence(), pack({"train": [swing(200, 0)], "test": [swing(300, 1)]}), "test", 10
    )
    assert many.effective_n > 3.0
    # 58 windows that overlap by pairs are 29 blocks of a horizon; at least 6 carry the interval.
    assert some.unit == "blocks"
    assert 6.0 <= some.effective_n <= 29.0
    for errors in (many, some):
        by_channel, whole = errors.intervals()
        assert (by_channel[:, 0] < errors.rmse).all()
        assert (errors.rmse < by_channel[:, 1]).all()
        assert whole[0] < errors.nrmse < whole[1]
        same = errors.against(errors)
        assert (same.ratio, same.low, same.high) == (1.0, 1.0, 1.0)  # windows are paired


def test_two_horizons_of_one_episode_have_no_interval_rather_than_a_narrow_one():
    lone = pack({"train": [swing(9, 0)], "test": [swing(300, 1)]})
    errors = evaluate(Persistence(), lone, "test", 100)
    assert errors.effective_n <= 2.0
    assert np.isnan(errors.intervals()[0]).all()
    assert np.isnan(errors.against(errors).low)


def test_an_interval_covers_the_truth_nineteen_times_in_twenty():
    """Errors of unit normal noise have an RMSE of 1: 400 trials of 12 episodes of 1 window."""
    random, inside, recorded = np.random.default_rng(1), 0, 0
    template = evaluate(
        Persistence(), pack({"train": [ramp(60)], "test": [ramp(60)] * 12}), "test", 59
    )
    for _ in range(400):
        errors = random.standard_normal((12, 2))
        rmse = np.sqrt((errors**2).mean(axis=0, keepdims=True))
        result = dataclasses.replace(template, by_horizon={59: errors}, by_step=rmse)
        low, high = result.intervals()[0][0]
        inside += low < 1.0 < high
        recorded += bool(np.isfinite(low))
    # Where one error outweighs all others there is no interval: less than 2 independent episodes.
    assert recorded > 390
    # With a standard deviation of 1.1 %; wider than 95 % where few episodes have most of the error.
    assert 0.93 <= inside / recorded <= 0.98


def test_models_are_compared_after_one_step_at_the_horizon_and_between(pendulum):
    short, long = Persistence(), Persistence(history=8)
    one, other = (evaluate(each, pendulum, "test", 25, 5, history=8) for each in (short, long))
    assert list(one.by_horizon) == [1, 5, 25]
    np.testing.assert_array_equal(one.by_horizon[25], one.errors)
    result = one.compare(other)
    assert list(result) == ["1", "5", "25"]
    assert list(result["5"]) == ["nrmse", "angle", "velocity"]
    assert result["25"]["nrmse"].error == pytest.approx(one.nrmse)


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
    runaway = errors.against(steady)
    assert (runaway.error, runaway.ratio) == (np.inf, np.inf)
    assert np.isnan([runaway.low, runaway.high, runaway.p_worse]).all()
    assert np.isnan(steady.against(errors).ratio)
