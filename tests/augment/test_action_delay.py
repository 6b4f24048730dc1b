"""Action delay: commands come earlier than they work, by as much as was asked for."""

import numpy as np
import pytest
from pydantic import ValidationError

from kinemill.augment.action_delay import ActionDelay

EXAMPLE = {"type": "action_delay", "delay": [0.02, 0.05], "jitter": 0.02}


def counting(rows: int) -> np.ndarray:
    return np.repeat(np.arange(rows, dtype=np.float32)[:, None], 6, axis=1)


def test_actions_move_up_by_the_delay_and_the_last_rows_go(signals):
    copy = ActionDelay(delay=(0.03, 0.03), channels=["torque"]).vary(
        counting(100), signals, np.random.default_rng(0)
    )
    assert len(copy) == 97
    np.testing.assert_array_equal(copy[:, 4], np.arange(97) + 3)
    np.testing.assert_array_equal(copy[:, [0, 5]], counting(97)[:, [0, 5]])


def test_jitter_varies_from_row_to_row_and_no_command_overtakes_another(signals):
    copy = ActionDelay(delay=(0.01, 0.01), jitter=0.03).vary(
        counting(1000), signals, np.random.default_rng(0)
    )
    late = copy[:, 4] - copy[:, 0]
    assert (late.min(), late.max(), len(copy)) == (1, 4, 996)
    assert np.diff(copy[:, 4]).min() >= 0
    np.testing.assert_array_equal(copy[:, 4], copy[:, 5])


def test_a_state_is_not_delayed(signals):
    plugin = ActionDelay(delay=(0.0, 0.1), channels=["speed"])
    assert "only actions" in plugin.problems(signals.channels)[0][1]
    with pytest.raises(ValidationError, match="above the upper bound"):
        ActionDelay(delay=(0.2, 0.1))
