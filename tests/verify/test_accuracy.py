import dataclasses

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.runtime import wrapped
from kinemill.selection.references.baselines import Persistence
from kinemill.verify.accuracy import Series, evaluate, ljung_box, residuals_of, whiteness
from kinemill.verify.comparison import final
from kinemill.verify.free_run import free_run
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
        same = final(errors.compare(errors))
        assert (same.ratio, same.low, same.high) == (1.0, 1.0, 1.0)  # windows are paired


def test_two_horizons_of_one_episode_have_no_interval_rather_than_a_narrow_one():
    lone = pack({"train": [swing(9, 0)], "test": [swing(300, 1)]})
    errors = evaluate(Persistence(), lone, "test", 100)
    assert errors.effective_n <= 2.0
    assert np.isnan(errors.intervals()[0]).all()
    assert np.isnan(final(errors.compare(errors)).low)


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
    runaway = final(errors.compare(steady))
    assert (runaway.error, runaway.ratio) == (np.inf, np.inf)
    assert np.isnan([runaway.low, runaway.high, runaway.p_worse]).all()
    assert np.isnan(final(steady.compare(errors)).ratio)


def series(errors, actions=None):
    errors = np.asarray(errors, dtype=np.float64).reshape(len(errors), -1)
    actions = np.zeros((len(errors), 1)) if actions is None else np.reshape(actions, (-1, 1))
    return Series(errors, actions)


def test_white_noise_is_called_white_and_stays_in_the_band():
    noise = np.random.default_rng(3).standard_normal(4000)
    result = whiteness([series(noise[:2500]), series(noise[2500:])])
    assert result.rows == 4000
    assert result.band == pytest.approx(2.5758 / np.sqrt(4000), rel=1e-4)
    assert np.count_nonzero(np.abs(result.auto) > result.band) <= 2  # 1 % of 25 is expected
    assert result.p[0] > 0.01
    assert result.std[0] == pytest.approx(1.0, abs=0.03)  # 1 / √(2 n) is 0.011


def test_a_first_order_process_has_the_autocorrelation_of_the_text_book():
    """x[k+1] = 0.8 x[k] + e: r(τ) = 0.8^τ."""
    random = np.random.default_rng(0)
    x = np.zeros(200_000)
    for k, noise in enumerate(random.standard_normal(len(x) - 1)):
        x[k + 1] = 0.8 * x[k] + noise
    result = whiteness([series(x)])
    np.testing.assert_allclose(result.auto[:5, 0], 0.8 ** np.arange(1, 6), atol=0.02)
    assert result.p[0] < 1e-6


def test_ljung_box_by_hand():
    """n = 100, r = (0.1, 0.2): Q = 100 * 102 * (0.01 / 99 + 0.04 / 98) = 5.1936; χ² of 2."""
    q, p = ljung_box(np.array([[0.1], [0.2]]), 100)
    assert q[0] == pytest.approx(5.19357, abs=1e-4)
    assert p[0] == pytest.approx(np.exp(-q[0] / 2))  # the tail of χ² with 2 degrees of freedom


def test_an_input_that_was_missed_three_steps_ago_is_seen_at_lag_three():
    random = np.random.default_rng(1)
    acted, noise = random.standard_normal((2, 3000))
    errors = 0.1 * noise
    errors[3:] += 0.5 * acted[:-3]
    result = whiteness([series(errors, acted)])
    correlation = result.cross[:, 0, 0]
    assert np.argmax(np.abs(correlation)) == result.lags + 3
    assert correlation[result.lags + 3] > 0.9
    others = np.delete(correlation, result.lags + 3)
    assert np.count_nonzero(np.abs(others) > result.cross_band[0, 0]) <= 3


def test_residuals_are_one_step_errors_beside_what_acted():
    """Persistence at θ̇ = 2 rad/s has an error of -0.04 rad at every step."""
    time = np.arange(60) * DT
    ramp = np.stack([2 * time, np.full(60, 2.0), time], axis=1)
    (result,) = residuals_of(Persistence(), pack({"train": [ramp], "test": [ramp]}), "test")
    np.testing.assert_allclose(result.errors, np.tile([-0.04, 0.0], (59, 1)), atol=1e-6)
    np.testing.assert_allclose(result.actions[:, 0], time[:-1], atol=1e-6)


def test_residuals_without_any_change_are_no_numbers_divided_by_zero():
    result = whiteness([series(np.zeros(50), np.zeros(50))])
    assert not result.auto.any()
    assert not result.cross.any()


def test_a_free_run_goes_from_the_first_rows_to_the_end_whatever_the_length():
    """Persistence on a ramp of n rows has an error of 0.04 k rad after k steps, k < n."""
    time = np.arange(100) * DT
    ramp = np.stack([2 * time, np.full(100, 2.0), 0 * time], axis=1)
    dataset = pack({"train": [ramp], "test": [ramp[:30], ramp, ramp[:2]]}, angles=())
    result = free_run(Persistence(), dataset, "test", 1)
    assert result.steps.tolist() == [29, 99, 1]
    expected = [0.04 * np.sqrt((n + 1) * (2 * n + 1) / 6) for n in (29, 99, 1)]  # Σ k² / n
    np.testing.assert_allclose(result.by_episode[:, 0], expected, rtol=1e-5)
    total = sum(0.04**2 * n * (n + 1) * (2 * n + 1) / 6 for n in (29, 99, 1)) / 129
    assert result.rmse[0] == pytest.approx(np.sqrt(total), rel=1e-5)
    late = free_run(Persistence(), dataset, "test", 5)
    assert late.steps.tolist() == [25, 95]  # two rows are too few
