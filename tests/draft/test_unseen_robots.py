"""Logs of a quadrotor, a ROS 2 robot, a hydraulic axis, a diver and an arm, as they export them."""

import json

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from kinemill.errors import KinemillError

ROWS = 600
TIME = 0.01 * np.arange(ROWS)  # s


def table(path, columns, separator=",", encoding="utf-8"):
    """Write text columns (n,) under their names."""
    rows = [separator.join(row) for row in zip(*columns.values(), strict=True)]
    path.write_bytes("\n".join([separator.join(columns), *rows, ""]).encode(encoding))
    return path


def spelled(values, form=".5f"):
    return [f"{value:{form}}" for value in values]


def swing():
    """Position in rad and velocity in rad/s (n,), neither periodic in the log."""
    angle = np.sin(2.1 * TIME) + 0.4 * np.sin(5.3 * TIME)
    return angle, 2.1 * np.cos(2.1 * TIME) + 0.4 * 5.3 * np.cos(5.3 * TIME)


def robot_log(path, pause=0):
    """A robot on wheels: three topics in one file, seconds and nanoseconds in two columns."""
    turn = np.where(np.abs(TIME - 2 - pause / 2) < pause / 2, 0.0, np.sin(TIME))
    heading = 0.6 * np.cumsum(0.01 * turn)
    speed = 0.5 + 0.2 * np.sin(3 * TIME)
    along = np.cumsum(0.01 * speed)
    random = np.random.default_rng(0)
    columns = {
        "header.stamp.sec": [str(1785000000 + int(t)) for t in TIME],
        "header.stamp.nanosec": [str(round(1e9 * (t - int(t)))) for t in TIME],
        "/odom.position.x": spelled(along + 1e-3 * random.normal(size=ROWS)),
        "/odom.orientation.x": spelled(0 * TIME),
        "/odom.orientation.y": spelled(0 * TIME),
        "/odom.orientation.z": spelled(np.sin(heading / 2), ".6f"),
        "/odom.orientation.w": spelled(np.cos(heading / 2), ".6f"),
        "/odom.twist.linear.x": spelled(speed + 1e-3 * random.normal(size=ROWS)),
        "/cmd_vel.linear.x": spelled(speed),
        "/battery_state.voltage": spelled(24 - 0.01 * TIME + 0.01 * random.normal(size=ROWS)),
    }
    every = {"/cmd": 8, "/odo": 2, "/bat": 2}
    for name, values in columns.items():
        step = every.get(name[:4], 1)
        columns[name] = [text if k % step == 0 else "" for k, text in enumerate(values)]
    turn_rate = np.gradient(heading, TIME) + 0.01 * random.normal(size=ROWS)
    columns["/imu.angular_velocity.z"] = spelled(turn_rate)
    return table(path, columns)


def test_topics_in_one_file_share_seconds_and_nanoseconds(tmp_path):
    checked = check_draft(build("rover", robot_log(tmp_path / "a.csv")))
    channels = checked.task.channels
    assert (checked.task.dt, checked.task.ingest.time) == (0.01, ["header.stamp.sec"])
    assert {name: one.role for name, one in channels.items() if one.role != "state"} == {
        "cmd_vel_linear_x": "action"
    }
    turns = [name for name, one in channels.items() if one.kind == "quaternion"]
    assert turns == [f"odom_orientation_{axis}" for axis in "xyzw"]  # two of them are always 0
    assert [(e["outcome"], e["dropped_rows"]) for e in checked.entries] == [("episodes", 0)]


def test_a_heading_without_noise_is_not_stuck_on_a_straight_line(tmp_path):
    checked = check_draft(build("rover", robot_log(tmp_path / "a.csv", pause=1.5)))
    assert [(e["outcome"], e["dropped_rows"]) for e in checked.entries] == [("episodes", 0)]


def test_angles_beside_one_in_degrees_are_in_degrees_and_so_is_their_gyro(tmp_path):
    turn, rate = 40 * TIME - 180, np.full(ROWS, 40.0) + 5 * np.sin(8 * TIME)
    turn = (turn + 5 / 8 * (1 - np.cos(8 * TIME)) + 180) % 360 - 180
    turn[:3] = -179.9, 179.9, -179.9  # the range is one turn
    columns = {
        "time": spelled(2 * TIME, ".3f"),
        "attitude.roll": spelled(5 * np.sin(TIME)),
        "attitude.yaw": spelled(turn),
        "gyro_z": spelled(rate / 2),
        "thrust_cmd": spelled(rate),
    }
    channels = {
        column.channel: column
        for column in build("diver", table(tmp_path / "a.csv", columns)).columns
    }
    assert {name: (one.unit, one.log_unit) for name, one in channels.items()} == {
        "attitude_roll": ("rad", "deg"),
        "attitude_yaw": ("rad", "deg"),
        "gyro_z": ("rad/s", "deg/s"),
        "thrust_cmd": ("1", None),
    }


def test_a_column_that_jumps_by_a_turn_is_an_angle(tmp_path):
    heading = np.cumsum(0.02 * (1.5 + np.sin(TIME)))
    columns = {
        "time": spelled(TIME),
        "eta_3": spelled((heading + np.pi) % (2 * np.pi) - np.pi),
        "nu_3": spelled(2 * (1.5 + np.sin(TIME))),
        "u": spelled(np.sin(TIME)),
    }
    eta, nu, _ = build("diver", table(tmp_path / "a.csv", columns)).columns
    assert (eta.kind, eta.unit, nu.derivative_of, nu.unit) == ("angle", "rad", "eta_3", "rad/s")


def test_a_log_without_channels_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", time=TIME)
    with pytest.raises(KinemillError, match=r"a\.npz: holds no column that can be a channel"):
        build("clock", tmp_path / "a.npz")


def test_names_in_another_unit_are_converted_for_each_firmware(tmp_path):
    angle, speed = swing()
    stamps = {"t_ms": spelled(1000 * TIME, ".0f")}
    radians = {"arm_pos_rad": spelled(angle), "arm_vel_rad_s": spelled(speed)}
    degrees = {
        "arm_pos_deg": spelled(np.rad2deg(angle)),
        "arm_vel_deg_s": spelled(np.rad2deg(speed)),
    }
    torque, milli = np.sin(9 * TIME), 1000 * np.sin(9 * TIME)
    table(tmp_path / "v1.csv", stamps | radians | {"torque_Nm": spelled(torque)})
    table(tmp_path / "v2.csv", stamps | degrees | {"torque_mNm": spelled(milli)})
    checked = check_draft(build("arm", tmp_path))
    assert [
        (channel.source[1].name, channel.source[1].unit)
        for channel in checked.task.channels.values()
    ] == [("arm_pos_deg", "deg"), ("arm_vel_deg_s", "deg/s"), ("torque_mNm", "mN*m")]
    assert [entry["reasons"] for entry in checked.entries] == [[], []]


@pytest.mark.parametrize("front", ["", "body_"])
def test_letters_of_vehicles_are_rates_and_velocities(tmp_path, front):
    random = np.random.default_rng(0)
    columns = {"time": spelled(TIME)}
    for at, name in enumerate("uvwpqr"):
        columns[f"{front}{name}"] = spelled(
            np.sin((at + 2) * TIME) + 0.01 * random.normal(size=ROWS)
        )
    columns["thruster_1"] = spelled(np.cos(TIME))
    draft = build("auv", table(tmp_path / "a.csv", columns))
    found = {column.channel: (column.role, column.guess.what) for column in draft.columns}
    rates = {f"{name}_rate": ("state", "velocity") for name in ("roll", "pitch", "yaw")}
    velocities = {f"velocity_{axis}": ("state", "velocity") for axis in "xyz"}
    assert found == rates | velocities | {"thruster_1": ("action", "action")}
    assert all(column.guess.turning for column in draft.columns if column.channel in rates)


def test_objects_in_a_list_have_fields(tmp_path):
    angle, speed = swing()
    rows = [
        {
            "ts": f"2026-06-01T10:00:{t:09.6f}+02:00",
            "joints": [{"name": "j1", "pos": q, "vel": v}],
            "torque": [q - v],
        }
        for t, q, v in zip(TIME, angle, speed, strict=True)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    checked = check_draft(build("arm", path))
    sources = [channel.source[0].name for channel in checked.task.channels.values()]
    assert (checked.task.dt, sources) == (0.01, ["joints[0].pos", "joints[0].vel", "torque[0]"])
    assert [entry["outcome"] for entry in checked.entries] == ["episodes"]


@pytest.mark.parametrize("bits", [12, 16])
def test_counts_that_wrap_are_an_angle(tmp_path, bits):
    _, speed = swing()
    counts = np.cumsum(2**bits / 150 * (1.5 + speed / 3)).astype(int)  # a few turns
    half = 2 ** (bits - 1)
    columns = {
        "time": spelled(TIME),
        "enc_left": map(str, (counts + half) % 2**bits - half),
        "cmd": spelled(speed),
    }
    draft = build("base", table(tmp_path / "a.csv", {k: list(v) for k, v in columns.items()}))
    encoder = draft.columns[0]
    assert (encoder.kind, encoder.unit) == ("angle", "rad")
    assert encoder.scale == pytest.approx(2 * np.pi / 2**bits)
    assert [entry["reasons"] for entry in check_draft(draft).entries] == [[]]


def test_a_force_beside_a_drive_in_percent_is_measured(tmp_path):
    angle, speed = swing()
    names = "time,Slide Position (mm),Drive Output (%),Drive Output (%),Clamp Force (N)"
    columns = (TIME, angle, 10 * speed, 10 * speed + 0.1, 3 * angle)
    rows = [",".join(row) for row in zip(*map(spelled, columns), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join([names, *rows, ""]))
    drafted = {column.channel: column for column in build("press", tmp_path / "a.csv").columns}
    assert {name: (one.role, one.unit) for name, one in drafted.items()} == {
        "slide_position": ("state", "mm"),
        "clamp_force": ("state", "N"),
        "drive_output_0": ("action", "percent"),
        "drive_output_1": ("action", "percent"),
    }
