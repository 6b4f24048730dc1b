"""Dropout: as many rows as asked for, filled with what was known."""

import numpy as np
import pytest

from kinemill.augment.drop_out import DropOut

EXAMPLE = {"type": "drop_out", "channels": ["speed", "torque"], "probability": 0.05}


def counting(rows: int) -> np.ndarray:
    return np.repeat(np.arange(rows, dtype=np.float32)[:, None], 6, axis=1)


def test_lost_rows_keep_the_last_value_no_longer_than_asked_for(signals):
    plugin = DropOut(channels=["angle", "speed"], probability=0.1, longest=1)
    copy = plugin.vary(counting(20_000), signals, np.random.default_rng(0))
    age = np.arange(20_000) - copy[:, 0]
    # One row at a time, yet neighbors may be lost one after the other: the share is 0.1.
    assert (age > 0).mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 20_000))
    np.testing.assert_array_equal(copy[:, 0], copy[:, 1])
    np.testing.assert_array_equal(copy[:, 2], np.arange(20_000))
    is_known = age == 0
    np.testing.assert_array_equal(copy[~is_known, 0], copy[np.flatnonzero(~is_known) - 1, 0])


def test_a_line_over_the_lost_rows_of_a_line_changes_nothing(signals):
    plugin = DropOut(channels=["angle"], probability=0.2, longest=4, fill="linear")
    copy = plugin.vary(counting(500), signals, np.random.default_rng(0))
    last = int(np.flatnonzero(copy[:, 0] == np.arange(500))[-1])
    np.testing.assert_allclose(copy[: last + 1, 0], np.arange(last + 1), rtol=1e-6)
