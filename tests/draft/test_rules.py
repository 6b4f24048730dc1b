"""Columns that are no measurements: flags, modes and counters of a robot's controller."""

import numpy as np
import pytest

from kinemill.draft.draft_check import check_draft
from tests.draft.test_derivatives import channel, draft_of, motion

TIME = 0.01 * np.arange(3000)


def arm():
    """Return position, velocity and commanded torque of a joint by name."""
    angle, speed = motion(np.random.default_rng(0))
    return {"actual_q_0": angle, "actual_qd_0": speed, "target_moment_0": np.cos(3.0 * TIME)}


def switched(*values, every=400):
    """Return (n,) that takes one value after the other."""
    return np.resize(np.repeat(np.array(values, float), every), len(TIME))


STATUS = {
    "robot_mode": switched(7, 5),
    "safety_mode": switched(1, 3, 1),
    "joint_mode_0": switched(253, 255),
    "actual_digital_input_bits": switched(0, 64, 65),
    "runtime_state": switched(1, 2, every=700),
    "gripper_gripped": switched(0, 1, every=900),
    "cycle": 500.0 + 2.0 * np.arange(len(TIME)),
    "tick": np.arange(len(TIME)) % 256.0,
    "shot count": 100.0 + np.arange(len(TIME)) // 90,
    "0x6041 Statusword": switched(4663, 5687),
}


def test_flags_modes_and_counters_are_left_out_with_the_reason(tmp_path):
    draft = draft_of(tmp_path, TIME, **arm() | STATUS, control_torque=np.sin(2 * TIME))
    assert not {column.names[0] for column in draft.columns} & {*STATUS}
    assert {*STATUS} <= {*draft.left_out}
    assert draft.left_out["robot_mode"] == "a status by its name, of 2 whole numbers"
    assert draft.left_out["cycle"] == "a counter: it rises by 2 in each row"
    assert draft.left_out["tick"] == "a counter: it rises by 1 in each row"
    assert draft.left_out["gripper_gripped"].startswith("a flag or a mode: 2 whole numbers")
    checked = check_draft(draft)
    assert (checked.refused, checked.cut) == ([], [])
    assert "gripper_gripped" in checked.text


def test_an_unnamed_column_that_rises_with_the_clock_is_a_clock(tmp_path):
    ramp = {"states[0]": 4.0 + TIME, "states[1]": 4.0 + 0.5 * TIME}
    draft = draft_of(tmp_path, TIME, **arm() | ramp)
    assert draft.left_out["states[0]"] == "another clock: it rises with time"
    assert "states[1]" not in draft.left_out


@pytest.mark.parametrize("name", ["valve", "relay_1", "command_mode", "pwm"])
def test_a_switched_command_is_an_action(tmp_path, name):
    draft = draft_of(tmp_path, TIME, **arm() | {name: switched(0, 1, every=70)})
    assert channel(draft, name).role == "action"


def test_a_switched_input_without_a_name_is_no_flag(tmp_path):
    """The only input of a first-order system with two levels: its role is inferred."""
    levels = np.repeat(np.random.default_rng(1).integers(0, 2, 60), 50).astype(float)
    level = np.zeros(len(TIME))
    for row in range(1, len(TIME)):
        level[row] = level[row - 1] + 0.02 * (levels[row - 1] - level[row - 1])
    draft = draft_of(tmp_path, TIME, V1=level, V2=levels)
    roles = {column.channel: column.role for column in draft.columns}
    assert roles == {"v1": "state", "v2": "action"}


def test_control_surfaces_are_actions(tmp_path):
    angle, speed = motion(np.random.default_rng(2))
    waves = [0.1 * np.sin(k * TIME) for k in (1.1, 1.7, 2.3)]
    surfaces = dict(zip(("de", "da", "dr"), waves, strict=True))
    letters = draft_of(tmp_path, TIME, phi=angle, p=speed, dt=0.5 + waves[0], **surfaces)
    actions = {
        column.names[0]: column.channel for column in letters.columns if column.role == "action"
    }
    assert actions == {"de": "elevator", "da": "aileron", "dr": "rudder", "dt": "throttle"}
    named = dict(zip(("elevator", "rudder_angle", "aileron_cmd"), waves, strict=True))
    draft = draft_of(tmp_path, TIME, heading=angle, yaw_rate=speed, **named)
    assert {column.channel for column in draft.columns if column.role == "action"} == {*named}


def test_a_time_step_is_no_throttle_and_a_lift_no_surface(tmp_path):
    angle, speed = motion(np.random.default_rng(2))
    waves = {"de": np.sin(TIME), "da": np.cos(TIME), "dt": 0.01 + 1e-4 * np.sin(TIME)}
    draft = draft_of(tmp_path, TIME, phi=angle, p=speed, **waves)
    assert "dt" in draft.left_out
    lift = {"elevator_position": angle, "elevator_velocity": speed, "voltage": np.sin(TIME)}
    roles = {column.channel: column.role for column in draft_of(tmp_path, TIME, **lift).columns}
    assert roles == dict.fromkeys(lift, "state") | {"voltage": "action"}


def test_late_clock_that_starts_at_another_value_is_left_out(tmp_path):
    late = np.random.default_rng(0).uniform(0.0, 0.004, len(TIME))
    clocks = {
        "mcu_ms": 88123.0 + np.round(1000.2 * (TIME + late)),
        "sensor_clock": 41.2 + 1.00005 * TIME + late,
        "RCOU_TimeUS": 6e7 + 1e6 * TIME,
    }
    draft = draft_of(tmp_path, TIME, **arm() | clocks)
    assert {draft.left_out[name] for name in clocks} == {"another clock: it rises with time"}
