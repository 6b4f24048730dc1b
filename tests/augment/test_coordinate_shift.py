"""Coordinate shift: all that has the same origin moves, and stays within its limits."""

import numpy as np
import pytest

from kinemill.augment import Signals
from kinemill.augment.coordinate_shift import CoordinateShift
from kinemill.task import Channel

EXAMPLE = {"type": "coordinate_shift", "channels": ["place"], "max_shift": 3.0}
TRACK = {
    "cart": {"role": "state", "unit": "m", "limits": [-1, 1]},
    "goal": {"role": "action", "unit": "m"},
    "far": {"role": "state", "unit": "mm"},
    "pace": {"role": "state", "unit": "m/s", "derivative_of": "cart"},
    "tilt": {"role": "state", "unit": "rad", "kind": "angle"},
}
CHANNELS = {name: Channel.model_validate(its) for name, its in TRACK.items()}
SIGNALS = Signals(list(TRACK), CHANNELS, 0.01)


def test_coordinates_named_together_keep_their_distance_and_no_limit_is_passed():
    values = np.zeros((10, 5), np.float32)
    values[:, 0], values[:, 1] = np.linspace(-0.5, 0.7, 10), 0.2
    plugin = CoordinateShift(channels=["cart", "goal"], max_shift=5.0)
    shifts = []
    for seed in range(200):
        copy = plugin.vary(values, SIGNALS, np.random.default_rng(seed))
        np.testing.assert_allclose(copy[:, 0] - copy[:, 1], values[:, 0] - 0.2, atol=1e-6)
        assert not copy[:, 2:].any()
        shifts.append(copy[0, 1] - 0.2)
    # The cart's limits leave -0.5 to 0.3 m; 200 uniform numbers come within 3 % of both ends.
    assert min(shifts) == pytest.approx(-0.5, abs=0.024)
    assert max(shifts) == pytest.approx(0.3, abs=0.024)


@pytest.mark.parametrize(
    ("named", "said"),
    [("pace", "derivative of 'cart'"), ("tilt", "is an angle"), ("far", "is in mm, and 'cart'")],
)
def test_what_is_no_coordinate_of_the_same_unit_is_a_problem(named, said):
    ((where, what),) = CoordinateShift(channels=["cart", named], max_shift=1.0).problems(CHANNELS)
    assert (where, said in what) == (("channels", named), True)
