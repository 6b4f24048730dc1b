"""Limits that a robot file or the logs state: in SI units, hard unless most logs exceed them."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kinemill.draft.builder import build
from kinemill.draft.robot_file import read_robot
from kinemill.draft.task_draft_writer import write_task
from kinemill.errors import BadInput
from tests.draft.tables import table

URDF = """<robot name="arm">
  <link name="base"/>
  <joint name="mount" type="fixed"/>
  <joint name="shoulder_joint" type="revolute">
    <limit lower="-1.5" upper="2.0" velocity="6.0" effort="12.0"/>
  </joint>
  <joint name="elbow_joint" type="continuous"><limit velocity="9" effort="0"/></joint>
  <joint name="lift" type="prismatic"><limit lower="0" upper="0.4" velocity="0.2"/></joint>
</robot>"""
MJCF = """<mujoco><compiler angle="degree"/>
  <default><default class="arm"><joint range="-90 90"/></default></default>
  <worldbody><body><joint name="shoulder" class="arm"/><geom size="0.1"/>
    <body><joint name="lift" type="slide" range="0 0.5"/><geom size="0.1"/></body></body>
  </worldbody>
  <actuator>
    <motor name="shoulder_motor" joint="shoulder" gear="20" ctrlrange="-1 1"/>
    <position name="lift_servo" joint="lift" kp="100" ctrlrange="0.1 0.6" forcerange="-50 50"/>
  </actuator></mujoco>"""
SECONDS = 0.01 * np.arange(400)


@pytest.fixture
def robot(tmp_path):
    (tmp_path / "arm.urdf").write_text(URDF)
    return read_robot(tmp_path / "arm.urdf")


def logs(folder, *recordings):
    """Write a log of each of some recordings, `0.csv` and so on; return the folder."""
    for number, columns in enumerate(recordings):
        folder.mkdir(exist_ok=True)
        table(folder / f"{number}.csv", time=SECONDS, **columns)
    return folder


def swing(scale=1.0, torque=5.0):
    return {
        "shoulder_pos": scale * np.sin(3 * SECONDS),
        "shoulder_vel": 3.0 * scale * np.cos(3 * SECONDS),
        "shoulder_tau": torque * np.sin(5 * SECONDS),
    }


def test_a_urdf_states_limits_of_position_velocity_and_effort(robot):
    shoulder, elbow, lift = robot.joints.values()
    assert (shoulder.position, shoulder.velocity) == ((-1.5, 2.0), (-6.0, 6.0))
    assert (shoulder.effort, shoulder.unit, shoulder.effort_unit) == ((-12.0, 12.0), "rad", "N*m")
    assert (elbow.position, elbow.velocity, elbow.effort) == (None, (-9.0, 9.0), None)
    assert (lift.unit, lift.position, lift.effort_unit) == ("m", (0.0, 0.4), "N")


def test_an_mjcf_file_states_ranges_in_degrees_and_limits_of_its_actuators(tmp_path):
    (tmp_path / "arm.xml").write_text(MJCF)
    joints = read_robot(tmp_path / "arm.xml").joints
    shoulder, lift = joints["shoulder"], joints["lift"]
    assert shoulder.position == pytest.approx((-np.pi / 2, np.pi / 2))
    assert (shoulder.effort, shoulder.command) == ((-20.0, 20.0), (-1.0, 1.0))
    assert (lift.position, lift.effort, lift.is_servo) == ((0.0, 0.5), (-50.0, 50.0), True)


def test_the_motors_of_a_humanoid_have_the_effort_of_their_gear(shared_data):
    joints = read_robot(shared_data / "awd_robots" / "amp_humanoid.xml").joints
    assert len(joints) == 28
    assert joints["abdomen_y"].position == pytest.approx((-np.pi / 3, np.pi / 2))
    assert joints["abdomen_x"].effort == (-200.0, 200.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no xml", "is not XML"),
        ("<sdf/>", "its root is <sdf>"),
        ("<robot/>", "has no named hinge or slide joint"),
        ('<robot><joint name="a" type="revolute"><limit lower="x"/></joint></robot>', "is 'x'"),
        ("<mujoco><worldbody><box/></worldbody></mujoco>", "is not valid MJCF"),
    ],
)
def test_a_file_that_states_no_limits_is_refused(tmp_path, text, problem):
    (tmp_path / "robot.xml").write_text(text)
    with pytest.raises(BadInput, match=problem):
        read_robot(tmp_path / "robot.xml")


def test_limits_of_a_robot_file_are_hard_limits_of_its_channels(tmp_path, robot, task_of):
    draft = build("arm", logs(tmp_path / "logs", swing()), robot=robot)
    task = task_of(draft)
    names = ("shoulder_pos", "shoulder_vel", "shoulder_tau")
    assert tuple(task.channels) == names
    limits = [task.channels[name].limits for name in names]
    assert limits == [(-1.5, 2.0), (-6.0, 6.0), (-12.0, 12.0)]
    assert task.channels["shoulder_pos"].unit == "rad"
    text = write_task(draft)
    assert "limits: velocity of joint shoulder_joint in arm.urdf" in text
    assert "# joint lift: no channel has its name" in text
    findings = {(joint.joint, joint.channel): joint.finding for joint in draft.joints}
    assert findings["shoulder_joint", "shoulder_vel"] == "velocity: all logs agree"
    assert findings["elbow_joint", ""] == "no channel has its name"


def test_positions_in_degrees_are_within_the_limits_in_rad(tmp_path, robot, task_of):
    columns = swing()
    columns["shoulder_pos"] = np.degrees(columns["shoulder_pos"])
    columns["shoulder_vel"] = np.degrees(columns["shoulder_vel"])
    draft = build("arm", logs(tmp_path / "logs", columns), robot=robot)
    channel = task_of(draft).channels["shoulder_pos"]
    assert (channel.source[0].unit, channel.limits) == ("deg", (-1.5, 2.0))
    velocity = task_of(draft).channels["shoulder_vel"]
    assert (velocity.source[0].unit, velocity.limits) == ("deg/s", (-6.0, 6.0))


def test_a_log_beyond_a_stated_limit_is_named(tmp_path, robot, task_of):
    fast = swing(scale=2.5) | {"shoulder_tau": np.sin(5 * SECONDS)}
    draft = build("arm", logs(tmp_path / "logs", *4 * [swing()], fast), robot=robot)
    assert task_of(draft).channels["shoulder_vel"].limits == (-6.0, 6.0)
    findings = {joint.channel: joint.finding for joint in draft.joints}
    assert "exceeded in 1 of 5 logs: 4.csv" in findings["shoulder_vel"]
    assert "# joint shoulder_joint (shoulder_vel): exceeded in 1 of 5 logs" in write_task(draft)


def test_logs_of_the_same_name_in_two_folders_are_two_logs(tmp_path, robot):
    fast = swing(scale=2.5) | {"shoulder_tau": np.sin(5 * SECONDS)}
    for number, columns in enumerate((fast, fast, swing(), swing(), swing())):
        (tmp_path / "logs").mkdir(exist_ok=True)
        logs(tmp_path / "logs" / f"run{number}", columns)
    draft = build("arm", tmp_path / "logs", robot=robot)
    findings = {joint.channel: joint.finding for joint in draft.joints}
    assert "exceeded in 2 of 5 logs: 0.csv" in findings["shoulder_vel"]


def test_a_limit_that_most_logs_contradict_is_reported_and_does_not_cut(tmp_path, robot, task_of):
    draft = build("arm", logs(tmp_path / "logs", *3 * [swing(torque=30.0)]), robot=robot)
    channel = task_of(draft).channels["shoulder_tau"]
    assert (channel.limits, channel.observed_range is not None) == (None, True)
    (finding,) = [joint for joint in draft.joints if joint.channel == "shoulder_tau"]
    assert finding.finding.startswith("contradicted by 3 of 3 logs: 0.csv")


def test_a_channel_of_unknown_unit_gets_no_limit(tmp_path, robot, task_of):
    columns = swing() | {"elbow_cmd": np.sin(2 * SECONDS)}
    draft = build("arm", logs(tmp_path / "logs", columns), robot=robot)
    assert task_of(draft).channels["elbow_cmd"].limits is None
    (finding,) = [joint for joint in draft.joints if joint.channel == "elbow_cmd"]
    assert finding.finding.startswith("the unit of the channel is unknown")


def write_hdf5(path, attributes, scale=1.0):
    """A log with a position in degrees and a torque, as vectors of two joints."""
    position = scale * np.stack([40.0 * np.sin(3 * SECONDS), 10.0 * np.cos(2 * SECONDS)], axis=1)
    torque = np.stack([5.0 * np.sin(5 * SECONDS), 2.0 * np.cos(7 * SECONDS)], axis=1)
    with h5py.File(path, "w") as file:
        file["time"] = SECONDS
        for name, values in {"joint_pos": position, "joint_torque": torque}.items():
            file[name] = values
            file[name].attrs.update(attributes.get(name, {}))


CF = {
    "joint_pos": {"units": "deg", "valid_min": [-90.0, -45.0], "valid_max": [90.0, 45.0]},
    "joint_torque": {"units": "N*m", "valid_range": [-8.0, 8.0]},
}


def limits_of(draft):
    return {column.channel: column.limits and (*np.round(column.limits, 4),) for column in draft}


def test_units_and_valid_ranges_in_attributes_of_hdf5_are_hard_limits(tmp_path):
    """CF conventions: 90 degrees are 1.5708 rad; one range for all elements, or one for each."""
    write_hdf5(tmp_path / "log.h5", CF)
    columns = build("arm", tmp_path / "log.h5").columns
    assert limits_of(columns) == {
        "joint_pos_0": (-1.5708, 1.5708),
        "joint_pos_1": (-0.7854, 0.7854),
        "joint_torque_0": (-8.0, 8.0),
        "joint_torque_1": (-8.0, 8.0),
    }
    assert [column.unit for column in columns] == ["rad", "rad", "N*m", "N*m"]
    assert "limits: valid range stated in the logs" in columns[0].notes


def test_metadata_of_fields_of_parquet_state_the_same(tmp_path):
    stated = {b"units": b"deg", b"valid_min": b"-90", b"valid_max": b"90"}
    fields = [pa.field("time", pa.float64()), pa.field("pos", pa.float64(), metadata=stated)]
    fields.append(pa.field("torque", pa.float64(), metadata={b"valid_range": b"[-8, 8]"}))
    columns = [SECONDS, 40.0 * np.sin(3 * SECONDS), 5.0 * np.sin(5 * SECONDS)]
    table = pa.table([pa.array(column) for column in columns], schema=pa.schema(fields))
    pq.write_table(table, tmp_path / "log.parquet")
    expected = {"pos": (-1.5708, 1.5708), "torque": (-8.0, 8.0)}
    assert limits_of(build("arm", tmp_path / "log.parquet").columns) == expected


def test_a_valid_range_that_the_logs_exceed_is_reported_and_cuts_nothing(tmp_path):
    write_hdf5(tmp_path / "log.h5", CF, scale=4.0)
    position = build("arm", tmp_path / "log.h5").columns[0]
    assert position.limits is None
    assert any("the logs state a range of -1.5708 to 1.5708 rad" in note for note in position.notes)


def test_logs_that_state_different_ranges_state_none(tmp_path):
    for number, high in enumerate((8.0, 9.0)):
        stated = {"joint_torque": {"units": "N*m", "valid_range": [-8.0, high]}}
        write_hdf5(tmp_path / f"{number}.h5", stated)
    limits = limits_of(build("arm", tmp_path).columns)
    assert (limits["joint_torque_0"], limits["joint_torque_1"]) == (None, None)


@pytest.mark.parametrize(
    "stated",
    [
        {"units": "see page 3", "valid_range": [8.0, -8.0]},
        {"units": 5, "valid_range": "wide"},
        {"units": np.arange(9), "valid_min": np.nan, "valid_max": np.inf},
    ],
    ids=["unknown unit, no range", "texts", "not finite"],
)
def test_attributes_that_state_nothing_are_skipped(tmp_path, stated):
    write_hdf5(tmp_path / "log.h5", {"joint_torque": stated})
    torque = build("arm", tmp_path / "log.h5").columns[-1]
    assert (torque.role, torque.limits, torque.unit) == ("action", None, "N*m")


def test_a_robot_file_goes_before_the_metadata_of_the_logs(tmp_path):
    (tmp_path / "arm.urdf").write_text(
        '<robot name="arm"><link name="a"/><joint name="shoulder" type="revolute">'
        '<limit lower="-1" upper="1" velocity="6" effort="12"/></joint></robot>'
    )
    with h5py.File(tmp_path / "log.h5", "w") as file:
        file["time"] = SECONDS
        file["shoulder_pos"] = np.sin(3 * SECONDS)
        file["shoulder_pos"].attrs.update(units="rad", valid_range=[-2.0, 2.0])
        file["shoulder_torque"] = 5.0 * np.sin(5 * SECONDS)
    robot = read_robot(tmp_path / "arm.urdf")
    position = build("arm", tmp_path / "log.h5", robot=robot).columns[0]
    assert position.limits == (-1.0, 1.0)
