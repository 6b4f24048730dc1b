"""A pendulum that we know, as a task and as packed episodes, and trainings that are interrupted."""

import json
import math
from dataclasses import replace

import pytest
import torch

from kinemill.dataset import PackedDataset
from kinemill.store import ArtifactRef, get_or_build
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train.checkpoint import read_checkpoint
from kinemill.train.loop import fit
from tests.conftest import learning_task
from tests.dataset.packing import PENDULUM, packed_of, swing, write_packed

DT = 0.02
CPU, QUIET = torch.device("cpu"), (NullReporter(), NullReporter())


class Recorder(NullReporter):
    """Keep metrics, texts and messages, and interrupt the training after a number of steps."""

    def __init__(self, stop_at=math.inf):
        self.stop_at, self.metrics, self.texts, self.messages = stop_at, {}, {}, []

    def log_metrics(self, metrics, step):
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append((step, value))

    def log_text(self, name, text):
        self.texts[name] = text

    def log_message(self, message):
        self.messages.append(message)

    def advance(self, stage, done, total, note=""):
        if done >= self.stop_at:
            raise KeyboardInterrupt


def prepared(task, dataset, start=None):
    """Return a new module, its objective and the settings of its training."""
    return *task.learn.prepare(task, dataset, dataset, CPU, start), task.learn


def ready(validation, training_set=None, **settings):
    """Return module, objective and settings of an uncompiled training, which runs to its end."""
    task = pendulum_task(**{"compile": "off", "patience": None, **settings})
    training_set = validation if training_set is None else training_set
    return *task.learn.prepare(task, validation, training_set, CPU), task.learn


def assert_resumes(prepare, folder, stop_at=30):
    """Check that an interrupted training ends, bit for bit, as one that was not interrupted.

    `prepare` returns what `prepared` does. Returns the state at the end,
    and the groups of tensors and the numbers of the last checkpoint.
    """

    def train(name, stop_at=math.inf):
        module, objective, learn = prepare()
        recorder = Recorder(stop_at)
        state, best = fit(module, objective, learn, folder / name, (recorder, recorder))
        return state, {"last": module.state_dict(), "best": best}, recorder.messages

    whole, weights, _ = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("cut", stop_at)
    first = read_checkpoint(folder / "cut")[1]["step"]
    assert 0 < first < stop_at
    torch.manual_seed(12345)  # another process has drawn other numbers
    state, again, messages = train("cut")
    assert f"resuming from the checkpoint at step {first}" in messages
    assert json.dumps(state.history) == json.dumps(whole.history)
    tensors, numbers = read_checkpoint(folder / "cut")
    others, expected = read_checkpoint(folder / "whole")
    assert numbers["scaler"] == expected["scaler"]
    for one, other in ((weights, again), (others, tensors)):
        for group, values in one.items():
            for name, value in values.items():
                assert torch.equal(value, other[group][name]), (group, name)
    return state, tensors, numbers


def pendulum_task(**learn) -> Task:
    usual = {"model": {"type": "mlp", "hidden_sizes": [16]}, "history": 3, "horizon": 4}
    usual |= {"steps": 60, "batch_size": 32, "eval_every": 20, "save_every": 20, "log_every": 10}
    return learning_task("pendulum", DT, PENDULUM, usual | learn)


@pytest.fixture(scope="session")
def packed() -> PackedDataset:
    """Four training runs of one recording, and one for validation."""
    runs = {"train": [swing(150, seed) for seed in range(4)], "validation": [swing(150, 9)]}
    dataset = packed_of("pendulum", DT, PENDULUM, runs)
    episodes = [replace(episode, recording=episode.split) for episode in dataset.episodes]
    return replace(dataset, episodes=episodes)


def publish(home, packed) -> ArtifactRef:
    def build(folder):
        write_packed(folder, packed)
        return {}

    return get_or_build(home, "dataset", "pendulum", {"of": "tests"}, build).ref
