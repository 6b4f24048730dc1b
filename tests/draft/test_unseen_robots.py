"""Logs of a quadrotor, a ROS 2 robot, a hydraulic axis, a diver and an arm, as they export them."""

import json

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.draft_check import check_draft
from kinemill.errors import KinemillError

ROWS = 600
TIME = 0.01 * np.arange(ROWS)  # s


def spelled(values, form=".5f"):
    return [value if isinstance(value, str) else f"{value:{form}}" for value in values]


def table(path, columns):
    """Write columns (n,) of texts or numbers under their names, without a space at their ends."""
    rows = zip(*map(spelled, columns.values()), strict=True)
    names = [name.strip() for name in columns]
    path.write_text("".join(f"{','.join(row)}\n" for row in (names, *rows)), encoding="utf-8")
    return path


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
        "/odom.position.x": along + 1e-3 * random.normal(size=ROWS),
        "/odom.orientation.x": 0 * TIME,
        "/odom.orientation.y": 0 * TIME,
        "/odom.orientation.z": spelled(np.sin(heading / 2), ".6f"),
        "/odom.orientation.w": spelled(np.cos(heading / 2), ".6f"),
        "/odom.twist.linear.x": speed + 1e-3 * random.normal(size=ROWS),
        "/cmd_vel.linear.x": speed,
        "/battery_state.voltage": 24 - 0.01 * TIME + 0.01 * random.normal(size=ROWS),
    }
    every = {"/cmd": 8, "/odo": 2, "/bat": 2}
    for name, values in columns.items():
        step = every.get(name[:4], 1)
        columns[name] = [text if k % step == 0 else "" for k, text in enumerate(spelled(values))]
    turn_rate = np.gradient(heading, TIME) + 0.01 * random.normal(size=ROWS)
    columns["/imu.angular_velocity.z"] = spelled(turn_rate)
    return table(path, columns)


@pytest.mark.parametrize("pause", [0, 1.5], ids=["turning", "straight for a while"])
def test_topics_in_one_file_share_seconds_and_nanoseconds(tmp_path, pause):
    """A heading without noise is not stuck on a straight line."""
    checked = check_draft(build("rover", robot_log(tmp_path / "a.csv", pause)))
    channels = checked.task.channels
    assert (checked.task.dt, checked.task.ingest.time) == (0.01, ["header.stamp.sec"])
    assert {name: one.role for name, one in channels.items() if one.role != "state"} == {
        "cmd_vel_linear_x": "action"
    }
    turns = [name for name, one in channels.items() if one.kind == "quaternion"]
    assert turns == [f"odom_orientation_{axis}" for axis in "xyzw"]  # two of them are always 0
    assert [(e["outcome"], e["dropped_rows"]) for e in checked.entries] == [("episodes", 0)]


def diver():
    turn, rate = 40 * TIME - 180, np.full(ROWS, 40.0) + 5 * np.sin(8 * TIME)
    turn = (turn + 5 / 8 * (1 - np.cos(8 * TIME)) + 180) % 360 - 180
    turn[:3] = -179.9, 179.9, -179.9  # the range is one turn
    return {
        "time": spelled(2 * TIME, ".3f"),
        "attitude.roll": 5 * np.sin(TIME),
        "attitude.yaw": turn,
        "gyro_z": rate / 2,
        "thrust_cmd": rate,
    }


def gripper():
    is_open = np.repeat([True, False] * 6, 50)
    force = np.where(is_open, 0.0, 20.0) + np.sin(np.arange(ROWS))
    return {
        "t_s": 2 * TIME,
        "open_cmd": ["true" if value else "false" for value in is_open],
        "force_N": force,
        "motor_current_mA": 10 * force,
    }


def press():
    angle, speed = swing()
    return {
        "time": TIME,
        "Slide Position (mm)": angle,
        "Drive Output (%)": 10 * speed,
        "Drive Output (%) ": 10 * speed + 0.1,
        "Clamp Force (N)": 3 * angle,
    }


def stand():
    seconds = 5 * TIME
    return {
        "Time (s)": seconds,
        "Servo 3 (µs)": 1500.0 + 300.0 * np.sign(np.sin(seconds)),
        "Torque (N·m)": 0.1 * np.sin(seconds),
        "Mechanical Power (W)": 2.0 + np.cos(3.0 * seconds),
    }


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # Angles next to one in degrees are in degrees, and so is their gyro.
        (diver(), {"attitude_roll": ("state", "rad"), "attitude_yaw": ("state", "rad"),
                   "gyro_z": ("state", "rad/s"), "thrust_cmd": ("action", "1")}),
        # True and false are a command.
        (gripper(), {"open_cmd": ("action", "1"), "force_n": ("state", "N"),
                     "motor_current_ma": ("state", "mA")}),
        (press(), {"slide_position": ("state", "mm"), "clamp_force": ("state", "N"),
                   "drive_output_0": ("action", "percent"),
                   "drive_output_1": ("action", "percent")}),
        (stand(), {"servo_3": ("action", "us"), "torque": ("state", "N*m"),
                   "mechanical_power": ("state", "W")}),
    ],
    ids=["diver", "gripper", "press", "stand"],
)  # fmt: skip
def test_measured_quantities_are_states_next_to_commands(tmp_path, columns, expected):
    drafted = build("sample", table(tmp_path / "a.csv", columns)).columns
    assert {column.channel: (column.role, column.unit) for column in drafted} == expected
    in_degrees = {c.channel: c.log_unit for c in drafted if (c.log_unit or "").startswith("deg")}
    assert in_degrees == {
        name: unit.replace("rad", "deg") for name, (_, unit) in expected.items() if "rad" in unit
    }


def test_a_column_that_jumps_by_a_turn_is_an_angle(tmp_path):
    heading = np.cumsum(0.02 * (1.5 + np.sin(TIME)))
    columns = {
        "time": TIME,
        "eta_3": (heading + np.pi) % (2 * np.pi) - np.pi,
        "nu_3": 2 * (1.5 + np.sin(TIME)),
        "u": np.sin(TIME),
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
    radians = {"arm_pos_rad": angle, "arm_vel_rad_s": speed}
    degrees = {"arm_pos_deg": np.rad2deg(angle), "arm_vel_deg_s": np.rad2deg(speed)}
    torque, milli = np.sin(9 * TIME), 1000 * np.sin(9 * TIME)
    table(tmp_path / "v1.csv", stamps | radians | {"torque_Nm": torque})
    table(tmp_path / "v2.csv", stamps | degrees | {"torque_mNm": milli})
    checked = check_draft(build("arm", tmp_path))
    assert [
        (channel.source[1].name, channel.source[1].unit)
        for channel in checked.task.channels.values()
    ] == [("arm_pos_deg", "deg"), ("arm_vel_deg_s", "deg/s"), ("torque_mNm", "mN*m")]
    assert [entry["reasons"] for entry in checked.entries] == [[], []]


@pytest.mark.parametrize("front", ["", "body_"])
def test_letters_of_vehicles_are_rates_and_velocities(tmp_path, front):
    random = np.random.default_rng(0)
    columns = {"time": TIME}
    for at, name in enumerate("uvwpqr"):
        columns[f"{front}{name}"] = np.sin((at + 2) * TIME) + 0.01 * random.normal(size=ROWS)
    columns["thruster_1"] = np.cos(TIME)
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
    columns = {"time": TIME, "enc_left": map(str, (counts + half) % 2**bits - half), "cmd": speed}
    draft = build("base", table(tmp_path / "a.csv", {k: list(v) for k, v in columns.items()}))
    encoder = draft.columns[0]
    assert (encoder.kind, encoder.unit) == ("angle", "rad")
    assert encoder.scale == pytest.approx(2 * np.pi / 2**bits)
    assert [entry["reasons"] for entry in check_draft(draft).entries] == [[]]
