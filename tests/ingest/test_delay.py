"""Input delays in fractions of a step, applied at ingestion."""

import numpy as np
import pytest

from kinemill.errors import TaskError
from tests.conftest import load_task_in
from tests.ingest.test_computed import settings, the_task, tracks

DT = 0.01


def channels(delay: float, method: str = "hold") -> dict:
    torque = {"role": "action", "unit": "N*m", "resample": {"method": method, "delay": delay}}
    return {"angle": {"role": "state", "unit": "rad"}, "torque": torque}


@pytest.mark.parametrize("delay", [0.4, 1.0, 2.25])
def test_a_row_holds_what_acts_in_its_step(delay, home, tmp_path):
    seconds = np.arange(60) * DT
    torque = np.random.default_rng(0).standard_normal(60)
    (frame,) = tracks(the_task(channels(delay)), home, tmp_path, seconds, np.sin(seconds), torque)
    whole, share = int(delay), delay % 1.0
    first = int(np.ceil(delay))
    assert frame["time_s"].to_numpy() == pytest.approx(seconds[first:])
    assert frame["angle"].to_numpy() == pytest.approx(np.sin(seconds[first:]))
    rows = np.arange(first, 60)
    earlier = torque[rows - whole - 1] if share else 0.0
    expected = (1 - share) * torque[rows - whole] + share * earlier
    assert frame["torque"].to_numpy() == pytest.approx(expected)


def test_it_is_the_mean_over_a_step_of_a_held_signal_that_arrives_late(home, tmp_path):
    """A command of 1 from 0.3 s on that acts 4 ms later: 0.6 of it in the step of 10 ms."""
    seconds = np.arange(60) * DT
    (frame,) = tracks(
        the_task(channels(0.4)), home, tmp_path, seconds, seconds, (seconds > 0.295).astype(float)
    )
    torque = dict(zip(frame["time_s"].round(3).to_list(), frame["torque"].to_list(), strict=True))
    assert [torque[t] for t in (0.29, 0.3, 0.31)] == pytest.approx([0.0, 0.6, 1.0])


@pytest.mark.parametrize(
    ("resample", "message"),
    [
        ({"delay": -0.5}, "greater than or equal to 0"),
        ({"delay": 0.5, "lead": 1}, "`lead: 1` and `delay: 0.5` contradict each other"),
    ],
)
def test_a_delay_that_cannot_be_is_refused(resample, message, tmp_path):
    own = channels(0.0)
    own["torque"]["resample"] = resample
    with pytest.raises(TaskError, match=message):
        load_task_in(tmp_path, settings(own))
