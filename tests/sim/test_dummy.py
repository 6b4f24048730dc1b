"""Dummy logs: a task's channels, physically sound, through the chain without a row lost."""

from math import pi

import numpy as np
import polars as pl
import pytest

from kinemill.dataset import load_dataset, make_dataset
from kinemill.errors import BadInput
from kinemill.ingest import ingest
from kinemill.sim import dummy_overrides, write_dummy_logs
from kinemill.spec import load_task
from kinemill.validate import validate
from tests.conftest import ROOT

TASKS = sorted([*(ROOT / "tasks").glob("*.yaml"), *(ROOT / "tests" / "tasks").glob("*.yaml")])


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_every_task_takes_its_dummy_logs_whole(path, home, tmp_path):
    task = load_task(path, dummy_overrides(load_task(path)))
    write_dummy_logs(task, tmp_path / "logs", episodes=4)
    report = ingest(task, home, tmp_path / "logs")
    accepted = validate(task, home, report.outcome.ref)
    assert (accepted.summary["accepted"], accepted.summary["dropped_rows"]) == (4, 0)
    outcome = make_dataset(task, home, accepted.ref)
    assert outcome.summary["episodes"] == {"train": 2, "validation": 1, "test": 1, "unused": 0}
    dataset = load_dataset(home, outcome.ref)
    assert (dataset.std > 0).all()
    for name, low, high in zip(
        dataset.columns, dataset.values.min(axis=0), dataset.values.max(axis=0), strict=True
    ):
        limits = task.channels[name].limits or (-np.inf, np.inf)
        assert limits[0] <= low < high <= limits[1]


def test_a_velocity_is_the_derivative_of_its_position_and_obeys_the_spring(tmp_path):
    task = load_task(ROOT / "tasks" / "simple_pendulum.yaml")
    log = pl.read_csv(write_dummy_logs(task, tmp_path, episodes=3)[2])
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
    task = load_task(ROOT / "tasks" / "cart_pole.yaml")
    first, again, other = (
        [path.read_bytes() for path in write_dummy_logs(task, tmp_path / name, episodes=3, seed=s)]
        for name, s in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first[0] != other[0]
    assert len(set(first)) == 3


def test_logs_that_cannot_be_split_are_refused(tmp_path):
    with pytest.raises(BadInput, match="at least 3"):
        write_dummy_logs(load_task(ROOT / "tasks" / "cart_pole.yaml"), tmp_path, episodes=2)
