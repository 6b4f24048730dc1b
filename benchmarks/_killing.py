"""Trainings for `benchmarks.kill` to kill: a small double pendulum, each in a separate process.

They are forked from a server that has imported this module and all dependencies of a training.
Nothing here may let torch start a thread, because threads do not survive a fork.
"""

import multiprocessing
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import numpy as np
import safetensors.torch
import torch._dynamo
import torch.profiler

from kinemill.augment import stage as augment
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.sim import Dummy, dummy_overrides, write_dummy_logs
from kinemill.store import ArtifactRef, file_digest
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import loop
from kinemill.train import stage as train
from kinemill.train.objectives import _dynamics_setup
from kinemill.validate import stage as validate

LOADED = (
    matplotlib.pyplot,
    safetensors.torch,
    torch._dynamo,
    torch.profiler,
    loop,
    _dynamics_setup,
)
TASK, SAVE_EVERY, STEPS = "double_pendulum", 20, 100
# All of what a checkpoint holds is in use: moments, averages, patience, growth, noise, epochs.
SETTINGS: dict[str, Any] = {
    "ingest.min_file_age": 0.0,
    "augment": [],
    "learn.model": {"type": "mlp", "hidden_sizes": [32, 32], "dropout": 0.1},
    "learn.gauss_newton": None,
    "learn.horizon": 6,
    "learn.horizon_schedule": {"first": 2, "steps": 150},
    "learn.noise": {"shoulder_velocity": 0.01},
    "learn.optimizer": {"type": "adamw", "lr": 3e-3},
    "learn.batch_size": 64,
    "learn.ema": 0.99,
    "learn.steps": STEPS,
    "learn.patience": 12,
    "learn.eval_every": 15,
    "learn.save_every": SAVE_EVERY,
    "learn.log_every": 1,
    "learn.device": "cpu",
}
FIRST, LAST = 0, 1  # places in a watch: steps done when it began to count, and at last


@dataclass(frozen=True)
class Site:
    """What is learned from, in a home that each training gets a copy of."""

    task: dict[str, Any]  # as JSON: a `Task` does not travel to another process
    home: Home
    dataset: ArtifactRef
    training_set: ArtifactRef

    def copy(self, folder: Path) -> Home:
        """Return a home with the data and nothing learned."""
        shutil.copytree(self.home.root / "store", folder / "store")
        return Home(folder)


class Watch(NullReporter):
    """Keeps how many steps were done, where a kill does not take it away."""

    def __init__(self, path: Path) -> None:
        self._steps = np.memmap(path, np.int64, "w+", shape=(2,))
        self._steps[:] = -1

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:  # noqa: ARG002
        """Note the steps done."""
        if self._steps[FIRST] < 0:
            self._steps[FIRST] = done
        self._steps[LAST] = done


def prepare(folder: Path) -> Site:
    """Make logs of a double pendulum, and a dataset of them."""
    dummy, home, logs = Dummy(episodes=5, samples=300), Home(folder / "home"), folder / "logs"
    task = load_task(TASK, SETTINGS)
    task = load_task(TASK, {**SETTINGS, **dummy_overrides(task, dummy, "")})
    write_dummy_logs(task, logs, dummy)
    episodes = validate.run(task, home, ingest.run(task, home, logs).artifact.ref).ref
    dataset = dataset_stage.run(task, home, episodes).ref
    spelled = task.model_dump(mode="json", by_alias=True)
    return Site(spelled, home, dataset, augment.run(task, home, dataset).ref)


def learn(site: Site, home: Home, watch: Path) -> None:
    """Train, in a process of its own."""
    task = Task.model_validate(site.task)
    train.run(task, home, site.dataset, site.training_set, (NullReporter(), Watch(watch)))


class Trainings:
    """Starts trainings of a site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["benchmarks._killing"])

    def start(self, home: Home, watch: Path) -> Any:
        """Start one; the process is under way when this returns."""
        process = self._context.Process(target=learn, args=(self.site, home, watch))
        process.start()
        return process

    def finish(self, home: Home, watch: Path) -> None:
        """Train to the end.

        Raises:
            RuntimeError: a training failed.
        """
        process = self.start(home, watch)
        process.join()
        if process.exitcode != 0:
            message = f"a training ended with {process.exitcode}"
            raise RuntimeError(message)


def published(home: Home) -> dict[str, str]:
    """Return the sha256 of each file of the one model of a home."""
    (folder,) = (home.store / "model" / TASK).iterdir()
    return {path.name: file_digest(path) for path in sorted(folder.iterdir())}


def steps_in(watch: Path) -> tuple[int, int]:
    """Return the first and last number of steps that a training told; 0 if it came to none."""
    steps = np.fromfile(watch, np.int64) if watch.is_file() else np.array([])
    first, last = steps if len(steps) == 2 else (0, 0)
    return max(int(first), 0), max(int(last), 0)


load_task(TASK, SETTINGS)  # reads pint's definitions, and the files of its plug-ins
