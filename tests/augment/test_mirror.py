"""Mirror: an involution that keeps derivatives and limits true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinemill.augment import Signals
from kinemill.augment.mirror import Mirror
from kinemill.task import Channel

COLUMNS = ["angle", "speed", "torque"]
EXAMPLE = {"type": "mirror", "flip": ["angle", "speed", "torque"]}


def mirrored(values, *flip):
    signals = Signals(COLUMNS, channels(), 0.01)
    return Mirror(flip=list(flip)).vary(values, signals, np.random.default_rng(0))


def channels(**changes) -> dict[str, Channel]:
    plain = {
        "angle": {"role": "state", "unit": "rad", "kind": "angle"},
        "speed": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
        "torque": {"role": "action", "unit": "N*m", "limits": [-6, 6]},
    }
    return {name: Channel(**{**its, **changes.get(name, {})}) for name, its in plain.items()}


@given(arrays(np.float32, (7, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_mirrored_twice_is_the_original_to_the_last_bit(values):
    twice = mirrored(mirrored(values, *COLUMNS), *COLUMNS)
    assert twice.tobytes() == values.tobytes()


def test_a_pendulum_swung_from_the_other_side_is_the_mirror_image():
    # θ'' = -9.81 sin θ + u, 1 ms Euler steps, from +1 and from -1 rad, under opposite torques.
    def swing(side):
        angle, speed, rows = side * 1.0, 0.0, []
        for k in range(500):
            torque = side * 2.0 * np.sin(0.01 * k)
            rows.append([angle, speed, torque])
            angle, speed = (angle + 1e-3 * speed, speed + 1e-3 * (torque - 9.81 * np.sin(angle)))
        return np.array(rows, np.float32)

    np.testing.assert_array_equal(mirrored(swing(1.0), *COLUMNS), swing(-1.0))


@pytest.mark.parametrize(
    ("flip", "changes", "message"),
    [
        (["angle"], {}, "'speed' is the derivative of 'angle'; flip both or neither"),
        (["speed"], {}, "'speed' is the derivative of 'angle'; flip both or neither"),
        (["torque"], {"torque": {"limits": (-6, 5)}}, "limits"),
        (["torqe"], {}, "did you mean 'torque'"),
        (["torque", "torque"], {}, "listed twice"),
    ],
)
def test_a_flip_that_no_mirror_shows_is_a_problem(flip, changes, message):
    result = Mirror(flip=flip).problems(channels(**changes))
    assert result
    assert message in result[0][1]
    assert result[0][0][0] == "flip"


def test_a_flip_of_everything_symmetric_is_none():
    assert Mirror(flip=COLUMNS).problems(channels()) == []
    assert Mirror(flip=["torque"]).problems(channels()) == []


def test_a_second_copy_would_be_the_first_again():
    assert "would be equal" in Mirror(flip=["torque"], copies=2).problems(channels())[0][1]
