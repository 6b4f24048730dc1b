"""Imitation drafts: what demonstrations hold decides about channels, encoders, head and chunk."""

import base64
import json

import h5py
import numpy as np
import polars as pl
import pytest

from kinemill.draft.draft_check import check_draft
from kinemill.draft.imitation import build_imitation
from kinemill.draft.plan_evidence import find_plans
from kinemill.errors import BadInput
from tests.draft.demonstrations import DIRECTIONS, write_demonstrations
from tests.draft.tables import table
from tests.ingest.lerobot_videos import version2, version3, video2
from tests.ingest.messages import START, run, write_mcap
from tests.ingest.readers.test_message_media import png


def test_demonstrations_with_images_and_instructions_get_both_encoders(tmp_path, task_of):
    folder = write_demonstrations(tmp_path / "demos", 4, image=True, texts=DIRECTIONS)
    draft = build_imitation("reach", folder)
    task = task_of(draft)
    assert task.learn.type == "imitation"
    assert task.channels["camera"].shape == (24, 32, 3)
    assert task.channels["camera"].source[0].name == "observations/images/camera"
    assert task.channels["instruction"].source[0].name == "@language"
    assert task.learn.observed(task.channels) == (
        [f"observations_{name}_{at}" for name in ("place", "target") for at in (0, 1)],
        ["camera"],
        ["instruction"],
    )
    assert (task.learn.image.type, task.learn.text.type) == ("conv", "words")
    assert (task.dt, task.actions) == (0.05, ["actions_0", "actions_1"])
    assert task.channels["observations_target_0"].role == "observation"  # a goal, no plan
    checked = check_draft(draft)
    assert (checked.refused, checked.cut, checked.problem) == ([], [], "")
    assert [entry["episodes"] for entry in checked.entries] == [1] * 4


def test_a_single_instruction_is_the_description_and_no_channel(tmp_path, task_of):
    draft = build_imitation(
        "reach", write_demonstrations(tmp_path / "demos", texts=("to the target",))
    )
    task = task_of(draft)
    assert task.description == "to the target"
    assert task.media == []
    assert "the same instruction" in draft.left_out["@language"]


def test_the_demonstrations_are_split_by_recording(tmp_path, task_of):
    task = task_of(build_imitation("reach", write_demonstrations(tmp_path / "demos", count=3)))
    assert (task.dataset.validation, task.dataset.test) == (["*demo_01.h5"], ["*demo_02.h5"])
    assert task.dataset.near_duplicates == "apart"


def lerobot(folder, tasks):
    """Write a LeRobot data set of version 2.1 with two demonstrations of each task, 10 Hz."""
    (folder / "meta").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    features = {
        "observation.state": {"dtype": "float32", "shape": [2], "names": ["leftElbow", "grip"]},
        "action": {"dtype": "float32", "shape": [2], "names": ["leftElbow", "grip"]},
        "observation.images.top": {"dtype": "video", "shape": [480, 640, 3]},
    }
    info = {"codebase_version": "v2.1", "fps": 10, "features": features}
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    lines = [json.dumps({"task_index": at, "task": text}) for at, text in enumerate(tasks)]
    (folder / "meta" / "tasks.jsonl").write_text("\n".join(lines))
    seconds = np.arange(80) / 10
    for number in range(2 * len(tasks)):
        state = np.stack([np.sin(seconds + number), 0.5 + 0.4 * np.cos(seconds * 2)], axis=1)
        frame = pl.DataFrame(
            {
                "observation.state": state.astype(np.float32).tolist(),
                "action": np.roll(state, -1, axis=0).astype(np.float32).tolist(),
                "timestamp": seconds.astype(np.float32),
                "frame_index": np.arange(80),
                "episode_index": np.full(80, number),
                "index": np.arange(80) + 80 * number,
                "task_index": np.full(80, number % len(tasks)),
            }
        )
        frame.write_parquet(folder / "data" / "chunk-000" / f"episode_{number:06}.parquet")
    return folder


def test_tasks_of_a_lerobot_data_set_are_its_instructions(tmp_path, task_of):
    draft = build_imitation("arm", lerobot(tmp_path / "set", ["lift it", "put it down"]))
    task = task_of(draft)
    assert task.channels["instruction"].texts == {0: "lift it", 1: "put it down"}
    assert task.channels["instruction"].source[0].name == "task_index"
    assert task.states == ["left_elbow", "grip"]
    found = "meta/info.json: has no valid `video_path`, but None"
    assert draft.left_out["observation.images.top"] == found
    checked = check_draft(draft)
    assert (checked.refused, checked.cut, checked.problem) == ([], [], "")


@pytest.mark.parametrize("write", [version2, version3])
def test_cameras_of_a_lerobot_data_set_are_drafted_and_scaled_down(
    tmp_path, task_of, monkeypatch, write
):
    monkeypatch.setattr("kinemill.draft.media.SMALL", 24)
    draft = build_imitation("arm", write(tmp_path / "set"))
    task = task_of(draft)
    camera = task.channels["top"]
    assert (camera.source[0].name, camera.shape) == ("observation.images.top", (24, 32, 3))
    assert draft.media[0].notes == ["video of 48 x 64 pixels, scaled down to 24 x 32"]
    assert draft.unused == {}  # its videos are read
    checked = check_draft(draft)
    assert (checked.refused, checked.cut, checked.problem) == ([], [], "")


def test_a_camera_without_its_video_is_left_out_of_a_draft(tmp_path):
    folder = version2(tmp_path / "set")
    video2(folder, 0).unlink()
    draft = build_imitation("arm", folder)
    assert draft.media == []
    assert draft.left_out["observation.images.top"].endswith("episode_000000.mp4: does not exist")


def test_a_damaged_list_of_tasks_is_named(tmp_path):
    folder = lerobot(tmp_path / "set", ["lift it", "put it down"])
    (folder / "meta" / "tasks.jsonl").write_text('{"task_index": 0}\n')
    with pytest.raises(BadInput, match=r"tasks\.jsonl: is not a list of tasks"):
        build_imitation("arm", folder)


@pytest.mark.ci
def test_the_teleoperated_humanoid_is_drafted_from_its_data_set(shared_data, task_of):
    draft = build_imitation("humanoid", shared_data / "g1_lerobot")
    task = task_of(draft)
    assert (len(task.states), len(task.actions)) == (26, 26)
    assert task.description == "Pick up the yellow bottle on the table."
    assert "the same instruction" in draft.left_out["task_index"]
    checked = check_draft(draft)
    assert (checked.refused, checked.problem) == ([], "")


def test_columns_of_a_table_are_observations_and_actions(tmp_path, task_of):
    seconds = 0.05 * np.arange(200)
    folder = tmp_path / "tables"
    folder.mkdir()
    for number in range(3):
        obs = np.sin(seconds + number)
        columns = {"time": seconds, "obs_0": obs, "next_obs_0": np.roll(obs, -1), "action_0": -obs}
        table(folder / f"{number}.csv", **columns, reward=-(obs**2))
    draft = build_imitation("tables", folder)
    task = task_of(draft)
    assert (task.states, task.actions) == (["obs_0"], ["action_0"])
    assert draft.left_out["next_obs_0"] == "a value of the following row, by its name"


def test_demonstrations_without_actions_are_refused(tmp_path):
    seconds = 0.05 * np.arange(200)
    table(tmp_path / "a.csv", time=seconds, pos=np.sin(seconds), vel=np.cos(seconds))
    with pytest.raises(BadInput, match="no column is a demonstrated action; columns are pos, vel"):
        build_imitation("none", tmp_path / "a.csv")


def two_ways(count, last):
    """Demonstrations that pass an obstacle on either side; the action keeps one side."""
    random = np.random.default_rng(1)
    observed, actions = [], []
    for number in range(count):
        side = 1.0 if number % 2 else -1.0
        x = np.linspace(-1.0, 1.0, 80)
        y = 0.02 * random.normal(size=80)
        observed.append(np.stack([x, y], axis=1))
        actions.append(np.stack([np.ones(80), side * np.cos(last * x)], axis=1))
        actions[-1] += 0.01 * random.normal(size=(80, 2))
    return observed, actions


def test_demonstrations_of_two_ways_call_for_a_chunk_and_a_head_that_samples():
    plans = find_plans(*two_ways(12, 1.0))
    assert plans.length > 4
    assert plans.is_bimodal


def test_ways_that_differ_at_the_start_alone_call_for_a_head_that_samples():
    random = np.random.default_rng(1)
    x = np.linspace(-1.0, 1.0, 80)
    observed, actions = [], []
    for number in range(16):
        side = 1.0 if number % 2 else -1.0
        y = side * np.clip(x + 0.7, 0.0, 0.4) + 0.005 * random.normal(size=80)
        observed.append(np.stack([x, y], axis=1))
        actions.append(side * (x[:, None] < -0.3) + 0.01 * random.normal(size=(80, 1)))
    plans = find_plans(observed, actions)
    assert plans.is_bimodal
    # The observation shows no side in the first 12 rows.
    assert 12 <= plans.length <= 32


def test_actions_that_follow_from_the_observation_call_for_no_chunk():
    random = np.random.default_rng(0)
    observed = [random.uniform(-1, 1, (1, 2)) + 0.02 * np.arange(80)[:, None] for _ in range(12)]
    actions = [np.tanh(one) for one in observed]
    plans = find_plans(observed, actions)
    assert (plans.length, plans.is_bimodal) == (1, False)
    assert "similar observations have similar actions" in plans.why


def test_white_noise_on_actions_calls_for_no_chunk():
    random = np.random.default_rng(0)
    observed = [random.uniform(-1, 1, (1, 2)) + 0.02 * np.arange(80)[:, None] for _ in range(12)]
    actions = [one + random.normal(0.0, 1.0, one.shape) for one in observed]
    plans = find_plans(observed, actions)
    assert plans.length == 1
    assert "noise" in plans.why


def test_messages_give_slower_commands_cameras_and_instructions(tmp_path, task_of):
    folder = tmp_path / "bags"
    folder.mkdir()
    for number in range(3):
        messages = [one for one in run(seconds=4.0) if one[0] == "/joints"]
        messages += [("/task", START, {"data": DIRECTIONS[number % 2]})]
        for row in range(80):
            stamp = START + row * 50_000_000
            messages.append(("/command", stamp, {"data": float(np.sin(row))}))
            image = {"format": "png", "data": base64.b64encode(png(row)).decode()}
            messages += [("/camera", stamp, image)] if row % 2 == 0 else []
        write_mcap(folder / f"{number}.mcap", sorted(messages, key=lambda message: message[1]))
    draft = build_imitation("arm", folder)
    task = task_of(draft)
    assert task.actions == ["command_data"]
    assert task.channels["command_data"].resample.method == "hold"
    camera = task.channels["camera"]
    # Three times the distance of images at 10 Hz.
    assert (camera.shape, camera.resample.max_gap) == ((4, 6, 3), pytest.approx(0.3))
    assert task.channels["instruction"].source[0].name == "/task.data"
    checked = check_draft(draft)
    assert (checked.refused, checked.problem) == ([], "")


def test_the_state_of_a_simulator_next_to_the_observations_is_left_out(tmp_path, task_of):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "demos.hdf5", "w") as file:
        for number in range(3):
            group = file.create_group(f"data/demo_{number}")
            place = np.cumsum(rng.normal(size=(40, 2)), axis=0)
            group["obs/joint_pos"] = place
            group["obs/joint_pos_cos"] = np.cos(place)
            group["next_obs/joint_pos"] = np.roll(place, -1, axis=0)
            group["states"] = rng.normal(size=(40, 3))
            group["actions"] = rng.normal(size=(40, 2))
            group["timeouts"] = np.arange(40) == 39
    draft = build_imitation("lift", tmp_path / "demos.hdf5", 20.0)
    task = task_of(draft)
    kinds = {name: task.channels[name].kind for name in task.states}
    angles = {f"obs_joint_pos_{at}": "angle" for at in (0, 1)}
    assert kinds == angles | {f"obs_joint_pos_cos_{at}": "linear" for at in (0, 1)}
    assert draft.left_out["states[0]"].startswith("outside of obs/")
    assert "next_obs/joint_pos" not in draft.left_out  # its elements are
    assert "next_obs/joint_pos[0]" in draft.left_out


@pytest.mark.parametrize(("largest", "unit"), [(99.0, "1"), (140.0, "rad")])
def test_joints_of_an_arm_that_would_turn_twice_are_not_in_rad(tmp_path, task_of, largest, unit):
    phase = np.linspace(0, 6, 200)
    columns = {"time": phase, "elbow_pos": largest * np.sin(phase), "wrist_pos": np.cos(phase)}
    columns |= {"action": np.sin(2 * phase)}
    table(tmp_path / "demo.csv", **columns)
    channels = task_of(build_imitation("arm", tmp_path / "demo.csv")).channels
    assert channels["elbow_pos"].unit == unit
    assert channels["elbow_pos"].kind == ("linear" if unit == "1" else "angle")
    assert unit == "1" or channels["elbow_pos"].source[0].unit == "deg"


def test_a_late_velocity_cuts_no_demonstration(tmp_path, task_of):
    for number in range(3):
        time = np.arange(100) / 20
        angle = np.sin(2 * time + number)
        late = 1.05 * 2 * np.cos(2 * time + number)
        columns = {"time": time, "joint_pos": angle, "joint_vel": late, "action": np.cos(time)}
        table(tmp_path / f"demo_{number}.csv", **columns)
    draft = build_imitation("arm", tmp_path)
    assert task_of(draft).channels["joint_vel"].derivative_of == "joint_pos"
    checked = check_draft(draft)
    assert (checked.refused, checked.cut, checked.problem) == ([], [], "")


def demonstrations(folder, columns):
    """Write three demonstrations; `columns(angle)` returns their columns next to `q1`."""
    folder.mkdir()
    seconds = 0.05 * np.arange(100)
    for number in range(3):
        angle = np.round(np.sin(seconds + number) + 0.1 * np.sin(7.0 * seconds), 6)
        table(folder / f"{number}.csv", time=seconds, q1=angle, **columns(angle))
    return folder


def test_targets_without_commands_are_all_actions(tmp_path, task_of):
    folder = demonstrations(
        tmp_path / "demos", lambda q: {"target_q1": np.roll(q, -2), "target_gripper": np.sign(q)}
    )
    task = task_of(build_imitation("arm", folder))
    assert (task.states, task.actions) == (["q1"], ["target_q1", "target_gripper"])


def test_action_that_repeats_a_state_is_its_next_row(tmp_path, task_of):
    folder = demonstrations(tmp_path / "demos", lambda q: {"action_q1": q, "action_grip": -q})
    draft = build_imitation("arm", folder)
    channels = task_of(draft).channels
    assert [channels[name].resample.lead for name in ("action_q1", "action_grip")] == [1, 0]
    assert any(remark.startswith("no command") for remark in draft.remarks)


def test_actions_of_later_rows_of_a_chunk_are_left_out(tmp_path, task_of):
    def chunk(q):
        padded = np.concatenate([-q, np.full(2, -q[-1])])
        return {f"action[{row}]": padded[row : row + len(q)] for row in range(3)}

    draft = build_imitation("arm", demonstrations(tmp_path / "demos", chunk))
    assert [task_of(draft).channels[name].role for name in ("q1", "action_0")] == [
        "state",
        "action",
    ]
    assert "a later row" in draft.left_out["action[2]"]


def test_goal_that_rests_in_an_episode_is_observed_next_to_next_observations(tmp_path, task_of):
    rng = np.random.default_rng(0)
    goals = np.repeat(rng.normal(size=(4, 1)), 40, axis=0)
    place = rng.normal(size=(160, 1))
    np.savez(
        tmp_path / "buffer.npz",
        next_observations=np.hstack([np.roll(place, -1, axis=0), goals]),  # first, as in HDF5
        observations=np.hstack([place, goals]),
        actions=rng.normal(size=(160, 1)),
        terminals=np.arange(160) % 40 == 39,
    )
    task = task_of(build_imitation("reach", tmp_path / "buffer.npz", 20.0))
    assert task.states == ["observations_0", "observations_1"]


def test_joint_torque_makes_no_angle_of_a_cartesian_position(tmp_path, task_of):
    folder = demonstrations(
        tmp_path / "demos",
        lambda q: {"cartesian_position_1": 0.1 * q, "joint_position_1": 2 * q, "torque_1": -q},
    )
    channels = task_of(build_imitation("arm", folder)).channels
    kinds = [channels[f"{name}_position_1"].kind for name in ("joint", "cartesian")]
    assert kinds == ["angle", "linear"]


def test_actions_of_several_arrays_are_named(tmp_path):
    columns = {f"{array}[{at}]": at for array in ("actions", "actions_abs") for at in range(2)}
    folder = demonstrations(
        tmp_path / "demos",
        lambda q: {name: (at + len(name)) * q - q**2 for name, at in columns.items()},
    )
    remarks = build_imitation("arm", folder).remarks
    assert "actions of 2 arrays, actions, actions_abs: keep what the robot takes" in remarks
