import numpy as np
import pytest

from kinemill.control.plan import Plan, normal


def test_numbers_drawn_in_pairs_are_normal_and_independent():
    drawn = normal(np.random.default_rng(0), (1001, 333)).astype(float)
    assert np.isfinite(drawn).all()
    # Moments of N(0, 1); four standard errors of each over 333,333 numbers.
    for power, moment, error in ((1, 0.0, 1.0), (2, 1.0, 1.41), (3, 0.0, 3.87), (4, 3.0, 9.8)):
        assert np.mean(drawn**power) == pytest.approx(moment, abs=4 * error / np.sqrt(drawn.size))
    # Within 1.96 deviations lie 95 %; the two of a pair tell nothing of each other.
    assert np.mean(np.abs(drawn) < 1.959964) == pytest.approx(0.95, abs=2e-3)
    one, other = np.split(drawn.ravel()[:-1], 2)
    assert abs(np.mean(one * other)) < 0.01
    assert abs(np.mean((one**2 - 1.0) * (other**2 - 1.0))) < 0.02


def test_the_first_of_the_drawn_plans_is_the_plan_itself():
    plan = Plan(np.linspace(-0.5, 0.5, 6).reshape(3, 2))
    drawn = plan.around(5, 0.3, np.random.default_rng(0), min_noise_scale=0.2)
    assert drawn.shape == (5, 3, 2)
    np.testing.assert_allclose(drawn[0], plan.knots, atol=1e-7)
    assert (np.abs(drawn[1:] - plan.knots) > 1e-4).all()
