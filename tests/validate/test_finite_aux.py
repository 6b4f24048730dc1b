"""Observations and rewards: finite or out, whatever the checks think of states and actions."""

import numpy as np
import polars as pl
import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.media import load_media
from kinemill.ingest import stage as ingest
from kinemill.validate import stage as validate
from kinemill.validate.stage import load_episodes
from tests.conftest import load_task_in

TASK = """
task: arm
dt: 0.01
channels:
  x: {role: state, unit: m}
  u: {role: action, unit: N}
  force: {role: observation, unit: N}
  reward: {role: reward, unit: "1"}
ingest: {min_file_age: 0.0}
dataset: {validation: [b.csv], test: [c.csv]}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def task(tmp_path):
    return load_task_in(tmp_path, TASK)


def log(path, seed, **changes):
    random, time = np.random.default_rng(seed), np.arange(300) * 0.01
    columns = {
        "time": time,
        "x": np.sin(3 * time + seed),
        "u": np.cos(5 * time) + 0.1 * random.standard_normal(300),
        "force": np.full(300, 2.0),  # a state that stands still like this would be stuck
        "reward": np.zeros(300),
    }
    for name, (row, value) in changes.items():
        columns[name][row] = value
    path.parent.mkdir(exist_ok=True)
    pl.DataFrame(columns).write_csv(path)


def test_rows_without_a_reward_are_cut_out_and_a_constant_one_is_none_of_the_checks_business(
    task, home, tmp_path
):
    log(tmp_path / "logs" / "a.csv", 0, reward=(100, np.nan), force=(290, np.inf))
    log(tmp_path / "logs" / "b.csv", 1)
    log(tmp_path / "logs" / "c.csv", 2)
    accepted = validate.run(task, home, ingest.run(task, home, tmp_path / "logs").artifact.ref)
    episodes = load_episodes(home, accepted.ref)
    rows = sorted(one.rows for one in episodes if one.name == "a.csv")
    assert rows == [100, 189]  # before row 100, and from 101 to 289; 9 rows at the end are too few
    assert accepted.summary["dropped"] == {"nonfinite": 2, "min_steps": 9}
    assert {one.rows for one in episodes if one.name != "a.csv"} == {300}
    ref = dataset_stage.run(task, home, accepted.ref).ref
    dataset, media = load_dataset(home, ref), load_media(home, ref)
    assert dataset.columns == ["x", "u"]
    for episode in dataset.episodes:
        numbers = media.numbers(episode.id)
        assert numbers.shape == (episode.rows, 2)
        np.testing.assert_array_equal(numbers, [[2.0, 0.0]] * episode.rows)
