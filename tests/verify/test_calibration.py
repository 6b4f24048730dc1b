"""Coverage of intervals: a known Gaussian, too small deviations, and NaN."""

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.verify.calibration import calibration_of

W, T = 20_000, 3


@pytest.fixture
def normal():
    """Return errors (W, T, 2) with standard deviations 0.1 and 2, times 1, 2, 3 over the steps."""
    std = np.array([0.1, 2.0]) * np.arange(1, T + 1)[:, None]
    return np.random.default_rng(0).normal(size=(W, T, 2)) * std, np.broadcast_to(std, (W, T, 2))


def test_a_gaussian_that_knows_itself_is_covered_as_it_says(normal):
    result = calibration_of(["angle", "velocity"], *normal)
    # 0.01 is three standard deviations of a share of 20,000.
    np.testing.assert_allclose([*result.coverage["0.5"].values()], 0.5, atol=0.011)
    np.testing.assert_allclose([*result.coverage["0.9"].values()], 0.9, atol=0.0065)
    for name, deviation in result.deviation.items():
        np.testing.assert_allclose(deviation, result.rmse[name], rtol=0.02)


def test_one_that_is_twice_too_sure_covers_what_the_table_of_the_normal_says(normal):
    """Φ(0.674 / 2) and Φ(1.645 / 2), two-sided: 0.2641 and 0.5892."""
    errors, std = normal
    result = calibration_of(["angle", "velocity"], errors, std / 2)
    np.testing.assert_allclose([*result.coverage["0.5"].values()], 0.2641, atol=0.01)
    np.testing.assert_allclose([*result.coverage["0.9"].values()], 0.5892, atol=0.011)


def test_what_is_not_finite_lies_in_no_interval(normal):
    errors, std = (np.array(part) for part in normal)
    errors[: W // 2, 0, 0] = np.nan
    std[: W // 2, 1, 0] = np.nan
    result = calibration_of(["angle", "velocity"], errors, std)
    np.testing.assert_allclose(result.coverage["0.9"]["angle"][:2], 0.45, atol=0.011)


def test_the_document_goes_by_channel_and_step(normal):
    document = calibration_of(["angle", "velocity"], *normal)
    assert list(document.coverage) == ["0.5", "0.9"]
    assert len(document.coverage["0.9"]["velocity"]) == T
    assert document.deviation["velocity"] == pytest.approx([2, 4, 6])
    assert document.windows == W


def test_shapes_that_make_no_sense_are_refused(normal):
    errors, std = normal
    with pytest.raises(BadInput, match="deviations"):
        calibration_of(["a"], errors, std[:, :1])
