"""Reference motion: gaits found in clips, a policy that walks as they do, and its settings."""

import json
import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from benchmarks.prove_motion import evaluate, learn
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.export.policy import describe, write_policy
from kinemill.export.policy_cases import make_cases, random_inputs
from kinemill.ingest import stage as ingest
from kinemill.policies.motion.gaits import fit_gaits, fourier
from kinemill.runtime import load
from kinemill.runtime.policy_self_test import play
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.plugins import OBJECTIVES
from kinemill.validate import stage as validate

DT, CYCLE = 0.02, 23.7  # s; rows
JOINTS = ("left_hip", "left_knee", "right_hip", "right_knee", "neck")


def gait(command: np.ndarray, rows: int, first: float = 0.0) -> np.ndarray:
    """Two legs half a cycle apart, whose swing and bend follow the command: (rows, 5) rad."""
    phase = first + 2.0 * np.pi * np.arange(rows) / CYCLE
    legs = [
        curve
        for turn, sign in ((0.0, 1.0), (np.pi, -1.0))
        for curve in (
            0.2 + (0.2 + 0.8 * command[0] + 0.3 * sign * command[1]) * np.sin(phase + turn),
            -0.8 + 0.3 * np.cos(phase + turn) + 0.1 * (1 + command[0]) * np.sin(2 * (phase + turn)),
        )
    ]
    return np.stack([*legs, np.full(rows, -0.1)], axis=1)


COMMANDS = {"a": (0.1, 0.0), "b": (-0.1, 0.1), "c": (0.0, -0.2), "unseen": (0.05, 0.15)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Four clips of a robot, each at 50 frames a second from another phase, noisy by 5 mrad."""
    folder = tmp_path_factory.mktemp("clips")
    for first, (name, command) in enumerate(COMMANDS.items()):
        random = np.random.default_rng(first)
        joints = gait(np.array(command), 160, first) + random.normal(0, 5e-3, (160, 5))
        frames = np.concatenate([np.full((160, 1), 0.3), joints], axis=1)
        content = {
            "FPS": 50,
            "Joints": list(JOINTS),
            "Vel_x": command[0],
            "Yaw": command[1],
            "Frame_offset": [{"height": 0, "joints_pos": 1}],
            "Frame_size": [{"height": 1, "joints_pos": 5}],
            "Frames": frames.tolist(),
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    lines = ["task: puppet", f"dt: {DT}", "channels:"]
    for name in JOINTS:
        fields = f'unit: rad, limits: [-1.5, 1.5], source: "joints_pos[{name}]"'
        lines += [
            f"  {name}: {{role: state, {fields}}}",
            f"  {name}_target: {{role: action, {fields}, resample: {{lead: 1}}}}",
        ]
    lines += ["  forward: {role: observation, unit: m/s, source: Vel_x}"]
    lines += ["  turn: {role: observation, unit: rad/s, source: Yaw}"]
    lines += [
        "ingest: {format: motion_json, min_file_age: 0.0}",
        "validate: {stuck: {on_fault: warn}}",
    ]
    lines += ["dataset: {test: [unseen.json], validation: {tail: 0.3}}"]
    lines += ["learn: {type: motion, epochs: 2, hidden_size: 32, eval_every: 5}"]
    path = tmp_path_factory.mktemp("task") / "puppet.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(task_file, clips, tmp_path_factory):
    return learn(load_task(task_file), Home(tmp_path_factory.mktemp("home")), clips)


def test_cycle_phase_and_gaits_are_found():
    clips_made = [
        gait(np.array(command), 200, first) for first, command in enumerate(COMMANDS.values())
    ]
    commands = [np.array(command) for command in COMMANDS.values()]
    actual = fit_gaits([clip[:, :4] for clip in clips_made], commands, 6, 8)
    assert actual.cycle == pytest.approx(CYCLE, abs=0.01)
    # Clip k starts k rad later than the first: swing and bend are of one phase.
    np.testing.assert_allclose(np.sin(actual.phases - np.arange(4)), 0.0, atol=0.02)
    assert len(actual.directions) == 2  # a gait of these has two free numbers
    phase = actual.phases[1] + 2.0 * np.pi * np.arange(200) / actual.cycle
    series = actual.mean + np.einsum("r,rfj->fj", actual.latents[1], actual.directions)
    np.testing.assert_allclose(fourier(phase, 6) @ series, clips_made[1][:, :4], atol=0.02)


def test_clips_that_repeat_nothing_are_refused():
    random = np.random.default_rng(0)
    clips = [random.normal(size=(200, 3)).cumsum(axis=0) for _ in range(2)]
    with pytest.raises(BadInput, match="not periodic"):
        fit_gaits(clips, [np.zeros(1)] * 2, 6, 8)


def test_clips_that_do_not_repeat_are_named_before_a_dataset_is_published(
    task_file, clips, tmp_path
):
    """The clip "odd" drifts; the others walk."""
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    content = json.loads((folder / "a.json").read_text())
    rows = np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, (160, 6)), axis=0)
    content["Frames"] = rows.tolist()
    for name in ("a", "b", "c"):
        (folder / f"{name}.json").unlink()
    (folder / "odd.json").write_text(json.dumps(content))
    task, home = load_task(task_file), Home(tmp_path / "home")
    episodes = validate.run(task, home, ingest.run(task, home, folder).artifact.ref).ref
    with pytest.raises(BadInput, match=r"train split: clips are not periodic.*odd\.json \d+ rows"):
        dataset_stage.run(task, home, episodes)
    assert not (home.store / "dataset").exists()


def test_clips_shorter_than_two_cycles_are_named(task_file):
    task = load_task(task_file, {"learn.cycle": 2.0})
    values = gait(np.zeros(2), 160, 0)
    clip = dict(zip(JOINTS, values.T, strict=True))
    with pytest.raises(BadInput, match=r"shorter than two cycles: a\.json 160 rows.*200 rows"):
        task.learn.check_clips(task, {"a.json": clip})


@pytest.fixture(scope="module")
def walk(trained):
    return evaluate(*trained)


def test_a_walk_under_an_unseen_command_is_as_near_as_the_clip_is_noisy(walk):
    """4 mrad on average; waves without jitter are what a linear model does best, and no better."""
    assert 0.003 < walk.policy < 0.006 < walk.stays
    assert walk.policy < 1.2 * walk.linear


def test_a_walk_goes_on_for_a_thousand_rows_of_its_own(walk):
    assert walk.long_finite
    assert 0.5 < walk.long_range < 1.3
    assert walk.long_error < 0.05


def test_nan_stays_in_its_row_and_targets_within_limits(trained):
    policy, _ = trained
    observation = torch.zeros(3, 7)
    observation[1, 2] = torch.nan
    observation[2] = 1e4
    with torch.no_grad():
        alone, *_ = policy(observation[:1], *policy.initial_carry(1))
        targets, *carry = policy(observation, *policy.initial_carry(3))
        after, *_ = policy(torch.zeros(3, 7), *carry)
    assert torch.isnan(targets[1, :4]).all()
    assert torch.isfinite(targets[[0, 2]]).all()
    assert torch.isfinite(after[[0, 2]]).all()
    torch.testing.assert_close(targets[:1], alone)
    low, high = (
        torch.tensor([policy.layout.limits[n][k] for n in policy.layout.actions]) for k in (0, 1)
    )
    assert bool(((targets[2] >= low) & (targets[2] <= high)).all())


def test_frames_in_a_npy_file_are_the_clip_that_they_are_in_json(task_file, clips, tmp_path):
    """A frame array holds numbers alone: the task says how many a second, and which is what."""
    from kinemill.ingest.readers import READERS

    content = json.loads((clips / "a.json").read_text())
    frames = np.array(content["Frames"])
    commands = np.tile([content["Vel_x"], content["Yaw"]], (len(frames), 1))
    np.save(tmp_path / "a.npy", np.concatenate([frames, commands], axis=1))
    sources = {
        **{f"channels.{name}.source": f"arr_0[{k + 1}]" for k, name in enumerate(JOINTS)},
        **{f"channels.{name}_target.source": f"arr_0[{k + 1}]" for k, name in enumerate(JOINTS)},
        "channels.forward.source": "arr_0[6]",
        "channels.turn.source": "arr_0[7]",
        "ingest.format": "npz",
        "ingest.rate": 50.0,
    }
    actual = READERS["npz"].read(tmp_path / "a.npy", load_task(task_file, sources))
    expected = READERS["motion_json"].read(clips / "a.json", load_task(task_file))
    log = actual if not isinstance(actual, list) else actual[0]
    assert log.ticks == expected.ticks == 50.0
    np.testing.assert_array_equal(log.frame.to_numpy(), expected.frame.to_numpy())


@pytest.mark.parametrize(
    ("key", "value", "bound"),
    [
        ("epochs", 0, "greater than or equal to 1"),
        ("epochs", 1001, "less than or equal to 1000"),
        ("batch_size", 513, "less than or equal to 512"),
        ("hidden_size", 0, "greater than or equal to 32"),
        ("hidden_size", 48, "multiple of 32"),
        ("hidden_size", 544, "less than or equal to 512"),
        ("optimizer", {"lr": 0.2}, "not between 0.0001 and 0.1"),
        ("optimizer", {"lr": 1e-5}, "not between 0.0001 and 0.1"),
    ],
)
def test_settings_beyond_a_bound_are_refused_with_the_bound(key, value, bound):
    with pytest.raises(ValidationError, match=bound):
        OBJECTIVES["motion"].model_validate({"type": "motion", key: value})


def test_an_action_that_follows_no_joint_is_an_error_that_says_what_to_set(task_file):
    with pytest.raises(BadInput, match=r"action_joints.*neck_target"):
        load_task(task_file, {"channels.neck_target.source": "joints_pos[0]"})


def test_motions_that_no_clip_is_called_are_refused_with_the_known_ones(task_file, clips, tmp_path):
    task = load_task(task_file, {"learn.motions": ["walk*"]})
    with pytest.raises(BadInput, match=r"no clip of walk\*.*a\.json, b\.json, c\.json"):
        learn(task, Home(tmp_path), clips)


@pytest.mark.slow
def test_the_file_walks_as_the_policy_in_torch_far_off_its_clips_too(trained, tmp_path):
    policy, _ = trained
    write_policy(policy, describe(policy, "puppet", "none"), tmp_path)
    loaded = load(tmp_path)
    for seed in range(2):
        inputs = random_inputs(loaded.interface, 256, 3, seed=seed)
        inputs["observation"] = inputs["observation"] * (1.0, 10.0)[seed]
        cases = make_cases(policy, loaded.interface, inputs)
        actual = play(loaded, cases.inputs)
        assert bool((np.abs(actual - cases.action) <= cases.allowed).all())
        assert float(np.abs(actual - cases.action).max()) < 5e-6
