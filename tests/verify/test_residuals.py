import numpy as np
import pytest

from kinemill.selection.references import Persistence, fit_references
from kinemill.verify.free_run import free_run
from kinemill.verify.residuals import Series, ljung_box, residuals_of, whiteness
from tests.verify.conftest import DT, pack, pendulum_task, swing


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


def test_a_linear_system_is_followed_freely_by_its_linear_model():
    runs = [swing(200, seed, linear=True) for seed in range(4)]
    dataset = pack({"train": runs[:2], "validation": runs[2:3], "test": runs[3:]}, angles=())
    linear = fit_references(pendulum_task("linear"), dataset).free_run()["linear"]
    result = free_run(linear, dataset, "test", linear.history)
    assert result.rmse.max() < 1e-3  # float32 rows, 198 steps
