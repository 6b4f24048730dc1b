"""A pendulum as a task file and as a dataset, and searches over it that take a second a trial."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from kinemill.dataset import PackedDataset
from kinemill.selection.tune import Bounds, Search, begin, write_job
from kinemill.selection.tune.worker import run
from kinemill.store import read_json
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from tests.conftest import ROOT
from tests.dataset.packing import PENDULUM, packed_of, swing
from tests.train.conftest import publish

TASK = """\
task: pendulum
dt: 0.02
channels:
  angle: {role: state, kind: angle, unit: rad}
  velocity: {role: state, unit: rad/s, derivative_of: angle}
  torque: {role: action, unit: N*m}
learn:
  type: dynamics
  model: {type: mlp, hidden_sizes: [8]}
  history: 3
  horizon: 4
  steps: 30
  batch_size: 32
  schedule: {type: cosine_warmup, warmup_steps: 5}
  eval_every: 10
  save_every: 10
  log_every: 10
verify: {horizon: 6}
tune:
  pruning: none
  startup: 2
  space:
    learn:
      model:
        select:
          - {type: mlp, hidden_sizes: {select: [[4], [8], [16]]}}
          - {type: gru, hidden_size: {range: [4, 12, 4]}}
      history: {range: [2, 4]}
      optimizer: {lr: {range: [1e-3, 1e-2], log: true}}
"""


def packed_with(test: np.ndarray) -> PackedDataset:
    """Three training runs, one for validation, and `test` (rows, 3) to test with."""
    runs = {"train": [swing(120, k) for k in range(3)], "validation": [swing(120, 9)]}
    return packed_of("pendulum", 0.02, PENDULUM, runs | {"test": [test]})


@pytest.fixture(scope="session")
def packed() -> PackedDataset:
    return packed_with(swing(60, 11))


@pytest.fixture
def task_file(tmp_path) -> Path:
    path = tmp_path / "pendulum.yaml"
    path.write_text(TASK)
    return path


@pytest.fixture
def pendulum(task_file) -> Callable[..., Task]:
    """The task, with overrides."""
    return lambda **overrides: load_task(
        task_file, {key.replace("__", "."): value for key, value in overrides.items()}
    )


@pytest.fixture
def search_of(task_file, packed, home) -> Callable[..., Search]:
    """Begin a search in a home, of the task with overrides."""

    def make(home: Home = home, packed: PackedDataset = packed, **overrides) -> Search:
        return begun(task_file, home, packed, **overrides)

    return make


def begun(task_file: Path, home: Home, packed: PackedDataset, **overrides) -> Search:
    """Begin a search; overrides have `__` for dots, and a space replaces that of the file."""
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    if "tune.space" in keys:
        document = yaml.safe_load(task_file.read_text())
        document["tune"]["space"] = keys.pop("tune.space")
        task_file.write_text(yaml.safe_dump(document, sort_keys=False))
    return begin(load_task(task_file, keys), home, publish(home, packed), keys)


@pytest.fixture(scope="session")
def searched(tmp_path_factory, packed) -> Search:
    """A search with four trials done; nobody may change it."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "pendulum.yaml").write_text(TASK)
    search = begun(folder / "pendulum.yaml", Home(folder / "home"), packed)
    go(search, 4)
    return search


def go(search: Search, trials: int, **bounds) -> None:
    """Do the trials in this process."""
    run(read_json(write_job(search, Bounds(trials, **bounds))), 0)


def start(search: Search, trials: int, number: int, **bounds) -> "subprocess.Popen[bytes]":
    """Start a worker as a process of its own."""
    job = write_job(search, Bounds(trials, **bounds))
    return subprocess.Popen(
        [sys.executable, "-m", "kinemill.selection.tune.worker", str(job), str(number)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
