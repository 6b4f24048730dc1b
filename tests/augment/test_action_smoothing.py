"""Action smoothing: a mean over the window, and nothing delayed."""

import numpy as np
import pytest

from kinemill.augment.action_smoothing import ActionSmoothing

EXAMPLE = {"type": "action_smoothing", "window": 0.05}


def test_a_step_becomes_a_ramp_about_its_place(signals):
    values = np.zeros((40, 6), np.float32)
    values[20:, 4] = 5.0
    copy = ActionSmoothing(window=0.04, channels=["torque"]).vary(
        values, signals, np.random.default_rng(0)
    )
    # Five rows of 10 ms: the mean passes 1, 2, 3, 4 of 5 on its way.
    np.testing.assert_allclose(copy[16:24, 4], [0, 0, 1, 2, 3, 4, 5, 5], atol=1e-6)
    assert copy[:, 4].sum() == pytest.approx(100.0)
    assert not copy[:, [0, 1, 2, 3, 5]].any()


def test_a_mean_is_never_outside_what_it_is_of(signals):
    values = np.random.default_rng(0).uniform(-6, 6, (300, 6)).astype(np.float32)
    copy = ActionSmoothing(window=0.2).vary(values, signals, np.random.default_rng(0))
    assert np.abs(copy[:, 4]).max() < 3.5
    assert copy[:, 4].mean() == pytest.approx(values[:, 4].mean(), abs=0.1)


def test_states_are_not_smoothed(signals):
    plugin = ActionSmoothing(window=0.1, channels=["speed"], copies=2)
    assert [where for where, _ in plugin.problems(signals.channels)] == [
        ("copies",),
        ("channels", "speed"),
    ]
