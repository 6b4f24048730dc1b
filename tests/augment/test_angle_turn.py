"""Angle turn: whole turns, never none."""

import numpy as np

from kinemill.augment.angle_turn import AngleTurn
from kinemill.task import Channel

EXAMPLE = {"type": "angle_turn", "channels": ["angle"], "max_turns": 2}


def test_the_turns_are_whole_and_never_none(signals):
    values = np.linspace(-3, 3, 60, dtype=np.float32).reshape(10, 6)
    inputs = set()
    for seed in range(60):
        copy = AngleTurn(channels=["angle"], max_turns=2).vary(
            values, signals, np.random.default_rng(seed)
        )
        turns = (copy[:, 0] - values[:, 0]) / (2 * np.pi)
        np.testing.assert_allclose(turns, round(float(turns[0])), atol=1e-6)
        np.testing.assert_array_equal(copy[:, 1:], values[:, 1:])
        inputs.add(round(float(turns[0])))
    assert inputs == {-2, -1, 1, 2}


def test_what_cannot_turn_is_a_problem(signals):
    assert "is not an angle" in AngleTurn(channels=["speed"]).problems(signals.channels)[0][1]
    limited = {"role": "state", "unit": "rad", "kind": "angle", "limits": [-1, 1]}
    result = AngleTurn(channels=["a"]).problems({"a": Channel.model_validate(limited)})
    assert "has limits [-1.0, 1.0]" in result[0][1]
