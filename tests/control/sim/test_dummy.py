"""Dummy logs: a task's channels, physically sound, through the chain without a row lost."""

from math import pi

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from kinemill.control.sim import Dummy, dummy_overrides, dummy_task, write_dummy_logs
from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.media import load_media
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill.validate import stage as validate
from tests.conftest import EXAMPLES, ROOT

TASKS = sorted([*EXAMPLES.glob("*.yaml"), *(ROOT / "tests" / "tasks").glob("*.yaml")])


def test_a_task_that_learns_without_logs_gets_none(tmp_path):
    task = load_task(EXAMPLES / "cartpole_rl.yaml")
    with pytest.raises(BadInput, match="learns in its environment, without logs"):
        write_dummy_logs(task, tmp_path)


def tasks_with_logs():
    """Yield each task that learns from logs; slow unless it has a new kind of channel or rate."""
    seen = set()
    for path in TASKS:
        task = load_task(path)
        if not task.learn.from_logs or task.learn.type == "motion":
            continue
        kinds = {
            (channel.role, channel.kind, channel.derivative_of is None, channel.limits is None)
            for channel in task.channels.values()
        }
        kinds |= {task.learn.type, round(np.log10(task.dt) / 3)}
        marks = [pytest.mark.slow] if kinds <= seen else []
        yield pytest.param(path, id=path.stem, marks=marks)
        seen |= kinds


@pytest.mark.parametrize("path", [*tasks_with_logs()])
def test_dummy_logs_of_a_task_are_accepted_whole(path, home, tmp_path):
    task = load_task(path, dummy_overrides(load_task(path)))
    write_dummy_logs(task, tmp_path / "logs", Dummy(episodes=3))
    report = ingest.run(task, home, tmp_path / "logs")
    accepted = validate.run(task, home, report.artifact.ref)
    assert (accepted.summary["accepted"], accepted.summary["dropped_rows"]) == (3, 0)
    artifact = dataset_stage.run(task, home, accepted.ref)
    assert artifact.summary["episodes"] == {"train": 1, "validation": 1, "test": 1, "unused": 0}
    dataset = load_dataset(home, artifact.ref)
    assert (dataset.std > 0).all()
    for name, low, high in zip(
        dataset.columns, dataset.values.min(axis=0), dataset.values.max(axis=0), strict=True
    ):
        limits = task.channels[name].limits or (-np.inf, np.inf)
        assert limits[0] <= low < high <= limits[1]


def test_a_velocity_is_the_derivative_of_its_position_and_obeys_the_spring(tmp_path):
    task = load_task(EXAMPLES / "simple_pendulum.yaml")
    log = pl.read_csv(write_dummy_logs(task, tmp_path, Dummy(episodes=3))[2])
    angle, velocity, time = (log[name].to_numpy() for name in ("angle", "velocity", "time"))
    assert np.diff(time) == pytest.approx(0.02, abs=1e-9)
    slope = (angle[2:] - angle[:-2]) / 0.04
    # Sensor noise of 1e-4 of the amplitude, twice, over 0.04 s: 4 standard deviations.
    noise = 1e-4 * np.abs(angle).max() * np.sqrt(2) / 0.04
    assert np.abs(slope - velocity[1:-1]).max() < 5 * noise + 0.02 * np.abs(velocity).max()
    assert np.abs(angle).max() < pi


def test_two_sensors_of_one_velocity_and_an_acceleration_are_all_there(tmp_path):
    path = tmp_path / "arm.yaml"
    path.write_text(
        "task: arm\ndt: 0.01\nchannels:\n  a: {role: state, unit: m}\n"
        "  v: {role: state, unit: m/s, derivative_of: a, limits: [-0.5, 1]}\n"
        "  w: {role: state, unit: m/s, derivative_of: a}\n"
        "  c: {role: state, unit: m/s^2, derivative_of: v}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
    )
    log = pl.read_csv(write_dummy_logs(load_task(path), tmp_path / "logs")[0])
    assert set(log.columns) == {"time", "a", "v", "w", "c"}
    assert np.abs(log["v"].to_numpy() - log["w"].to_numpy()).max() < 0.001
    slope = np.gradient(log["v"].to_numpy(), 0.01)[1:-1]
    assert np.corrcoef(slope, log["c"].to_numpy()[1:-1])[0, 1] > 0.99


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    task = load_task(EXAMPLES / "cart_pole.yaml")
    first, repeated, changed = (
        [p.read_bytes() for p in write_dummy_logs(task, tmp_path / name, Dummy(episodes=3, seed=s))]
        for name, s in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == repeated
    assert first[0] != changed[0]
    assert len(set(first)) == 3


def test_logs_that_cannot_be_split_or_hold_no_window_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="greater than or equal to 3"):
        Dummy(episodes=2)
    with pytest.raises(BadInput, match="more than"):
        write_dummy_logs(load_task(EXAMPLES / "cart_pole.yaml"), tmp_path, Dummy(samples=20))


@pytest.fixture
def observing_task(tmp_path):
    """A task with a camera, an instruction, an observation and a reward."""
    path = tmp_path / "arm.yaml"
    path.write_text(
        "task: arm\ndt: 0.01\nchannels:\n  a: {role: state, unit: m}\n"
        "  v: {role: state, unit: m/s, derivative_of: a}\n"
        "  u: {role: action, unit: N}\n  o: {role: observation, unit: '1'}\n"
        "  r: {role: reward, unit: '1'}\n  camera: {role: image}\n  said: {role: text}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
    )
    return path


def test_pictures_texts_and_rewards_come_through_to_the_dataset(observing_task, home, tmp_path):
    dummy = Dummy(episodes=4, samples=150, image=(24, 32), instructions=["go", "stop"], seed=3)
    task = load_task(observing_task, dummy_overrides(load_task(observing_task), dummy))
    write_dummy_logs(task, tmp_path / "logs", dummy)
    recordings = ingest.run(task, home, tmp_path / "logs").artifact.ref
    accepted = validate.run(task, home, recordings)
    assert (accepted.summary["accepted"], accepted.summary["dropped_rows"]) == (4, 0)
    ref = dataset_stage.run(task, home, accepted.ref).ref
    media, dataset = load_media(home, ref), load_dataset(home, ref)
    assert dataset.columns == ["a", "v", "u"]
    said = {media.texts(segment.id, "said")[0] for segment in dataset.episodes}
    assert said == {"go", "stop"}
    for episode in dataset.episodes:
        frames, rows = media.frames(episode.id, "camera"), dataset.rows(episode).astype(float)
        assert frames.shape == (150, 24, 32, 3)
        # The disc stands where the first state is in its range.
        columns = [
            np.nonzero((frames[k] == (220, 180, 60)).all(axis=2))[1].mean() for k in range(150)
        ]
        assert np.corrcoef(columns, rows[:, 0])[0, 1] > 0.99
        observed, reward = media.numbers(episode.id).T
        assert reward.max() <= 0.0
        assert np.ptp(observed) > 0.1


def turning(tmp_path, more=""):
    path = tmp_path / "trunk.yaml"
    elements = "".join(
        f"  {name}: {{role: state, kind: quaternion, unit: '1'}}\n" for name in ("w", "x", "y", "z")
    )
    path.write_text(
        "task: trunk\ndt: 0.02\nchannels:\n"
        f"{elements}{more}  thrust: {{role: action, unit: N, limits: [0, 20]}}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
    )
    return load_task(path)


def test_elements_of_a_quaternion_are_a_rotation_that_turns(tmp_path):
    task = turning(tmp_path)
    log = pl.read_csv(write_dummy_logs(task, tmp_path / "logs", Dummy(episodes=3))[0])
    turned = log.select("w", "x", "y", "z").to_numpy()
    assert np.linalg.norm(turned, axis=1) == pytest.approx(1.0, abs=1e-6)  # 7 decimals are written
    between = np.abs(turned @ turned[0])
    assert 2 * np.arccos(between.min()) > 0.5  # rad from the first row to the farthest
    assert np.einsum("ij,ij->i", turned[1:], turned[:-1]).min() > 0.99


def test_a_derivative_of_an_element_is_refused(tmp_path):
    task = turning(tmp_path, "  dw: {role: state, unit: 1/s, derivative_of: w}\n")
    with pytest.raises(BadInput, match="dw is the derivative of w, an element of a quaternion"):
        write_dummy_logs(task, tmp_path / "logs")


def test_a_robot_of_any_dimensions_can_be_made_up(home, tmp_path):
    dummy = Dummy(states=5, actions=3, episodes=3, samples=200, image=(8, 8), instructions=["go"])
    path = tmp_path / "proto.yaml"
    path.write_text(dummy_task("proto", dummy))
    task = load_task(path, dummy_overrides(load_task(path), dummy))
    assert (len(task.states), len(task.actions), task.media) == (10, 3, ["camera", "instruction"])
    write_dummy_logs(task, tmp_path / "logs", dummy)
    accepted = validate.run(task, home, ingest.run(task, home, tmp_path / "logs").artifact.ref)
    assert (accepted.summary["accepted"], accepted.summary["dropped_rows"]) == (3, 0)
    plain = tmp_path / "plain.yaml"
    plain.write_text(dummy_task("plain", Dummy()))
    assert load_task(plain).media == []


def test_dummy_pictures_are_the_same_bytes_for_the_same_seed(observing_task, tmp_path):
    task, dummy = load_task(observing_task), Dummy(episodes=3, samples=100, image=(8, 8))
    first, repeated = (
        [path.read_bytes() for path in write_dummy_logs(task, tmp_path / name, dummy)]
        for name in ("a", "b")
    )
    assert first == repeated
