"""The integral of a velocity up to some rows."""

import numpy as np

from kinemill.validate.motion import integrate_velocity


def test_velocity_integral_is_trapezoidal_and_unknown_rows_count_as_rest():
    velocity = np.array([2.0, 4.0, np.nan, 6.0, 6.0])
    path = integrate_velocity({"v": velocity}, "v", np.array([0, 1, 4]), 0.1)
    np.testing.assert_allclose(path, [0.0, 0.3, 1.4])
