"""Acyclic clips: read, checked, tracked in physics, trained and exported."""

import numpy as np
import polars as pl
import pytest
import torch

from benchmarks._clips import task_text, write_clip
from benchmarks.prove_motion import data_of
from kinemill.draft.draft_check import check_draft
from kinemill.draft.motion import build_motion
from kinemill.draft.robot_file import read_robot
from kinemill.errors import BadInput
from kinemill.export.policy import describe
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.kinds.legged import ClipEnv
from kinemill.policies.motion.clip_reference import ClipFamily, ClipReference
from kinemill.policies.motion.gait_setup import Clips, fit_family
from kinemill.policies.motion.motion_tracking import REACH, Tracking
from kinemill.policies.motion.policy_inputs import input_size, policy_inputs
from kinemill.policies.motion.settings import TrackingReward, TrackingSettings
from kinemill.policies.motion.tracking_fit import clips_of
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.policies.rl.networks import Perceptron
from kinemill.policies.verification.subject import PolicySubject
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations
from tests.conftest import load_task_in
from tests.policies.environments.test_legged import HIPS, quadruped
from tests.policies.motion.policies import of_clips

pytestmark = pytest.mark.ci

DT, RATE = 0.02, 50
ZERO = {"Vel_x": 0.0, "Vel_y": 0.0, "Yaw": 0.0}
JOINTS = tuple(f"{leg}_{joint}" for leg in HIPS for joint in ("hip", "knee"))
SETTINGS = """
dataset: {test: [{rows: [80, null]}], validation: {tail: 0.2}}
learn:
  type: motion
  physics:
    algorithm: {type: ppo, n_steps: 16}
    num_envs: 8
    batch_size: 64
    steps: 256
    eval_every: 128
    model: {type: mlp, hidden_sizes: [16]}
environment:
  type: legged
  robot: dog.xml
  clips: [clips/crouch.json]
  push: 0
  trials: {episodes: 2, n_eval_episodes: 2}
"""


def crouch(depth: float, rows: int = 100) -> dict[str, np.ndarray]:
    """Bend all legs by `depth` rad and stretch them again; the feet stay below the hips."""
    bend = depth * 0.5 * (1.0 - np.cos(2.0 * np.pi * np.arange(rows) / (rows - 1)))
    return {name: -2.0 * bend if name.endswith("knee") else bend for name in JOINTS}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "dog.xml").write_text(quadruped())
    write_clip(tmp_path / "clips" / "crouch.json", crouch(0.6), RATE, **ZERO)
    bow = ZERO | {"Yaw": 1.0}
    write_clip(tmp_path / "clips" / "bow.json", crouch(0.3, 60), RATE, loops=True, **bow)
    (tmp_path / "dog.yaml").write_text(task_text("dog", JOINTS, DT, SETTINGS))
    return tmp_path


def task_of(folder, *clips: str, **changed):
    paths = [str(folder / "clips" / f"{name}.json") for name in clips or ("crouch",)]
    return load_task(folder / "dog.yaml", {"environment.clips": paths, **changed})


def test_height_and_rates_are_those_of_legs_that_bend(folder):
    """Two links of 80 mm and a sole of 10 mm; the hip is 10 mm in front of the leg, 5 mm above."""
    table, bend = clips_of(task_of(folder)), crouch(0.6)["front_left_hip"]
    steps = np.arange(99.0)
    pose = table.at(steps, [0] * 99)
    np.testing.assert_allclose(pose.joints[:, 0], bend[:99], atol=1e-5)
    height = 0.005 + 0.165 * np.cos(bend[:99]) - 0.01 * np.sin(bend[:99])
    np.testing.assert_allclose(pose.height, height, atol=1e-5)
    np.testing.assert_allclose(pose.rates[1:-1, 0], (bend[2:99] - bend[:97]) / (2 * DT), atol=1e-3)
    np.testing.assert_allclose(pose.up, [[0.0, 0.0, 1.0]] * 99, atol=1e-9)
    np.testing.assert_allclose(pose.velocity.mean(axis=0), 0.0, atol=1e-3)


def test_a_clip_ends_and_a_loop_goes_on(folder):
    table = clips_of(task_of(folder, "crouch", "bow"))
    assert table.ends.tolist() == [98, 58]  # targets one row later cost the last row
    assert table.loops.tolist() == [False, True]
    far = table.at(np.array([500.0, 58.0, 59.0]), [0, 1, 1]).joints
    np.testing.assert_allclose(far[0], table.joints[0, 98])
    np.testing.assert_allclose(far[1], table.joints[1, 0], atol=1e-9)
    np.testing.assert_allclose(far[2], table.joints[1, 1])


def test_a_clip_outside_the_limits_is_named_with_frame_joint_value_and_limit(folder):
    write_clip(folder / "clips" / "deep.json", crouch(1.2), RATE, **ZERO)
    task, home = task_of(folder, "deep"), Home(folder / "home")
    message = r"deep\.json.*front_left_knee -2\.0\d+ rad in frame 3\d .*limits -2 to 2"
    with pytest.raises(BadInput, match=message):
        data_of(task, home, folder / "clips")
    assert not (home.store / "dataset").exists()


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("crouch", {"Yaw": 1.0}, "crouch.json and bow.json have the same command"),
        ("missing", {}, r"missing\.json.*no such file"),
    ],
)
def test_clips_that_cannot_be_used_are_named(folder, name, changed, message):
    write_clip(folder / "clips" / "crouch.json", crouch(0.6), RATE, **ZERO | changed)
    with pytest.raises(BadInput, match=message):
        clips_of(task_of(folder, name, "bow"))


def play(environment: ClipEnv, targets) -> tuple[int, dict, float]:
    environment.reset(seed=0)
    rows, over, total, shares = 0, False, 0.0, 0.0
    while not over:
        rows += 1
        _, reward, fell, cut, info = environment.step(targets(rows).astype(np.float32))
        total, shares, over = total + reward, shares + info["tracked"], fell or cut
    return rows, info | {"share": shares}, total / rows


def test_a_clip_played_back_is_a_success_and_standing_is_not(folder):
    environment = make_environment(task_of(folder))
    table = clips_of(task_of(folder))
    rows, info, reward = play(environment, lambda step: table.joints[0, min(step, 98)])
    assert rows == 98
    assert info["is_success"]
    assert info["share"] == pytest.approx(1.0)
    assert reward > 0.8
    _, info, still = play(environment, lambda step: np.zeros(8))
    assert not info["is_success"]
    assert still < 0.6


SEQUENCE = {"environment.command_every": 1.0, "environment.steps": 600}


def test_a_policy_changes_between_clips_by_command_without_falling(folder):
    """12 s of the clips alone: one of 1.96 s in turn with one that repeats itself each 1.16 s."""
    task = task_of(folder, "crouch", "bow", **SEQUENCE)
    policy, environment = untrained(task), make_environment(task).unwrapped
    with torch.no_grad():
        for weights in policy.core.parameters():
            weights.zero_()
    observation, _ = environment.reset(seed=0)
    carry, played, off = policy.initial_carry(1), [environment.clip], []
    for _ in range(600):
        with torch.no_grad():
            target, *carry = policy(torch.from_numpy(observation[None]), *carry)
        observation, _, has_left, is_cut, info = environment.step(target[0].numpy())
        assert not has_left
        assert not is_cut
        off.append(info["joint_error"] * environment.clips.ends[environment.clip])
        if environment.clip != played[-1]:
            played.append(environment.clip)
    assert info["is_success"]
    assert len(played) == 8
    assert np.mean(off) < 0.06  # rad: a phase that went on would be off by up to 0.6


def test_training_changes_clips_as_trials_do(folder):
    tracking = tracking_of(task_of(folder, "crouch", "bow", **SEQUENCE), 16)
    rows, phases, ends = [], [], 0
    for _ in range(300):
        _, reward, done, _, _ = tracking.step(np.zeros((16, 8)))
        rows.append(tracking._command_rows.copy())
        phases.append(tracking._phase.copy())
        ends += int(done.sum())
        assert (tracking._robots.command[:, 2] == np.array([0.0, 1.0])[rows[-1]]).all()
    changed = np.diff(rows, axis=0) != 0
    assert ends == 0
    assert (changed.sum(axis=0) >= 3).all()
    assert (np.array(phases[1:])[changed] == 0.0).all()
    assert reward.mean() > 0.6


def test_a_change_of_clips_needs_two_clips_and_an_end(folder):
    with pytest.raises(BadInput, match=r"command_every.*changes crouch\.json for no other"):
        clips_of(task_of(folder, **SEQUENCE))
    with pytest.raises(BadInput, match="command_every: needs steps"):
        task_of(folder, "crouch", "bow", **{"environment.command_every": 1.0})


def test_the_pose_of_the_clip_is_where_training_starts(folder):
    task = task_of(folder)
    tracking = tracking_of(task, 64)
    robots, reference = tracking._robots, tracking._reference
    phases = tracking._phase
    assert phases.max() > 0.5 * np.pi
    assert (phases == 0.0).sum() >= 4  # a fifth starts as in an evaluation
    pose = reference.at(phases, np.zeros(64, int))
    np.testing.assert_allclose(robots.position[:, 2], pose.height)
    np.testing.assert_allclose(robots.velocity[:, 6:], pose.rates)
    assert robots.joint_error(pose).max() < 0.06
    rewards, ends = [], []
    for _ in range(120):
        _, reward, done, infos, _ = tracking.step(np.zeros((64, 8)))
        rewards.append(reward)
        ends += [info for info, over in zip(infos, done, strict=True) if over]
    assert np.mean(rewards) > 0.6
    assert len(ends) >= 64
    assert all(info["TimeLimit.truncated"] for info in ends)  # none fell: the clip was over
    assert {info["kinemill_episode"]["success"] for info in ends} == {1.0}


def untrained(task) -> TrackingPolicy:
    """A policy of the task's clips, with a random network."""
    table, robot = clips_of(task), make_environment(task).unwrapped
    layout = PolicyLayout(DT, robot.observation_names, robot.action_names, {}, {}, (0,) * 8)
    family = ClipFamily(layout, len(table.ends), table.joints.shape[1])
    family.load_clips(table)
    torch.manual_seed(0)
    return TrackingPolicy(layout, family, Perceptron([input_size(8), 16, 8], "tanh")).eval()


def tracking_of(task, count: int, **settings: object) -> Tracking:
    reference = ClipReference(clips_of(task), task.environment.clip_error)
    robots = task.environment.many(task, count, torch.device("cpu"))
    tracking = TrackingSettings.model_validate(settings)
    return Tracking(task.environment, robots, reference, settings=tracking)


def test_a_command_that_selects_a_clip_earns_nothing(folder):
    reward = TrackingReward(task=0.0, imitation=0.0, command_weight=0.5)
    tracking = tracking_of(task_of(folder), 4, reward=reward)
    tracking.reset([0, None, None, None])
    np.testing.assert_array_equal(tracking.step(np.zeros((4, 8)))[1], 0.0)


def test_training_episodes_may_be_shorter_than_trials(folder):
    task = task_of(folder, "bow", **{"environment.steps": 200})
    for seconds, length in ((None, 200), (10.0 * DT, 10), (1000.0, 200)):
        tracking = tracking_of(task, 2, episode=seconds)
        tracking.reset([0, None])
        dones = [tracking.step(np.zeros((2, 8)))[2].all() for _ in range(length)]
        assert dones == [False] * (length - 1) + [True]


def test_what_is_exported_does_in_torch_what_it_learned_in_numpy(folder):
    """Of two clips, the one whose command is nearest; one ends within the rows, one loops."""
    policy = untrained(task := task_of(folder, "crouch", "bow"))
    core, reference = policy.core, ClipReference(clips_of(task), 0.2)
    random = np.random.default_rng(0)
    observations = random.normal(0.0, 0.3, (2, 26)).astype(np.float32)
    observations[:, 3] = 1.0
    observations[:, -3:] = [[0.0, 0.0, 0.2], [0.0, 0.0, 0.8]]
    phase, rows, added, carry = np.zeros(2), np.arange(2), np.zeros((2, 8)), policy.initial_carry(2)
    exact = observations.copy()
    exact[:, -3:] = reference.commands  # the policy sees the command of its clip
    with torch.no_grad():
        for _ in range(130):
            inputs = policy_inputs(exact, phase, added, reference, rows)
            added = core(torch.from_numpy(inputs))[0].numpy().clip(-1, 1)
            phase = reference.advance(phase, rows)
            target = reference.at(phase, rows).joints + REACH * added
            actual, *carry = policy(torch.from_numpy(observations), *carry)
            np.testing.assert_allclose(actual.numpy(), target, atol=2e-4)
    lost = torch.full((2, 26), torch.nan)
    assert policy(lost, *policy.initial_carry(2))[0].isnan().all()


def test_a_clip_is_learned_and_its_policy_is_restored(folder):
    task, home = task_of(folder), Home(folder / "home")
    refs = data_of(task, home, folder / "clips")
    model = train.run(task, home, *refs, (NullReporter(), NullReporter()))
    policy = load_model(home.root / model.ref.path)
    assert isinstance(policy, TrackingPolicy)
    np.testing.assert_allclose(policy.family.table[0].numpy(), clips_of(task).joints[0], atol=1e-6)


def test_a_joint_at_rest_in_the_clips_of_a_gait_is_tracked_in_physics(folder):
    """The hips stay at 0.1 rad; knees bend every 20 rows."""
    phase = 2.0 * np.pi * np.arange(200) / 20.0
    joints = [np.full(200, 0.1) if k % 2 == 0 else -0.2 + 0.1 * np.sin(phase) for k in range(8)]
    observed = np.zeros((200, 26), np.float32)
    observed[:, 7:15] = np.stack(joints, axis=1)
    task = task_of(folder)
    clips = Clips(observed, list(range(7, 15)), [23, 24, 25], [(0, 200)])
    gaits, moving_joints = fit_family(task.learn, task, clips)
    assert moving_joints == list(range(8))
    np.testing.assert_allclose(gaits.mean[0, ::2], 0.1, atol=1e-6)
    np.testing.assert_allclose(gaits.mean[1:, ::2], 0.0, atol=1e-6)
    still = task.model_copy(update={"environment": None})
    assert fit_family(still.learn, still, clips)[1] == [1, 3, 5, 7]


def test_a_draft_from_clips_without_a_cycle_tracks_them_in_physics(folder, tmp_path):
    (folder / "clips" / "bow.json").unlink()
    robot = read_robot(folder / "dog.xml")
    draft = build_motion("bend", folder / "clips", None, robot)
    assert any("cycles: none in crouch.json" in remark for remark in draft.remarks)
    task = load_task_in(tmp_path, check_draft(draft).text)
    assert task.environment.clips == [str(folder / "clips" / "crouch.json")]
    assert clips_of(task).ends.tolist() == [98]
    refs = data_of(task, Home(folder / "home"), folder / "clips")
    assert len(refs) == 2
    alone = build_motion("bend", folder / "clips")
    assert any("--robot FILE" in remark for remark in alone.remarks)


@pytest.mark.parametrize("form", ["csv", "npz"])
def test_clips_are_the_same_in_other_formats(folder, form):
    """A table with a time column; arrays by the names of its columns."""
    joints = crouch(0.6)
    columns = {
        "time": np.arange(100) * DT,
        **dict(zip(("qx", "qy", "qz", "qw"), np.eye(4)[[3] * 100].T, strict=True)),
        **{f"{name}_angle": angles for name, angles in joints.items()},
        "select": np.zeros(100),
    }
    path = folder / "clips" / f"crouch.{form}"
    if form == "npz":
        np.savez(path, **columns)
    else:
        pl.DataFrame(columns).write_csv(path)
    sources = {f"channels.trunk_{axis}.source": f"q{axis}" for axis in "xyzw"}
    sources |= {f"channels.{name}.source": f"{name}_angle" for name in JOINTS}
    sources |= {f"channels.{name}_target.source": f"{name}_angle" for name in JOINTS}
    rest = [f"turn_{axis}" for axis in "xyz"] + [f"{name}_velocity" for name in JOINTS]
    rest += [f"command_{axis}" for axis in ("x", "y", "yaw")]
    sources |= {f"channels.{name}.source": "select" for name in rest}
    task = load_task(
        folder / "dog.yaml",
        {**sources, "environment.clips": [str(path)], "ingest.format": form, "ingest.time": "time"},
    )
    expected = clips_of(task_of(folder)).at(np.arange(99.0), [0] * 99)
    actual = clips_of(task).at(np.arange(99.0), [0] * 99)
    np.testing.assert_allclose(actual.joints, expected.joints, atol=1e-6)
    np.testing.assert_allclose(actual.height, expected.height, atol=1e-6)


@pytest.mark.parametrize("entry", ["walks", "walks/data/chunk-000/file-000.parquet"])
def test_each_episode_of_a_lerobot_data_set_is_a_clip(folder, entry):
    """One state vector of joints and attitude; the index of the episode is the command."""
    path = folder / "walks" / "data" / "chunk-000" / "file-000.parquet"
    path.parent.mkdir(parents=True)
    pl.concat([lerobot_episode(0, crouch(0.6)), lerobot_episode(1, crouch(0.3, 60))]).write_parquet(
        path
    )
    elements = (*JOINTS, *(f"trunk_{axis}" for axis in "xyzw"))
    sources = {name: f"observation.state[{index}]" for index, name in enumerate(elements)}
    sources |= {f"{name}_target": sources[name] for name in JOINTS}
    rest = (*(f"turn_{axis}" for axis in "xyz"), *(f"{name}_velocity" for name in JOINTS))
    sources |= dict.fromkeys((*rest, "command_x", "command_y"), "observation.zero")
    sources |= {"command_yaw": "episode_index"}
    changed = {f"channels.{name}.source": source for name, source in sources.items()}
    task = load_task(
        folder / "dog.yaml",
        {**changed, "environment.clips": [str(folder / entry)], "ingest.format": "parquet"},
    )
    table, expected = clips_of(task), clips_of(task_of(folder, "crouch", "bow"))
    assert table.names == ("file-000.parquet: episode 0", "file-000.parquet: episode 1")
    np.testing.assert_allclose(table.commands, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(table.joints[0], expected.joints[0], atol=1e-5)
    assert table.ends.tolist() == [98, 58]
    frozen = task.environment.sources()
    for name, source in frozen.items():
        (folder / "frozen" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "frozen" / name).write_bytes(source.read_bytes())
    pinned = task.model_copy(update={"environment": task.environment.at(folder / "frozen")})
    assert clips_of(pinned).ends.tolist() == [98, 58]


def lerobot_episode(index: int, joints: dict[str, np.ndarray]) -> pl.DataFrame:
    """Return the rows of one episode as LeRobot stores them."""
    angles = np.stack(list(joints.values()), axis=1)
    count = len(angles)
    state = np.concatenate([angles, np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))], axis=1)
    return pl.DataFrame(
        {
            "observation.state": pl.Series(state.tolist(), dtype=pl.List(pl.Float32)),
            "observation.zero": np.zeros(count, np.float32),
            "timestamp": (np.arange(count) / RATE).astype(np.float32),
            "frame_index": np.arange(count),
            "episode_index": np.full(count, index),
        }
    )


def test_a_folder_without_a_data_set_is_no_clip(folder):
    task = load_task(folder / "dog.yaml", {"environment.clips": [str(folder / "clips")]})
    with pytest.raises(BadInput, match=r"clips.*has no file data/\*\*/\*\.parquet"):
        clips_of(task)


def test_a_policy_in_physics_has_no_errors_of_actions(folder):
    """Its targets lead the clip by what the servos need: the clip's angles are not its actions."""
    module, task = of_clips(), task_of(folder)
    trained = describe(module, "dog", "d" * 64)
    logs = Demonstrations(None)
    assert PolicySubject(task, folder, module, trained, logs).held_out is None
    assert task.learn.imitates_actions(task.model_copy(update={"environment": None}))


def test_acyclic_clips_without_physics_are_refused_with_the_way_to_track_them(folder):
    task = load_task(folder / "dog.yaml").model_copy(update={"environment": None})
    with pytest.raises(BadInput, match=r"not periodic.*clips: \[FILES\]"):
        task.learn.check_clips(task, {"crouch.json": crouch(0.6)})
