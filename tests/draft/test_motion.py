"""Motion drafts: joints, mirror pairs, commands, loop mode and control rate of clips."""

import json

import numpy as np
import pytest

from kinemill.draft.draft_check import check_draft
from kinemill.draft.mirror_pairs import partner
from kinemill.draft.motion import build_motion
from kinemill.draft.robot_file import read_robot
from kinemill.draft.task_draft_writer import write_task
from kinemill.errors import BadInput
from kinemill.task import load_task
from tests.conftest import EXAMPLES
from tests.draft.tables import table

JOINTS = ["left_hip", "left_knee", "left_hip_yaw", "head_yaw", "right_hip", "right_knee"]
JOINTS += ["right_hip_yaw"]


def clip(path, forward, turning, rate=50, joints=JOINTS):
    """Write a clip of 6 s and 1 Hz steps; knees turn about opposite axes, hip yaws about one."""
    seconds = np.arange(6 * rate) / rate
    phase = 2 * np.pi * seconds
    columns = {}
    for side, shift in (("left", 0.0), ("right", np.pi)):
        sign = 1.0 if side == "left" else -1.0
        columns[f"{side}_hip"] = 0.1 + (0.2 + forward) * np.sin(phase + shift)
        columns[f"{side}_knee"] = sign * (0.6 + 0.3 * np.cos(phase + shift + 0.4))
        columns[f"{side}_hip_yaw"] = turning * (0.2 + 0.1 * np.sin(phase + shift))
    columns["head_yaw"] = 0.3 * turning + 0.0 * phase
    frames = np.stack([columns[joint] for joint in joints], axis=1)
    clip_columns = {
        "FPS": rate,
        "LoopMode": "Wrap",
        "Joints": joints,
        "Vel_x": forward,
        "Vel_y": 0.0,
        "Yaw": turning,
        "Frame_offset": {"joints_pos": 0},
        "Frame_size": {"joints_pos": len(joints)},
        "Frames": frames.tolist(),
    }
    path.write_text(json.dumps(clip_columns))


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, command in enumerate([(0.1, 0.3), (0.2, -0.2), (0.0, 0.1), (0.15, -0.4)]):
        clip(folder / f"walk_{number}.json", *command)
    return folder


def test_clips_of_a_gait_give_joints_targets_commands_and_their_mirror_image(clips, task_of):
    draft = build_motion("walk", clips)
    task = task_of(draft)
    assert (task.dt, task.learn.type) == (0.02, "motion")
    assert task.states == JOINTS
    assert task.actions == [f"{joint}_target" for joint in JOINTS]
    assert task.channels["left_knee_target"].resample.lead == 1
    assert task.learn.joints(task.channels)["left_knee_target"] == "left_knee"
    commands = [name for name, one in task.channels.items() if one.role == "observation"]
    assert commands == ["command_x", "command_y", "command_yaw"]
    (mirror,) = task.augment
    assert ("left_hip", "right_hip") in mirror.swap
    assert len(mirror.swap) == 6
    # Knees turn about opposite axes; a mirror image turns to the other side.
    signs = {"left_knee", "right_knee", "left_hip_yaw", "right_hip_yaw", "head_yaw"}
    targets = {f"{joint}_target" for joint in signs}
    assert set(mirror.flip) == signs | targets | {"command_y", "command_yaw"}
    assert task.validation.loop_closure.channels == JOINTS
    assert "control rate: 50 Hz, that of most clips" in draft.remarks
    checked = check_draft(draft)
    assert (checked.refused, checked.cut, checked.problem) == ([], [], "")


def test_clips_of_another_robot_and_another_rate_are_named(clips, task_of):
    clip(clips / "other_1.json", 0.1, 0.0, joints=JOINTS[:4])
    clip(clips / "walk_slow.json", 0.1, 0.2, rate=25)
    draft = build_motion("walk", clips)
    assert draft.unused == {"other_1.json": "its 4 joints are not the 7 of the other clips"}
    task = task_of(draft)
    assert (task.dt, task.ingest.resample.method) == (0.02, "cubic")
    assert task.ingest.wants("walk_0.json")
    assert not task.ingest.wants("other_1.json")


@pytest.mark.parametrize(
    ("joint", "other"),
    [
        ("left_knee", "right_knee"),
        ("hip_left_roll", "hip_right_roll"),
        ("LeftElbow", "RightElbow"),
        ("l_arm_elbow", "r_arm_elbow"),
        ("head_yaw", None),
        ("right_knee", None),
    ],
)
def test_the_partner_of_a_joint_is_told_by_its_name(joint, other):
    assert partner(joint) == other


def test_clips_without_named_joints_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", frames=np.random.default_rng(0).normal(size=(100, 3)))
    with pytest.raises(BadInput, match="no clip names its joints"):
        build_motion("walk", tmp_path / "a.npz", 50.0)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("robot", "pattern"), [("go_bdx", "go_bdx__*"), ("mini_bdx", "mini_bdx_all_30fps__*")]
)
def test_the_mirror_of_real_clips_is_that_of_the_shipped_task(
    shared_data, tmp_path, task_of, robot, pattern
):
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in (shared_data / "awd_motion").glob(pattern):
        (folder / path.name).symlink_to(path)
    task, shipped = task_of(build_motion("biped", folder)), load_task(EXAMPLES / f"{robot}.yaml")
    assert task.states == shipped.states
    assert task.dt == pytest.approx(shipped.dt)
    ((mirror,), (expected,)) = task.augment, shipped.augment
    assert {*mirror.swap} == {*expected.swap}
    assert {*mirror.flip} == {*expected.flip}


def test_limits_of_a_robot_file_tell_the_signs_of_joints_at_rest(clips, tmp_path, task_of):
    resting = [*JOINTS, "left_ear", "right_ear"]
    for path in clips.iterdir():
        document = json.loads(path.read_text())
        frames = [[*row, 0.0, 0.0] for row in document["Frames"]]
        size = {"joints_pos": len(resting)}
        path.write_text(
            json.dumps(document | {"Joints": resting, "Frames": frames, "Frame_size": size})
        )
    ends = dict.fromkeys(JOINTS, (-3.0, 3.0)) | {"left_ear": (-1.0, 2.0), "right_ear": (-2.0, 1.0)}
    limits = '<joint name="{}" type="revolute"><limit lower="{}" upper="{}"/></joint>'
    joints = "".join(limits.format(name, *two) for name, two in ends.items())
    (tmp_path / "biped.urdf").write_text(f'<robot name="biped">{joints}</robot>')
    draft = build_motion("biped", clips, robot=read_robot(tmp_path / "biped.urdf"))
    (mirror,) = task_of(draft).augment
    assert {"left_ear", "right_ear"} <= {*mirror.flip}
    assert "left_hip" not in mirror.flip
    assert not any("do not show" in remark for remark in draft.remarks)
    assert any(remark.startswith("physics: none, ") for remark in draft.remarks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("robot", "moving_joints", "preset"),
    [("go_bdx", 10, "=quick_60hz:"), ("mini_bdx", 12, "=quick:")],
)
def test_the_model_file_of_a_legged_robot_gives_its_physics(
    shared_data, draft_of, task_of, robot, moving_joints, preset
):
    model = shared_data / "awd_robots" / robot / "scene.xml"
    draft = draft_of(robot)
    task = task_of(draft)
    joints = task.environment.body().joints
    assert len(joints) == moving_joints
    assert not {"left_antenna", "right_antenna", "head_yaw"} & {*joints}  # at rest in all clips
    assert task.environment.sources()["scene.xml"] == model.resolve()
    layout = (task.learn.observed_channels(task.channels), tuple(task.actions))
    expected = task.environment.body()
    assert layout == ([*expected.observation_names], expected.action_names)
    assert task.channels["trunk_w"].kind == "quaternion"
    assert task.channels["left_knee_velocity"].derivative_of == "left_knee"
    assert {"trunk_x", "turn_z", "command_y"} <= {*task.augment[0].flip}
    assert ("left_knee_velocity", "right_knee_velocity") in task.augment[0].swap
    assert 1 <= len(task.environment.commands) <= 8
    gamma = task.learn.in_physics.algorithm.gamma
    assert -task.dt / np.log(gamma) == pytest.approx(1.65, abs=0.03)  # s, at any rate
    assert task.learn.tracking.reward.command_weight > 0.0
    assert preset in write_task(draft)
    checked = check_draft(draft)
    assert (checked.refused, checked.problem) == ([], "")


@pytest.mark.ci
@pytest.mark.parametrize(
    ("robot", "low"), [("mini_bdx", {"left_knee": -1.63, "left_hip_pitch": 0.95}), ("go_bdx", None)]
)
def test_a_robot_that_crouches_in_its_clips_starts_so(draft_of, task_of, robot, low):
    """From straight legs it would drop into its gait, close to where a robot has fallen."""
    environment = task_of(draft_of(robot)).environment
    assert {name: environment.stance[name] for name in low or {}} == (low or {})
    assert bool(environment.stance) == (low is not None)
    upright = environment.model_copy(update={"stance": {}}).body().standing_height
    assert environment.body().standing_height == pytest.approx(
        (0.8 if low else 1.0) * upright, 0.02
    )


@pytest.mark.ci
def test_a_robot_file_selects_the_clips_and_limits_the_joints(shared_data, draft_of, task_of):
    robot = read_robot(shared_data / "awd_robots" / "go_bdx" / "scene.xml")
    draft = draft_of("go_bdx")
    assert all(name.startswith(("mini_bdx", "LICENSE")) for name in draft.unused)
    task = task_of(draft)
    assert task.channels["left_hip_yaw"].limits == pytest.approx((-0.785398, 0.785398))
    assert task.channels["left_hip_yaw_target"].limits == task.channels["left_hip_yaw"].limits
    assert {one.joint for one in draft.joints} == {*robot.joints}


SERVOS = [joint for joint in JOINTS if joint != "head_yaw"]


def write_robot(path):
    """Write an MJCF of two legs on a trunk, whose joints have the order of `SERVOS`."""
    hinge = '<body><joint name="{}" axis="0 1 0" range="-2 2"/><geom size=".1"/>{}</body>'
    legs = [
        hinge.format(SERVOS[at], hinge.format(SERVOS[at + 1], hinge.format(SERVOS[at + 2], "")))
        for at in (0, 3)
    ]
    body = f'<body><freejoint/><geom size=".1"/>{"".join(legs)}</body>'
    path.write_text(
        '<mujoco><compiler angle="radian" autolimits="true"/>'
        f"<worldbody>{body}</worldbody></mujoco>"
    )
    return read_robot(path)


def retargeted(turn=0.0):
    """Return 6 s at 30 Hz of position, quaternion x, y, z, w and six joints, (180, 13)."""
    phase = 2 * np.pi * np.arange(180)[:, None] / 30
    root = np.stack([0.01 * phase, 0 * phase, 0.8 + 0 * phase], axis=-1)[:, 0]
    quaternion = np.tile([0.0, 0.0, np.sin(turn), np.cos(turn)], (180, 1))
    return np.concatenate([root, quaternion, 0.4 * np.sin(phase + np.arange(6))], axis=1)


def test_rows_without_names_have_the_joints_of_the_robot_file_behind_the_root(tmp_path, task_of):
    robot = write_robot(tmp_path / "robot.xml")
    np.savetxt(tmp_path / "walk.csv", retargeted(), delimiter=",", fmt="%.6f")
    draft = build_motion("walk", tmp_path / "walk.csv", 30.0, robot)
    task = task_of(draft)
    assert task.states == SERVOS
    assert task.channels["left_hip"].source[0].name == "column_8"
    order = "joints: column_8 on, in the order of robot.xml: check it; quaternion of the root"
    doubt = "or w, x, y, z after half a turn: check it"  # both are upright
    assert f"{order}: x, y, z, w, {doubt}" in draft.remarks


def test_joints_of_rows_without_names_are_stated_in_their_order(tmp_path):
    rows = retargeted()[:40, 7:]
    names = [f"leg_{at}" for at in range(rows.shape[1])]
    np.save(tmp_path / "walk.npy", rows)
    draft = build_motion("walk", tmp_path / "walk.npy", 30.0, joints=names)
    with pytest.raises(BadInput, match=r"--joints: has 1 names for \d+ columns of walk\.npy"):
        build_motion("walk", tmp_path / "walk.npy", 30.0, joints=names[:1])
    assert [column.channel for column in draft.columns if column.role == "state"][:2] == names[:2]
    with pytest.raises(BadInput, match="--joints"):
        build_motion("walk", tmp_path / "walk.npy", 30.0)


@pytest.mark.parametrize(("order", "axes"), [([0, 1, 2, 3], "xyzw"), ([3, 0, 1, 2], "wxyz")])
def test_the_order_of_a_quaternion_is_that_of_an_upright_robot(tmp_path, order, axes):
    robot = write_robot(tmp_path / "robot.xml")
    rows = retargeted(turn=1.2)
    rows[:, 3:7] = rows[:, 3:7][:, order]
    np.save(tmp_path / "walk.npy", rows)
    draft = build_motion("walk", tmp_path / "walk.npy", 30.0, robot)
    assert any(f"root: {', '.join(axes)}" in remark for remark in draft.remarks)


def test_frames_without_a_layout_have_the_joints_of_the_robot_file(tmp_path, task_of):
    robot = write_robot(tmp_path / "robot.xml")
    content = {"LoopMode": "Wrap", "FrameDuration": 1 / 30, "Frames": retargeted().tolist()}
    (tmp_path / "walk.txt").write_text(json.dumps(content))
    draft = build_motion("walk", tmp_path / "walk.txt", None, robot)
    task = task_of(draft)
    assert task.channels["left_hip"].source[0].name == "Frames[7]"
    assert task.dt == pytest.approx(1 / 30)


def test_joints_are_named_by_the_texts_of_the_file(tmp_path, task_of):
    positions = retargeted()[:, 7:]
    np.savez(tmp_path / "walk.npz", fps=30, dof_names=SERVOS, dof_positions=positions)
    task = task_of(build_motion("walk", tmp_path / "walk.npz"))
    assert task.channels["right_knee"].source[0].name == "dof_positions[4]"
    content = {"fps": 30, "joint_names": SERVOS, "dof_pos": positions.tolist()}
    (tmp_path / "walk.json").write_text(json.dumps(content))
    task = task_of(build_motion("walk", tmp_path / "walk.json"))
    assert task.channels["right_knee"].source[0].name == "dof_pos[4]"
    np.savez(tmp_path / "walk.npz", fps=30, joint_pos=positions)
    with pytest.raises(BadInput, match="--robot FILE"):
        build_motion("walk", tmp_path / "walk.npz")


def test_columns_of_a_csv_called_after_joints_have_targets(tmp_path, task_of):
    header = ",".join(SERVOS)
    rows = retargeted()[:, 7:]
    np.savetxt(tmp_path / "walk.csv", rows, delimiter=",", fmt="%.6f", header=header, comments="")
    task = task_of(build_motion("walk", tmp_path / "walk.csv", 30.0))
    assert task.actions == [f"{joint}_target" for joint in SERVOS]


def test_a_rising_position_of_the_root_is_no_clock(tmp_path):
    robot = write_robot(tmp_path / "robot.xml")
    rows = retargeted()
    np.savetxt(tmp_path / "walk.csv", rows, delimiter=",", fmt="%.6f")
    with pytest.raises(BadInput, match="state --rate HZ, as column_1 is not a time"):
        build_motion("walk", tmp_path / "walk.csv", None, robot)
    rows[:, [0, 1]] = rows[:, [1, 0]]
    np.savetxt(tmp_path / "walk.csv", rows, delimiter=",", fmt="%.6f")
    with pytest.raises(BadInput, match="set its rows per second: --rate HZ"):
        build_motion("walk", tmp_path / "walk.csv", None, robot)


def test_short_clips_are_split_by_name_and_joints_spelled_as_in_the_robot_file(tmp_path, task_of):
    text = write_robot(tmp_path / "robot.xml").path.read_text()
    (tmp_path / "robot.xml").write_text(text.replace("left_", "Left_"))
    robot = read_robot(tmp_path / "robot.xml")
    (tmp_path / "clips").mkdir()
    for name in "abc":
        np.save(tmp_path / "clips" / f"{name}.npy", retargeted()[:40])
    task = task_of(build_motion("walk", tmp_path / "clips", 30.0, robot))
    assert task.states[:2] == ["Left_hip", "Left_knee"]
    assert (task.dataset.validation, task.dataset.test) == (["*b.npy"], ["*c.npy"])


@pytest.mark.parametrize(("name", "amplitude"), [("left_knee_deg", 5.0), ("left_knee", 40.0)])
def test_joints_in_degrees_by_name_or_values_are_converted(tmp_path, task_of, name, amplitude):
    time = np.arange(180) / 30
    columns = [amplitude * np.sin(2.0 * np.pi * time + shift) for shift in (0.0, np.pi)]
    names = [name, name.replace("left", "right")]
    table(tmp_path / "walk.csv", time=time, **dict(zip(names, columns, strict=True)))
    draft = build_motion("walk", tmp_path / "walk.csv")
    channel = task_of(draft).channels["left_knee"]
    assert (channel.unit, channel.source[0].unit) == ("rad", "deg")
    assert channel.observed_range[1] < np.deg2rad(2.5 * amplitude)


def test_clip_in_another_unit_than_most_is_left_out(tmp_path):
    for name, factor in (("a", 1.0), ("b", 1.0), ("c", 180.0 / np.pi)):
        positions = factor * retargeted()[:, 7:]
        np.savez(tmp_path / f"{name}.npz", fps=30, dof_names=SERVOS, dof_pos=positions)
    unused = build_motion("walk", tmp_path).unused
    assert unused == {"c.npz": "its joints are in deg, those of most clips in rad"}


def test_arrays_of_root_and_joints_have_the_order_of_the_robot_file(tmp_path, task_of):
    robot = write_robot(tmp_path / "robot.xml")
    rows = retargeted(turn=0.3)
    quaternion = rows[:, [6, 3, 4, 5]]  # w, x, y, z, as of MuJoCo
    np.savez(
        tmp_path / "walk.npz",
        fps=30,
        root_pos=rows[:, :3],
        root_rot=quaternion,
        dof_pos=rows[:, 7:],
    )
    draft = build_motion("walk", tmp_path / "walk.npz", None, robot)
    assert task_of(draft).channels["right_knee"].source[0].name == "dof_pos[4]"
    assert any("quaternion of the root: w, x, y, z" in remark for remark in draft.remarks)


def test_clips_of_several_rates_have_the_signs_of_a_mirror_image(tmp_path):
    for rate in (30, 60, 120):
        phase = 2.0 * np.pi * np.arange(6 * rate) / rate
        columns = {
            "left_hip_pitch": 0.3 * np.sin(phase) - 0.15,
            "right_hip_pitch": -0.3 * np.sin(phase) - 0.15,
            "left_hip_roll": 0.1 * np.cos(phase),
            "right_hip_roll": 0.1 * np.cos(phase),
        }
        np.savez(tmp_path / f"{rate}.npz", fps=rate, dof_names=[*columns],
                 dof_pos=np.stack([*columns.values()], axis=1))  # fmt: skip
    draft = build_motion("walk", tmp_path)
    signs = "mirror: 2 pairs; opposite signs, by the clips: left_hip_roll, right_hip_roll"
    assert signs in draft.remarks


def test_frames_that_begin_with_their_duration_have_its_rate(tmp_path, task_of):
    robot = write_robot(tmp_path / "robot.xml")
    rows = retargeted(turn=0.3)
    rows[:, 3:7] = rows[:, [6, 3, 4, 5]]
    frames = np.hstack([np.full((len(rows), 1), 0.04), rows])
    frames[-1, 0] = 0.0
    (tmp_path / "walk.json").write_text(json.dumps({"Loop": "wrap", "Frames": frames.tolist()}))
    task = task_of(build_motion("walk", tmp_path / "walk.json", None, robot))
    assert task.dt == pytest.approx(0.04)
    assert task.channels["left_hip"].source[0].name == "Frames[8]"
