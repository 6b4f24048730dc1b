"""Time scaling: the same path, derivatives of another size."""

import numpy as np
import pytest
from pydantic import ValidationError

from kinemill.augment.time_scale import TimeScale
from kinemill.task import Channel

EXAMPLE = {"type": "time_scale", "factor": [0.8, 0.95], "powers": {"torque": 0.5}}


def test_twice_as_fast_is_half_as_long_with_twice_the_velocity(signals):
    time = np.arange(401) * 0.01
    values = np.zeros((401, 6), np.float32)
    values[:, 2], values[:, 3] = np.sin(time), np.cos(time)
    values[:, 4], values[:, 5] = time, time
    plugin = TimeScale(factor=(2.0, 2.0), powers={"torque": 2.0})
    copy = plugin.vary(values, signals, np.random.default_rng(0))
    fast = np.arange(201) * 0.01
    np.testing.assert_allclose(copy[:, 2], np.sin(2 * fast), atol=1e-6)
    np.testing.assert_allclose(copy[:, 3], 2 * np.cos(2 * fast), atol=1e-6)
    np.testing.assert_allclose(copy[:, 4], 4 * 2 * fast, atol=1e-5)
    np.testing.assert_allclose(copy[:, 5], 2 * fast, atol=1e-5)


def test_a_pendulum_without_gravity_obeys_its_equation_at_the_new_speed(signals):
    # θ'' = u: u = cos t; played f times as fast it takes f² u. Differences of θ' give θ''.
    time = np.arange(2000) * 0.01
    values = np.zeros((2000, 6), np.float32)
    values[:, 0], values[:, 1], values[:, 4] = -np.cos(time), np.sin(time), np.cos(time)
    plugin = TimeScale(factor=(0.7, 0.7), powers={"torque": 2.0})
    copy = plugin.vary(values, signals, np.random.default_rng(0)).astype(float)
    acceleration = np.diff(copy[:, 1]) / 0.01
    # Torques are held, so up to one step of 10 ms old: 0.49 x 0.01 x 1, and as much for the slope.
    np.testing.assert_allclose(acceleration, copy[:-1, 4], atol=0.01)


@pytest.mark.parametrize(
    ("powers", "said"),
    [({"torqe": 2}, "did you mean 'torque'?"), ({"speed": 2}, "derivative of 'angle'")],
)
def test_powers_of_derivatives_and_of_nothing_are_problems(signals, powers, said):
    assert said in TimeScale(powers=powers).problems(signals.channels)[0][1]


def test_a_task_in_which_speed_shows_nowhere_is_a_problem():
    alone = {"x": Channel.model_validate({"role": "state", "unit": "V"})}
    assert TimeScale().problems(alone)
    assert not TimeScale(powers={"x": 1.0}).problems(alone)


@pytest.mark.parametrize("factor", [[1.1, 0.9], [0.0, 1.0], [-1.0, 1.0]])
def test_speeds_out_of_order_or_not_positive_are_refused(factor):
    with pytest.raises(ValidationError):
        TimeScale(factor=factor)
