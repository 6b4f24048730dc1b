"""Limits that a robot file states: read in SI units, matched by name, hard unless contradicted."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.robot_file import read_robot
from kinemill.draft.task_draft_writer import write_task
from kinemill.errors import BadInput

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


def log(path, columns):
    rows = np.stack([SECONDS, *columns.values()], axis=1)
    lines = [",".join(f"{value:.8g}" for value in row) for row in rows]
    path.write_text("\n".join([",".join(["time", *columns]), *lines]) + "\n")


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
        ("no xml", "is no XML"),
        ("<sdf/>", "its root is <sdf>"),
        ("<robot/>", "has no named hinge or slide joint"),
        ('<robot><joint name="a" type="revolute"><limit lower="x"/></joint></robot>', "is 'x'"),
        ("<mujoco><worldbody><box/></worldbody></mujoco>", "is no valid MJCF"),
    ],
)
def test_a_file_that_states_no_limits_is_refused(tmp_path, text, problem):
    (tmp_path / "robot.xml").write_text(text)
    with pytest.raises(BadInput, match=problem):
        read_robot(tmp_path / "robot.xml")


def test_limits_of_a_robot_file_are_hard_limits_of_its_channels(tmp_path, robot, task_of):
    log(tmp_path / "a.csv", swing())
    draft = build("arm", tmp_path / "a.csv", robot=robot)
    task = task_of(draft)
    limits = {name: channel.limits for name, channel in task.channels.items()}
    assert limits == {
        "shoulder_pos": (-1.5, 2.0),
        "shoulder_vel": (-6.0, 6.0),
        "shoulder_tau": (-12.0, 12.0),
    }
    assert task.channels["shoulder_pos"].unit == "rad"
    text = write_task(draft)
    assert "limits: velocity of joint shoulder_joint in arm.urdf" in text
    assert "# joint lift: no channel has its name" in text
    findings = {(one.joint, one.channel): one.finding for one in draft.joints}
    assert findings["shoulder_joint", "shoulder_vel"] == "velocity: all logs agree"
    assert findings["elbow_joint", ""] == "no channel has its name"


def test_positions_in_degrees_are_within_the_limits_in_rad(tmp_path, robot, task_of):
    columns = swing()
    columns["shoulder_pos"] = np.degrees(columns["shoulder_pos"])
    columns["shoulder_vel"] = np.degrees(columns["shoulder_vel"])
    log(tmp_path / "a.csv", columns)
    draft = build("arm", tmp_path / "a.csv", robot=robot)
    channel = task_of(draft).channels["shoulder_pos"]
    assert (channel.source[0].unit, channel.limits) == ("deg", (-1.5, 2.0))
    velocity = task_of(draft).channels["shoulder_vel"]
    assert (velocity.source[0].unit, velocity.limits) == ("deg/s", (-6.0, 6.0))


def test_a_log_beyond_a_stated_limit_is_named(tmp_path, robot, task_of):
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(4):
        log(folder / f"{number}.csv", swing())
    log(folder / "fast.csv", swing(scale=2.5) | {"shoulder_tau": np.sin(5 * SECONDS)})
    draft = build("arm", folder, robot=robot)
    assert task_of(draft).channels["shoulder_vel"].limits == (-6.0, 6.0)
    findings = {one.channel: one.finding for one in draft.joints}
    assert "exceeded in 1 of 5 logs: fast.csv" in findings["shoulder_vel"]
    assert "# joint shoulder_joint (shoulder_vel): exceeded in 1 of 5 logs" in write_task(draft)


def test_a_limit_that_most_logs_contradict_is_reported_and_does_not_cut(tmp_path, robot, task_of):
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(3):
        log(folder / f"{number}.csv", swing(torque=30.0))
    draft = build("arm", folder, robot=robot)
    channel = task_of(draft).channels["shoulder_tau"]
    assert (channel.limits, channel.observed_range is not None) == (None, True)
    (finding,) = [one for one in draft.joints if one.channel == "shoulder_tau"]
    assert finding.finding.startswith("contradicted by 3 of 3 logs: 0.csv")


def test_a_channel_of_unknown_unit_gets_no_limit(tmp_path, robot, task_of):
    log(tmp_path / "a.csv", swing() | {"elbow_cmd": np.sin(2 * SECONDS)})
    draft = build("arm", tmp_path / "a.csv", robot=robot)
    assert task_of(draft).channels["elbow_cmd"].limits is None
    (finding,) = [one for one in draft.joints if one.channel == "elbow_cmd"]
    assert finding.finding.startswith("the unit of the channel is unknown")
