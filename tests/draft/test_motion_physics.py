"""Motion drafts in physics: rates and commands of retargeted clips, which hold poses alone."""

import json

import numpy as np
import pytest

from benchmarks.prove_motion import data_of
from kinemill.draft.draft_check import check_draft
from kinemill.draft.motion import build_motion
from kinemill.draft.robot_file import read_robot
from kinemill.draft.task_draft_writer import write_task
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.store.home import Home
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from tests.conftest import load_task_in
from tests.draft.test_reinforcement import write_arm

RATE = 50
JOINTS = [f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")]
SPEED, TURNING = 0.2, 0.4  # m/s along the heading, rad/s
CLEAN = ("root_pos", "root_quat", "joints_pos")


def write_biped(path):
    """Write an MJCF of a trunk on two legs of three servos each, 0.5 m high."""
    legs = ""
    for side, y in (("left", 0.06), ("right", -0.06)):
        names = [f"{side}_{joint}" for joint in ("hip", "knee", "ankle")]
        hinge = '<joint name="{}" axis="0 1 0" range="-1.5 1.5" damping="0.5"/>'
        foot = '<geom type="box" size="0.06 0.03 0.01" pos="0.02 0 -0.03" mass="0.2"/>'
        bone = '<geom type="capsule" size="0.02" fromto="0 0 0 0 0 -0.2" mass="0.4"/>'
        shank = f'<body name="{side}_foot" pos="0 0 -0.2">{hinge.format(names[2])}{foot}</body>'
        thigh = f'<body pos="0 0 -0.2">{hinge.format(names[1])}{bone}{shank}</body>'
        legs += f'<body pos="0 {y} 0">{hinge.format(names[0])}{bone}{thigh}</body>'
    servos = "".join(
        f'<position name="{name}" joint="{name}" kp="40" forcerange="-20 20"/>' for name in JOINTS
    )
    trunk = f'<freejoint/><geom type="box" size="0.06 0.08 0.05" pos="0 0 0.05" mass="2"/>{legs}'
    path.write_text(
        '<mujoco><compiler angle="radian" autolimits="true"/>'
        f'<worldbody><body name="trunk" pos="0 0 0.44">{trunk}</body></worldbody>'
        f"<actuator>{servos}</actuator></mujoco>"
    )
    return read_robot(path)


def gait(seconds=6.0):
    """Return poses (n, 13) of a walk in a circle, and the rates of trunk and joints, (n, 3 + 6).

    Position, quaternion x, y, z, w, six joints. The trunk turns at a constant rate, and rolls.
    """
    time = np.arange(round(seconds * RATE)) / RATE
    phase, yaw, zero = 2 * np.pi * time, TURNING * time, 0 * time
    roll, roll_rate = 0.15 * np.sin(phase), 0.15 * 2 * np.pi * np.cos(phase)
    root = SPEED / TURNING * np.stack([np.sin(yaw), 1 - np.cos(yaw), zero], 1) + [0, 0, 0.44]
    # Around the vertical, after around the trunk's own x axis.
    half = np.stack([np.cos(yaw / 2), np.sin(yaw / 2), np.cos(roll / 2), np.sin(roll / 2)])
    quaternion = [half[0] * half[3], half[1] * half[3], half[1] * half[2], half[0] * half[2]]
    shifts = np.array([0.0, 0.5, 1.0, np.pi, np.pi + 0.5, np.pi + 1.0])
    joints = 0.25 * np.sin(phase[:, None] + shifts)
    joint_rates = 0.25 * 2 * np.pi * np.cos(phase[:, None] + shifts)
    turn = [roll_rate * np.cos(yaw), roll_rate * np.sin(yaw), TURNING + zero]
    rows = np.concatenate([root, np.stack(quaternion, 1), joints], axis=1)
    return rows, np.concatenate([np.stack(turn, 1), joint_rates], axis=1)


def test_rates_and_commands_of_a_retargeted_clip_are_computed(tmp_path, task_of):
    """Position, quaternion and joints alone, as the CSV of LAFAN1 and GMR."""
    robot, (rows, rates) = write_biped(tmp_path / "biped.xml"), gait()
    rows[150:, 3:7] *= -1.0  # the same rotations
    np.savetxt(tmp_path / "walk.csv", rows, delimiter=",", fmt="%.7f")
    draft = build_motion("walk", tmp_path / "walk.csv", float(RATE), robot)
    servos = "physics: 6 servos; feet: left_foot, right_foot; "
    assert any(remark.startswith(servos) for remark in draft.remarks)
    assert any("computed: turn_x, turn_y, turn_z, left_hip_velocity" in r for r in draft.remarks)
    columns = {column.channel: column for column in draft.columns}
    names = ["turn_x", "turn_y", "turn_z", *(f"{joint}_velocity" for joint in JOINTS)]
    for name, expected in zip(names, rates.T, strict=True):
        ((_, values),) = columns[name].samples.values()
        assert np.abs(values - expected).max() < 0.03 * np.abs(expected).max(), name
    means = [
        float(np.mean(columns[f"command_{one}"].samples.popitem()[1][1])) for one in ("x", "y")
    ]
    assert means == pytest.approx([SPEED, 0.0], abs=0.01)
    task = task_of(draft)
    body = task.environment.body()
    layout = task.learn.observed_channels(task.channels), tuple(task.actions)
    assert layout == ([*body.observation_names], body.action_names)
    assert task.environment.commands[0] == pytest.approx((SPEED, 0.0, TURNING), abs=0.01)
    checked = check_draft(draft)
    assert (checked.refused, checked.problem) == ([], "")


@pytest.mark.slow
@pytest.mark.parametrize("robot", ["go_bdx", "mini_bdx"])
def test_clips_without_rates_have_the_physics_of_those_with(
    shared_data, draft_of, tmp_path, task_of, robot
):
    model = read_robot(shared_data / "awd_robots" / robot / "scene.xml")
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in (shared_data / "awd_motion").glob(f"{robot}_*"):
        clip = json.loads(path.read_text())
        for key in ("Frame_offset", "Frame_size"):
            clip[key] = [{name: one for name, one in clip[key][0].items() if name in CLEAN}]
        (folder / path.name).write_text(json.dumps(clip))
    task = task_of(build_motion("poses", folder, robot=model))
    full = task_of(draft_of(robot))
    assert task.states == full.states
    assert task.environment.commands == full.environment.commands
    assert task.channels["turn_x"].expression
    assert task.channels["left_knee_velocity"].derived == "derivative"


SHORT = {
    "learn.physics.steps": 256,
    "learn.physics.eval_every": 128,
    "learn.physics.num_envs": 8,
    "learn.physics.batch_size": 64,
    "environment.trials": {"episodes": 2, "n_eval_episodes": 2},
    "ingest.min_file_age": 0.0,
}


@pytest.mark.ci
def test_a_policy_of_a_retargeted_clip_is_trained_in_physics(tmp_path):
    robot, (rows, _) = write_biped(tmp_path / "biped.xml"), gait(12.0)
    (tmp_path / "clips").mkdir()
    np.savetxt(tmp_path / "clips" / "walk.csv", rows, delimiter=",", fmt="%.7f")
    draft = build_motion("walk", tmp_path / "clips" / "walk.csv", float(RATE), robot)
    task, home = load_task_in(tmp_path, write_task(draft), SHORT), Home(tmp_path / "home")
    refs = data_of(task, home, tmp_path / "clips")
    model = train.run(task, home, *refs, (NullReporter(), NullReporter()))
    assert isinstance(load_model(home.root / model.ref.path), TrackingPolicy)


def test_an_arm_on_a_fixed_base_is_no_legged_robot(tmp_path):
    robot = read_robot(write_arm(tmp_path / "arm.urdf"))
    rows, _ = gait()
    np.savez(tmp_path / "wave.npz", fps=RATE, joint_names=[*robot.joints], joint_pos=rows[:, 7:10])
    draft = build_motion("wave", tmp_path / "wave.npz", None, robot)
    (line,) = [remark for remark in draft.remarks if remark.startswith("physics: ")]
    assert "arm.urdf has a fixed base and no two legs" in line
    assert "\nenvironment:" not in write_task(draft)


@pytest.mark.ci
def test_a_joint_at_rest_is_named_as_locked(draft_of):
    draft = draft_of("go_bdx")
    locked = {name for name, why in draft.left_out.items() if "has it locked" in why}
    assert "joints_pos[left_antenna]" in locked
    assert len(locked) == 6
    assert {"left_toe_pos", "world_linear_vel"} <= {*draft.left_out}
