"""Rates of drafts of logs whose topics have different rates."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.rates import meet
from tests.draft.tables import table

FLIGHT = {"/imu.gyro_x": 0.004, "/attitude.roll": 0.05, "/motors.torque": 0.1}


@pytest.mark.parametrize(
    ("steps", "rate", "step", "kept"),
    [
        (FLIGHT, None, 0.1, {*FLIGHT}),
        (FLIGHT, 250.0, 0.004, {"/imu.gyro_x", "/motors.torque"}),  # commands are held
        ({"/joints.position": 0.004, "/cmd.torque": 0.05}, None, None, {"/joints.position",
                                                                        "/cmd.torque"}),
        ({"/joints.position": 0.004, "/battery.level": 1.0}, None, None, {"/joints.position"}),
        ({"/imu.gyro_x": 0.01, "/gps.position": 5.0}, None, None, {"/imu.gyro_x"}),
    ],
)  # fmt: skip
def test_states_and_commands_meet_at_a_rate(steps, rate, step, kept):
    found, found_step, left_out, _ = meet(steps, rate)
    assert found == kept
    assert left_out.keys() == steps.keys() - kept
    assert found_step == (step if step != min(steps.values()) else None)


def test_rate_of_a_log_with_a_clock_is_that_of_the_task(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time, pos=np.sin(time), u=np.cos(3 * time))
    draft = build("slow", path, 20.0)
    assert draft.dt == pytest.approx(0.05)
    assert [column.channel for column in draft.columns] == ["pos", "u"]
